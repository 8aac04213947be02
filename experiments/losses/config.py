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

EPOCHS, BATCH, RATE = 8, 8192, 2e-2
MODEL = jaxrec.LightGCN(dim=64, layers=1)


def row(loss: Loss, negatives: Negatives | None = None, *, rate: float = RATE, l2: float | None = None) -> Row:
    """Return the row of a loss.

    Args:
      loss: the loss.
      negatives: what it draws; None for what it has.
      rate: of Adam.
      l2: the weight of an L2 penalty, or none.
    """
    options = jaxrec.TrainingOptions(
        loss=loss,
        negatives=negatives,
        optimizer=Adam(rate),
        regularizer=None if l2 is None else SquaredL2(l2),
        batch_size=BATCH,
        epochs=EPOCHS,
        validation=None,
    )
    return Row(MODEL, options)


CHOSEN: Mapping[str, tuple[Loss, Negatives | None]] = {
    "BPR": (BPR(), None),
    "BPR, hardest of 16": (BPR(), Hardest(of=16)),
    "sampled softmax, 64 negatives": (SampledSoftmax(temperature=0.12), Uniform(64)),
    "in-batch softmax": (InBatchSoftmax(temperature=0.12, logit_adjustment=0.9), None),
    "bilateral softmax": (BilateralSoftmax(temperature=0.12, positive_temperature=0.14, logit_adjustment=0.9), None),
    "pairwise softmax": (PairwiseSoftmax(temperature=0.06, logit_adjustment=0.9), None),
    "softmax at 20": (SoftmaxAtK(temperature=0.12, weight_temperature=1.0, logit_adjustment=0.9), None),
    "adaptive temperature": (AdaptiveTemperature(logit_adjustment=0.1), None),
    "cosine contrastive": (CosineContrastive(margin=0.4, negative_weight=150.0), Uniform(64)),
    "DirectAU": (DirectAU(gamma=2.0), None),
}
# Losses of inner products, whose vectors grow: a penalty, and with hard negatives a lower rate.
INNER = {"BPR": {"l2": 1e-4}, "BPR, hardest of 16": {"rate": 5e-3, "l2": 1e-4}}

ROWS = {"": {name: row(*pair, **INNER.get(name, {})) for name, pair in CHOSEN.items()}}


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


def rates(name: str, *values: float) -> dict[str, Row]:
    """Return a row for each learning rate."""
    return {f"rate {rate:g}": row(*CHOSEN[name], **{**INNER.get(name, {}), "rate": rate}) for rate in values}


GRIDS = {
    "BPR": rates("BPR", 5e-3, 2e-2),
    "BPR, hardest of 16": rates("BPR, hardest of 16", 5e-3, 2e-2),
    **{
        name: varied(*CHOSEN[name], **values)
        for name, values in {
            "sampled softmax, 64 negatives": {"temperature": (0.12, 0.18)},
            "in-batch softmax": {"logit_adjustment": (0.6, 0.9)},
            "bilateral softmax": {"positive_temperature": (0.1, 0.14)},
            "pairwise softmax": {"temperature": (0.045, 0.06)},
            "softmax at 20": {"weight_temperature": (0.2, 1.0)},
            "adaptive temperature": {"logit_adjustment": (0.05, 0.1)},
            "cosine contrastive": {"margin": (0.2, 0.4)},
            "DirectAU": {"gamma": (1.0, 2.0, 5.0)},
        }.items()
    },
}
