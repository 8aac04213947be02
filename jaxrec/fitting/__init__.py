"""Fitting: one or many models, the options of a training, validation, and fitted models with their storage."""

from jaxrec.fitting._described import plain_description
from jaxrec.fitting._fit import fit, fit_many
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._old_options import FitOptions
from jaxrec.fitting._options import TrainingOptions
from jaxrec.fitting._plan import versions
from jaxrec.fitting._search_space import FloatRange, IntRange, with_settings
from jaxrec.fitting._storage import restore, save
from jaxrec.fitting._study import Study, Trial
from jaxrec.fitting._tuning import tune
from jaxrec.fitting._validation import Validation

__all__ = [
    "FitOptions",
    "FittedModel",
    "FloatRange",
    "IntRange",
    "Study",
    "TrainingOptions",
    "Trial",
    "Validation",
    "fit",
    "fit_many",
    "plain_description",
    "restore",
    "save",
    "tune",
    "versions",
    "with_settings",
]
