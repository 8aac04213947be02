"""The rows: one LightGCN with each loss, for the same number of epochs, and grids of settings for each."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jaxrec
from experiments.tables import Row
from jaxrec.losses import (
    BPR,
    AdaptiveTemperature,
    BilateralSoftmax,
    CosineContrastive,
    DirectAU,
    InBatchSoftmax,
    PairwiseSoftmax,
    SampledSoftmax,
    SoftmaxAtK,
    SquaredL2,
)
from jaxrec.protocols import Loss, Negatives
from jaxrec.sampling import Hardest, Uniform
from jaxrec.training import Adam

EPOCHS, BATCH, RATE = 8, 2048, 5e-3
MODEL = jaxrec.LightGCN(dim=64, layers=1)


def row(loss: Loss, negatives: Negatives | None = None, **how: Any) -> Row:
    """Return the row of a loss; what else differs is given by name."""
    options = jaxrec.TrainingOptions(
        loss=loss,
        negatives=negatives,
        optimizer=Adam(how.pop("learning_rate", RATE)),
        regularizer=how.pop("regularizer", None),
        batch_size=how.pop("batch_size", BATCH),
        epochs=how.pop("epochs", EPOCHS),
        validation=None,
    )
    return Row(how.pop("model", MODEL), options, **how)


# From the papers and from other experiments; the grids below have not been measured, see README.md.
CHOSEN: Mapping[str, tuple[Loss, Negatives | None]] = {
    "BPR": (BPR(), None),
    "BPR, hardest of 16": (BPR(), Hardest(of=16)),
    "sampled softmax, 64 negatives": (SampledSoftmax(temperature=0.12), Uniform(64)),
    "in-batch softmax": (InBatchSoftmax(temperature=0.12, logit_adjustment=0.8), None),
    "bilateral softmax": (BilateralSoftmax(temperature=0.12, positive_temperature=0.14, logit_adjustment=0.8), None),
    "pairwise softmax": (PairwiseSoftmax(temperature=0.06, logit_adjustment=0.8), None),
    "softmax at 20": (SoftmaxAtK(temperature=0.12, logit_adjustment=0.8), None),
    "adaptive temperature": (AdaptiveTemperature(logit_adjustment=0.1), None),
    "cosine contrastive": (CosineContrastive(margin=0.4, negative_weight=150.0), Uniform(64)),
    "DirectAU": (DirectAU(gamma=2.0), None),
}
L2 = {"BPR": SquaredL2(1e-4), "BPR, hardest of 16": SquaredL2(1e-4)}

ROWS = {"": {name: row(*pair, regularizer=L2.get(name)) for name, pair in CHOSEN.items()}}


def varied(loss: Loss, negatives: Negatives | None, **values: Sequence[float]) -> dict[str, Row]:
    """Return a row for each combination of values of options."""
    combinations: list[dict[str, Any]] = [
        dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())
    ]
    return {
        ", ".join(f"{name} {value:g}" for name, value in each.items()): row(
            dataclasses.replace(loss, **each),  # pyright: ignore[reportArgumentType]
            negatives,
        )
        for each in combinations
    }


_PRIOR = (0.6, 0.9)
GRIDS = {
    name: varied(*CHOSEN[name], **values)
    for name, values in {
        "sampled softmax, 64 negatives": {"temperature": (0.08, 0.12, 0.18)},
        "in-batch softmax": {"temperature": (0.09, 0.12, 0.16), "logit_adjustment": _PRIOR},
        "bilateral softmax": {"positive_temperature": (0.1, 0.14), "logit_adjustment": _PRIOR},
        "pairwise softmax": {"temperature": (0.045, 0.06, 0.08), "logit_adjustment": _PRIOR},
        "softmax at 20": {"temperature": (0.12, 0.16), "logit_adjustment": _PRIOR},
        "adaptive temperature": {"logit_adjustment": (0.0, 0.05, 0.1, 0.15)},
        "cosine contrastive": {"margin": (0.2, 0.4, 0.6), "negative_weight": (50.0, 150.0)},
        "DirectAU": {"gamma": (1.0, 2.0, 5.0)},
    }.items()
}
