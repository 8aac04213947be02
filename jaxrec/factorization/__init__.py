"""Factorization of sparse matrices without dense copies: non-negative, and by implicit alternating least squares."""

from jaxrec.factorization._all_entries import nmf
from jaxrec.factorization._common import NMFResult
from jaxrec.factorization._implicit import IALSResult, implicit_als, implicit_als_objective
from jaxrec.factorization._stored_entries import masked_nmf, refit_scales

__all__ = [
    "IALSResult",
    "NMFResult",
    "implicit_als",
    "implicit_als_objective",
    "masked_nmf",
    "nmf",
    "refit_scales",
]
