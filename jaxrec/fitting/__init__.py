"""Fitting: one or many models, the options of a training, validation, tuning, and fitted models with their storage."""

from typing import TYPE_CHECKING

from jaxrec._lazy import lazy_names

if TYPE_CHECKING:
    from jaxrec.fitting._again import fit_again
    from jaxrec.fitting._auto import Auto, auto
    from jaxrec.fitting._auto_list import CANDIDATES, Candidate
    from jaxrec.fitting._auto_table import Try, auto_table
    from jaxrec.fitting._blend import blend
    from jaxrec.fitting._blended import Blend
    from jaxrec.fitting._described import plain_description
    from jaxrec.fitting._fit import fit, fit_many
    from jaxrec.fitting._fitted import FittedModel
    from jaxrec.fitting._mesh_plan import DataSizes, StepPlan, layout_for, step_plan
    from jaxrec.fitting._old_options import FitOptions
    from jaxrec.fitting._options import TrainingOptions
    from jaxrec.fitting._search_space import FloatRange, IntRange, with_settings
    from jaxrec.fitting._storage import restore, save
    from jaxrec.fitting._study import Study, Trial
    from jaxrec.fitting._tuning import tune
    from jaxrec.fitting._validation import Validation
    from jaxrec.fitting._versions import versions

__all__ = [
    "CANDIDATES",
    "Auto",
    "Blend",
    "Candidate",
    "DataSizes",
    "FitOptions",
    "FittedModel",
    "FloatRange",
    "IntRange",
    "StepPlan",
    "Study",
    "TrainingOptions",
    "Trial",
    "Try",
    "Validation",
    "auto",
    "auto_table",
    "blend",
    "fit",
    "fit_again",
    "fit_many",
    "layout_for",
    "plain_description",
    "restore",
    "save",
    "step_plan",
    "tune",
    "versions",
    "with_settings",
]

# Restoring needs nothing of training.
__getattr__ = lazy_names(
    __name__,
    {
        "jaxrec.fitting._again": "fit_again",
        "jaxrec.fitting._auto": "Auto auto",
        "jaxrec.fitting._auto_list": "CANDIDATES Candidate",
        "jaxrec.fitting._auto_table": "Try auto_table",
        "jaxrec.fitting._blend": "blend",
        "jaxrec.fitting._blended": "Blend",
        "jaxrec.fitting._described": "plain_description",
        "jaxrec.fitting._fit": "fit fit_many",
        "jaxrec.fitting._fitted": "FittedModel",
        "jaxrec.fitting._mesh_plan": "DataSizes StepPlan layout_for step_plan",
        "jaxrec.fitting._old_options": "FitOptions",
        "jaxrec.fitting._options": "TrainingOptions",
        "jaxrec.fitting._versions": "versions",
        "jaxrec.fitting._search_space": "FloatRange IntRange with_settings",
        "jaxrec.fitting._storage": "restore save",
        "jaxrec.fitting._study": "Study Trial",
        "jaxrec.fitting._tuning": "tune",
        "jaxrec.fitting._validation": "Validation",
    },
)
