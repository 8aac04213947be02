"""The ten lines: load, split, fit, evaluate, recommend, similar_items, predict, save, restore."""

from jaxrec.api.evaluate import evaluate, evaluate_ratings
from jaxrec.api.fit import fit
from jaxrec.api.fitted import FittedModel
from jaxrec.api.many import fit_many
from jaxrec.api.options import FitOptions
from jaxrec.api.rankings import evaluate_rankings
from jaxrec.api.recommend import Recommendations, predict, recommend, similar_items
from jaxrec.api.sampled import evaluate_sampled
from jaxrec.api.storage import restore, save

__all__ = [
    "FitOptions",
    "FittedModel",
    "Recommendations",
    "evaluate",
    "evaluate_rankings",
    "evaluate_ratings",
    "evaluate_sampled",
    "fit",
    "fit_many",
    "predict",
    "recommend",
    "restore",
    "save",
    "similar_items",
]
