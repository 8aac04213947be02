"""Non-negative factorisation of sparse matrices that are never made dense: of all entries, or of the stored ones."""

from jaxrec.factorization._all_entries import nmf
from jaxrec.factorization._common import NMFResult
from jaxrec.factorization._stored_entries import masked_nmf, refit_scales

__all__ = ["NMFResult", "masked_nmf", "nmf", "refit_scales"]
