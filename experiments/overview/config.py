"""The rows: each model of the library, and one matrix factorization with each loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jaxrec
from experiments.movielens_small.config import CHOSEN, training
from jaxrec.losses import (
    BPR,
    AdaptiveTemperature,
    BilateralSoftmax,
    CosineContrastive,
    DirectAU,
    InBatchSoftmax,
    Logistic,
    PairwiseSoftmax,
    SampledSoftmax,
    SoftmaxAtK,
    SquaredL2,
)
from jaxrec.models import LightGCNPP, LowPass, OneHop, SimGCL, XSimGCL
from jaxrec.protocols import Loss
from jaxrec.training import Adam

SEED = 0

GRAPH = training(5e-3, 1e-3)
"""LightGCN's options of the main job, for its relatives too."""


def with_loss(loss: Loss) -> tuple[Any, jaxrec.TrainingOptions]:
    """Return matrix factorization of width 64 with a loss, and options that are the same for all losses."""
    options = jaxrec.TrainingOptions(
        loss=loss, optimizer=Adam(5e-3), regularizer=SquaredL2(1e-3), batch_size=2048, epochs=40
    )
    return jaxrec.MF(dim=64), options


# Settings of the main job where it has the model; else those of the library, nothing is searched.
MODELS: Mapping[str, tuple[Any, jaxrec.TrainingOptions | None]] = {
    "random": CHOSEN["random"],
    "popularity": CHOSEN["popularity"],
    "item-kNN": CHOSEN["itemknn"],
    "user-kNN": (jaxrec.UserKNN(neighbors=100), None),
    "RP3beta": (jaxrec.RP3Beta(), None),
    "EASE": CHOSEN["ease"],
    "SANSA": (jaxrec.SANSA(l2=100.0), None),
    "iALS": (jaxrec.IALS(dim=64), None),
    "NMF": (jaxrec.NMF(dim=20), None),
    "graph filter": (jaxrec.GraphFilter(terms=(OneHop(), LowPass(rank=64))), None),
    "spectral ranker": (jaxrec.SpectralRanker(candidates=200), None),
    "MF": CHOSEN["mf"],
    "LightGCN": CHOSEN["lightgcn"],
    "LightGCN++": (LightGCNPP(dim=64, layers=2), GRAPH),
    "SimGCL": (SimGCL(dim=64, layers=2, contrast_weight=0.02), GRAPH),
    "XSimGCL": (XSimGCL(dim=64, layers=2), GRAPH),
    "GCN": (jaxrec.GCN(dim=64, hidden=64), GRAPH),
    "SVD++": (jaxrec.SVDPP(dim=64), jaxrec.TrainingOptions(loss=Logistic(), optimizer=Adam(5e-3), epochs=120)),
}
LOSSES: Mapping[str, tuple[Any, jaxrec.TrainingOptions]] = {
    "MF, BPR": with_loss(BPR()),
    "MF, logistic": with_loss(Logistic()),
    "MF, softmax": with_loss(InBatchSoftmax(temperature=0.2, accidental_hits="keep", logit_adjustment=0.8)),
    "MF, sampled softmax": with_loss(SampledSoftmax(temperature=0.2)),
    "MF, BSL": with_loss(BilateralSoftmax(temperature=0.2, positive_temperature=0.2, logit_adjustment=0.8)),
    "MF, PSL": with_loss(PairwiseSoftmax(temperature=0.1, logit_adjustment=0.8)),
    "MF, SL@K": with_loss(SoftmaxAtK(temperature=0.2, logit_adjustment=0.8)),
    "MF, Adap-tau": with_loss(AdaptiveTemperature(logit_adjustment=0.1)),
    "MF, CCL": with_loss(CosineContrastive()),
    "MF, DirectAU": with_loss(DirectAU()),
}
