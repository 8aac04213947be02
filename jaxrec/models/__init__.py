"""One file a model; `jaxrec.registry` has their names."""

import warnings
from typing import Any

from jaxrec import registry
from jaxrec._moved import old_name
from jaxrec.models._base import EmbeddingModel, SolvedModel, with_sizes
from jaxrec.models._baselines import Popularity, Random
from jaxrec.models._ease import EASE
from jaxrec.models._filter_graph import FilterTerm
from jaxrec.models._filter_terms import (
    Bands,
    ChebyshevSeries,
    LowPass,
    OneHop,
    Plateau,
    Sharpened,
    UserLowPass,
)
from jaxrec.models._gcn import GCN, GCNClassifier, transposed_order
from jaxrec.models._graph_filter import GraphFilter
from jaxrec.models._ials import IALS, LinearConfidence, LogConfidence
from jaxrec.models._itemknn import ItemKNN
from jaxrec.models._lightgcn import LightGCN
from jaxrec.models._lightgcnpp import LightGCNPP
from jaxrec.models._members import Member
from jaxrec.models._mf import MF
from jaxrec.models._nmf import NMF
from jaxrec.models._ranking_heads import Hop, LearntFilter, LearntNetwork, RankingHead
from jaxrec.models._rp3beta import RP3Beta
from jaxrec.models._sansa import SANSA
from jaxrec.models._simgcl import SimGCL, XSimGCL
from jaxrec.models._spectral_ranker import SpectralRanker
from jaxrec.models._svdpp import SVDPP
from jaxrec.models._userknn import UserKNN
from jaxrec.models._vectors import Vectors

__all__ = [
    "EASE",
    "GCN",
    "IALS",
    "MF",
    "NMF",
    "SANSA",
    "SVDPP",
    "Bands",
    "ChebyshevSeries",
    "EmbeddingModel",
    "FilterTerm",
    "GCNClassifier",
    "GraphFilter",
    "Hop",
    "ItemKNN",
    "LearntFilter",
    "LearntNetwork",
    "LightGCN",
    "LightGCNPP",
    "LinearConfidence",
    "LogConfidence",
    "LowPass",
    "Member",
    "OneHop",
    "Plateau",
    "Popularity",
    "RP3Beta",
    "Random",
    "RankingHead",
    "Sharpened",
    "SimGCL",
    "SolvedModel",
    "SpectralRanker",
    "UserKNN",
    "UserLowPass",
    "Vectors",
    "XSimGCL",
    "transposed_order",
    "with_sizes",
]


def __getattr__(name: str) -> Any:
    if name == "MODELS":
        warnings.warn("MODELS is a name of 0.1 and goes in 0.3; use jaxrec.registry", DeprecationWarning, stacklevel=2)
        return {word: registry.find("model", word) for word in registry.BUILT_IN["model"]}
    return old_name(__name__, name, ("jaxrec.scorers",))
