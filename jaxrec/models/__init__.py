"""One file a model, and the scorers that they end in. `MODELS` lists the models by name."""

from types import MappingProxyType
from typing import Any

from jaxrec._moved import old_name
from jaxrec.models._base import EmbeddingModel, SolvedModel, with_sizes
from jaxrec.models._baselines import Popularity, Random
from jaxrec.models._ease import EASE
from jaxrec.models._gcn import GCN, GCNClassifier
from jaxrec.models._itemknn import ItemKNN
from jaxrec.models._lightgcn import LightGCN
from jaxrec.models._mf import MF
from jaxrec.models._nmf import NMF
from jaxrec.models._svdpp import SVDPP
from jaxrec.models._userknn import UserKNN

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
    "EmbeddingModel",
    "GCNClassifier",
    "ItemKNN",
    "LightGCN",
    "Popularity",
    "Random",
    "SolvedModel",
    "UserKNN",
    "with_sizes",
]


def __getattr__(name: str) -> Any:
    return old_name(__name__, name, ("jaxrec.scorers",))
