"""One file a model: mf, lightgcn, SVD++, popularity and random, item-kNN, EASE. `MODELS` lists them by name."""

from types import MappingProxyType

from jaxrec.models.baselines import Popularity, Random
from jaxrec.models.ease import EASE
from jaxrec.models.itemknn import ItemKNN
from jaxrec.models.lightgcn import LightGCN
from jaxrec.models.mf import MF
from jaxrec.models.scorers import FactorScorer, ItemWeightScorer, PopularityScorer, RandomScorer
from jaxrec.models.svdpp import SVDPP

MODELS = MappingProxyType(
    {
        "mf": MF,
        "lightgcn": LightGCN,
        "svdpp": SVDPP,
        "itemknn": ItemKNN,
        "ease": EASE,
        "popularity": Popularity,
        "random": Random,
    }
)
"""The models by the name that the command line and run folders use."""

__all__ = [
    "EASE",
    "MF",
    "SVDPP",
    "MODELS",
    "FactorScorer",
    "ItemKNN",
    "ItemWeightScorer",
    "LightGCN",
    "Popularity",
    "PopularityScorer",
    "Random",
    "RandomScorer",
]
