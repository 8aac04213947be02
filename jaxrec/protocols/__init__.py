"""What may come from outside: models, losses, regularizers, samplers, metrics and the like, each as a protocol.

Every protocol but the scorer's is also a base class that brings the defaults along, so `class Mine(Loss)` writes down
only what differs. A class need not derive from it: having the same attributes is enough. What has options is a frozen
dataclass; `jaxrec.pytrees.options` makes it a pytree, with numbers as leaves, so that other numbers compile nothing.

The letters of shapes are those of `jaxrec.types`.
"""

from jaxrec.protocols._callbacks import Callback, EpochEvent, StageInfo
from jaxrec.protocols._data import ProcessGroup, Reader, Recipe, Splitter
from jaxrec.protocols._metrics import NEEDS, AllLists, Calibration, Metric, RatedPairs, Reranker, UserList, UserScores
from jaxrec.protocols._models import (
    AddsItems,
    EmbeddingTables,
    FiltersGraph,
    FoldIn,
    Histories,
    Model,
    Solution,
    Solved,
    Trained,
)
from jaxrec.protocols._scorers import HistoryScorer, ItemParts, UserRows, VectorScorer
from jaxrec.protocols._training import Batch, Encoded, Loss, Negatives, Optimizer, Regularizer, Task, Weights
from jaxrec.types import Scorer

__all__ = [
    "NEEDS",
    "AddsItems",
    "AllLists",
    "Batch",
    "Calibration",
    "Callback",
    "EmbeddingTables",
    "Encoded",
    "EpochEvent",
    "FiltersGraph",
    "FoldIn",
    "Histories",
    "HistoryScorer",
    "ItemParts",
    "Loss",
    "Metric",
    "Model",
    "Negatives",
    "Optimizer",
    "ProcessGroup",
    "RatedPairs",
    "Reader",
    "Recipe",
    "Regularizer",
    "Reranker",
    "Scorer",
    "Solution",
    "Solved",
    "Splitter",
    "StageInfo",
    "Task",
    "Trained",
    "UserList",
    "UserRows",
    "UserScores",
    "VectorScorer",
    "Weights",
]
