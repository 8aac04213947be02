"""Non-negative factorization of sparse matrices, over all entries or the stored ones, without dense copies."""

from jaxrec.factorization._all_entries import nmf
from jaxrec.factorization._common import NMFResult
from jaxrec.factorization._stored_entries import masked_nmf, refit_scales

__all__ = ["NMFResult", "masked_nmf", "nmf", "refit_scales"]
