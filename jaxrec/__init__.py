"""A recommender library in JAX: pure-function models over a sparse normalised adjacency, and their evaluation."""

from jaxrec import evaluation, graph, losses, metrics, models, sampling, sparse, spectral, training
from jaxrec.api import (
    FitOptions,
    FittedModel,
    Recommendations,
    evaluate,
    evaluate_rankings,
    evaluate_ratings,
    evaluate_sampled,
    fit,
    fit_many,
    predict,
    recommend,
    restore,
    save,
    similar_items,
)
from jaxrec.data.conversions import from_networkx, from_scipy, to_networkx, to_scipy
from jaxrec.data.filters import prepare
from jaxrec.data.frames import from_frame, to_frame
from jaxrec.data.interactions import Interactions
from jaxrec.data.readers import read, read_split
from jaxrec.data.registry import datasets, load
from jaxrec.data.splits import Split, split
from jaxrec.errors import JaxrecError
from jaxrec.models import EASE, GCN, MF, NMF, SVDPP, ItemKNN, LightGCN, Popularity, Random, UserKNN

from_arrays = Interactions.from_arrays

__version__ = "0.1.0"

__all__ = [
    "EASE",
    "GCN",
    "MF",
    "NMF",
    "SVDPP",
    "FitOptions",
    "FittedModel",
    "Interactions",
    "ItemKNN",
    "JaxrecError",
    "LightGCN",
    "Popularity",
    "Random",
    "Recommendations",
    "Split",
    "UserKNN",
    "datasets",
    "evaluate",
    "evaluate_rankings",
    "evaluate_ratings",
    "evaluate_sampled",
    "evaluation",
    "fit",
    "fit_many",
    "from_arrays",
    "from_frame",
    "from_networkx",
    "from_scipy",
    "graph",
    "load",
    "losses",
    "metrics",
    "models",
    "predict",
    "prepare",
    "read",
    "read_split",
    "recommend",
    "restore",
    "sampling",
    "save",
    "similar_items",
    "sparse",
    "spectral",
    "split",
    "to_frame",
    "to_networkx",
    "to_scipy",
    "training",
]
