"""Spectral theory of sparse matrices: Laplacians, the graph Fourier transform, filters, decompositions, clusters."""

from jaxrec.spectral._chebyshev import (
    chebyshev_coefficients,
    chebyshev_filter,
    chebyshev_response,
    jackson_damping,
)
from jaxrec.spectral._clusters import Coclusters, coclusters
from jaxrec.spectral._decompositions import (
    Eigenpairs,
    estimate_largest_eigenvalue,
    leading_eigenpairs,
    truncated_svd,
)
from jaxrec.spectral._filters import filter_exact, heat_kernel, low_pass, polynomial
from jaxrec.spectral._fourier import FourierBasis, convolve, fourier, fourier_basis, inverse_fourier
from jaxrec.spectral._laplacians import combinatorial_laplacian, largest_eigenvalue_bound, normalized_laplacian
from jaxrec.spectral._triplets import SingularTriplets, singular_triplets

__all__ = [
    "Coclusters",
    "Eigenpairs",
    "FourierBasis",
    "SingularTriplets",
    "chebyshev_coefficients",
    "chebyshev_filter",
    "chebyshev_response",
    "coclusters",
    "combinatorial_laplacian",
    "convolve",
    "estimate_largest_eigenvalue",
    "filter_exact",
    "fourier",
    "fourier_basis",
    "heat_kernel",
    "inverse_fourier",
    "jackson_damping",
    "largest_eigenvalue_bound",
    "leading_eigenpairs",
    "low_pass",
    "normalized_laplacian",
    "polynomial",
    "singular_triplets",
    "truncated_svd",
]
