"""Non-negative factorisation of sparse matrices that are never made dense: of all entries, or of the stored ones."""

from jaxrec.factorization.all_entries import nmf
from jaxrec.factorization.common import NMFResult
from jaxrec.factorization.stored_entries import masked_nmf, refit_scales

__all__ = ["NMFResult", "masked_nmf", "nmf", "refit_scales"]
