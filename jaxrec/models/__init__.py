"""One file a model, and the scorers that they end in. `MODELS` lists the models by name."""

from types import MappingProxyType

from jaxrec.models.baselines import Popularity, Random
from jaxrec.models.ease import EASE
from jaxrec.models.gcn import GCN
from jaxrec.models.itemknn import ItemKNN
from jaxrec.models.lightgcn import LightGCN
from jaxrec.models.mf import MF
from jaxrec.models.nmf import NMF
from jaxrec.models.scorers import (
    FactorScorer,
    ItemWeightScorer,
    PopularityScorer,
    RandomScorer,
    UserWeightScorer,
    with_popularity,
)
from jaxrec.models.svdpp import SVDPP
from jaxrec.models.userknn import UserKNN

MODELS = MappingProxyType(
    {
        "mf": MF,
        "lightgcn": LightGCN,
        "svdpp": SVDPP,
        "gcn": GCN,
        "nmf": NMF,
        "itemknn": ItemKNN,
        "userknn": UserKNN,
        "ease": EASE,
        "popularity": Popularity,
        "random": Random,
    }
)
"""The models by the name that the command line and run folders use."""

__all__ = [
    "EASE",
    "GCN",
    "MF",
    "MODELS",
    "NMF",
    "SVDPP",
    "FactorScorer",
    "ItemKNN",
    "ItemWeightScorer",
    "LightGCN",
    "Popularity",
    "PopularityScorer",
    "Random",
    "RandomScorer",
    "UserKNN",
    "UserWeightScorer",
    "with_popularity",
]
