"""The models, which are given no option, and the losses that the default was chosen from."""

from __future__ import annotations

import jaxrec
from jaxrec.losses import BPR, AdaptiveTemperature, InBatchSoftmax, SampledSoftmax
from jaxrec.protocols import Loss

TRAINED = {"mf": jaxrec.MF(), "lightgcn": jaxrec.LightGCN()}
CHOSEN_FOR = {
    "mf": jaxrec.MF(dim=64),
    "lightgcn, 1 layer": jaxrec.LightGCN(dim=64, layers=1),
    "lightgcn, 2 layers": jaxrec.LightGCN(dim=64, layers=2),
    "lightgcn, 3 layers": jaxrec.LightGCN(dim=64, layers=3),
}
SOLVED = {"itemknn": jaxrec.ItemKNN(), "ease": jaxrec.EASE()}

LOSSES: dict[str, Loss] = {
    "bpr": BPR(),
    "in-batch, as it comes": InBatchSoftmax(),
    "in-batch, prior 0.8": InBatchSoftmax(logit_adjustment=0.8),
    "adaptive temperature": AdaptiveTemperature(logit_adjustment=0.2),
    "64 negatives, t .15": SampledSoftmax(temperature=0.15),
    **{
        f"in-batch, t {t:g}, prior {w:g}": InBatchSoftmax(t, logit_adjustment=w, accidental_hits="same_item")
        for t, w in ((0.15, 1.0), (0.2, 0.8), (0.2, 1.0), (0.3, 0.7))
    },
}
OPTIONS = jaxrec.TrainingOptions(
    regularizer=None, epochs=60, validation=jaxrec.Validation(every=3, metrics=["recall", "ndcg"]), refit=False
)
"""Of all losses; Adam and the size of a batch are the defaults."""
