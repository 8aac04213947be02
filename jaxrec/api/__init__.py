"""The ten lines after the fit: evaluate, recommend, similar_items, predict, lists of other systems."""

from typing import TYPE_CHECKING

from jaxrec._lazy import lazy_names

if TYPE_CHECKING:
    from jaxrec.api._cross_validate import CrossValidation, cross_validate
    from jaxrec.api._embeddings import Embeddings, embeddings
    from jaxrec.api._evaluate import default_space, evaluate, evaluate_ratings
    from jaxrec.api._lookup import title_of
    from jaxrec.api._new_items import add_items
    from jaxrec.api._predict import predict
    from jaxrec.api._rankings import evaluate_rankings
    from jaxrec.api._recommend import recommend, similar_items
    from jaxrec.api._sampled import evaluate_sampled
    from jaxrec.api._suggestions import Recommendations, Suggestion

__all__ = [
    "CrossValidation",
    "Embeddings",
    "Recommendations",
    "Suggestion",
    "add_items",
    "cross_validate",
    "default_space",
    "embeddings",
    "evaluate",
    "evaluate_rankings",
    "evaluate_ratings",
    "evaluate_sampled",
    "predict",
    "recommend",
    "similar_items",
    "title_of",
]

# Recommending needs nothing of measuring.
__getattr__ = lazy_names(
    __name__,
    {
        "jaxrec.api._cross_validate": "CrossValidation cross_validate",
        "jaxrec.api._embeddings": "Embeddings embeddings",
        "jaxrec.api._evaluate": "default_space evaluate evaluate_ratings",
        "jaxrec.api._lookup": "title_of",
        "jaxrec.api._new_items": "add_items",
        "jaxrec.api._predict": "predict",
        "jaxrec.api._rankings": "evaluate_rankings",
        "jaxrec.api._recommend": "recommend similar_items",
        "jaxrec.api._sampled": "evaluate_sampled",
        "jaxrec.api._suggestions": "Recommendations Suggestion",
    },
    old_rooms=("jaxrec.fitting",),
)
