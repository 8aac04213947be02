"""Losses and regularizers: pure functions, and the frozen objects that carry their options."""

from jaxrec.losses._functions import bpr, in_batch_softmax, l2, l2_norms, logistic, mse, nll, softmax, unit

__all__ = [
    "bpr",
    "in_batch_softmax",
    "l2",
    "l2_norms",
    "logistic",
    "mse",
    "nll",
    "softmax",
    "unit",
]
