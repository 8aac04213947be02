"""Losses and regularizers: pure functions, and the frozen objects that carry their options."""

from jaxrec.losses._adaptive import AdaptiveTemperature, adaptive_softmax, lambert_w, overall_inverse, user_factors
from jaxrec.losses._at_k import SoftmaxAtK, softmax_at_k, top_threshold
from jaxrec.losses._bilateral import BilateralSoftmax, bilateral_softmax
from jaxrec.losses._contrastive import CosineContrastive, cosine_contrastive
from jaxrec.losses._direct import DirectAU, alignment, uniformity
from jaxrec.losses._functions import bpr, in_batch_softmax, l2, l2_norms, logistic, mse, nll, softmax
from jaxrec.losses._means import counted, masked_mean
from jaxrec.losses._objects import BPR, InBatchSoftmax, Logistic, SampledSoftmax, SquaredError
from jaxrec.losses._pairwise import PairwiseSoftmax, pairwise_softmax
from jaxrec.losses._regularizers import NormL2, SquaredL2
from jaxrec.vectors import unit

__all__ = [
    "BPR",
    "AdaptiveTemperature",
    "BilateralSoftmax",
    "CosineContrastive",
    "DirectAU",
    "InBatchSoftmax",
    "Logistic",
    "NormL2",
    "PairwiseSoftmax",
    "SampledSoftmax",
    "SoftmaxAtK",
    "SquaredError",
    "SquaredL2",
    "adaptive_softmax",
    "alignment",
    "bilateral_softmax",
    "bpr",
    "cosine_contrastive",
    "counted",
    "in_batch_softmax",
    "l2",
    "l2_norms",
    "lambert_w",
    "logistic",
    "masked_mean",
    "mse",
    "nll",
    "overall_inverse",
    "pairwise_softmax",
    "softmax",
    "softmax_at_k",
    "top_threshold",
    "uniformity",
    "unit",
    "user_factors",
]
