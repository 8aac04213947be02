"""Fitting: one or many models, their plan and options, and fitted models with their storage."""

from jaxrec.fitting._fit import fit
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._many import fit_many
from jaxrec.fitting._options import FitOptions
from jaxrec.fitting._plan import versions
from jaxrec.fitting._storage import restore, save

__all__ = [
    "FitOptions",
    "FittedModel",
    "fit",
    "fit_many",
    "restore",
    "save",
    "versions",
]
