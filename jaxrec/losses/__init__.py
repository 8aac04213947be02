"""Losses and regularizers: pure functions, and the frozen objects that carry their options."""

from jaxrec.losses._functions import (
    bpr,
    counted,
    in_batch_softmax,
    l2,
    l2_norms,
    logistic,
    masked_mean,
    mse,
    nll,
    softmax,
)
from jaxrec.losses._objects import BPR, InBatchSoftmax, Logistic, SampledSoftmax, SquaredError
from jaxrec.losses._regularizers import NormL2, SquaredL2
from jaxrec.vectors import unit

__all__ = [
    "BPR",
    "InBatchSoftmax",
    "Logistic",
    "NormL2",
    "SampledSoftmax",
    "SquaredError",
    "SquaredL2",
    "bpr",
    "counted",
    "in_batch_softmax",
    "l2",
    "l2_norms",
    "logistic",
    "masked_mean",
    "mse",
    "nll",
    "softmax",
    "unit",
]
