"""The ten lines after the fit: evaluate, recommend, similar_items, predict, lists of other systems."""

from typing import Any

from jaxrec._moved import old_name
from jaxrec.api._cross_validate import CrossValidation, cross_validate
from jaxrec.api._evaluate import default_space, evaluate, evaluate_ratings
from jaxrec.api._lookup import title_of
from jaxrec.api._rankings import evaluate_rankings
from jaxrec.api._recommend import Recommendations, Suggestion, predict, recommend, similar_items
from jaxrec.api._sampled import evaluate_sampled

__all__ = [
    "CrossValidation",
    "Recommendations",
    "Suggestion",
    "cross_validate",
    "default_space",
    "evaluate",
    "evaluate_rankings",
    "evaluate_ratings",
    "evaluate_sampled",
    "predict",
    "recommend",
    "similar_items",
    "title_of",
]


def __getattr__(name: str) -> Any:
    return old_name(__name__, name, ("jaxrec.fitting",))
