"""The grid of each model, and the seeds; each fold chooses on a tenth of its training part."""

from __future__ import annotations

import dataclasses
from typing import Any

import jaxrec

SEEDS = (0, 1, 2)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A model and its training options."""

    model: Any
    options: jaxrec.FitOptions


# The loss is the mean of squared errors, not halved, and the L2 term is halved: in Surprise's terms the learning rate
# is twice the one here, and the regularization half.
SGD = jaxrec.FitOptions(
    loss="mse",
    optimizer="sgd",
    reduction="sum",
    batch_size=4000,
    eval_every=1,
    patience=3,
    epochs=40,
)


def _sgd(rate: float, decay: float, l2: float) -> jaxrec.FitOptions:
    return dataclasses.replace(SGD, learning_rate=rate, decay=decay, l2=l2)


SMALLER_BATCHES = dataclasses.replace(_sgd(0.0125, 0.93, 0.16), batch_size=2000)

# SVD++ has one more column for its penalty, and sparse products are fastest at multiples of 8: hence 47 and 55.
GRIDS: dict[str, tuple[Candidate, ...]] = {
    "mf": (
        Candidate(jaxrec.MF(dim=200, bias=True, scale=0.03), _sgd(0.012, 0.96, 0.16)),
        Candidate(jaxrec.MF(dim=200, bias=True, scale=0.03), _sgd(0.012, 0.96, 0.20)),
        Candidate(jaxrec.MF(dim=200, bias=True, scale=0.03), _sgd(0.012, 0.96, 0.24)),
        Candidate(jaxrec.MF(dim=100, bias=True, scale=0.03), _sgd(0.012, 0.96, 0.20)),
    ),
    "svdpp": (
        Candidate(jaxrec.SVDPP(dim=47, implicit_l2=0.006, scale=0.03), _sgd(0.0125, 0.93, 0.16)),
        Candidate(jaxrec.SVDPP(dim=47, implicit_l2=0.02, scale=0.03), _sgd(0.0125, 0.93, 0.16)),
        Candidate(jaxrec.SVDPP(dim=47, implicit_l2=0.006, scale=0.03), _sgd(0.0125, 0.93, 0.20)),
        Candidate(jaxrec.SVDPP(dim=55, implicit_l2=0.006, scale=0.03), SMALLER_BATCHES),
    ),
    "nmf": tuple(
        Candidate(jaxrec.NMF(dim=50, l2=l2, iterations=rounds), jaxrec.FitOptions(loss="mse"))
        for l2, rounds in ((0.10, 50), (0.14, 50), (0.18, 50), (0.14, 100))
    ),
}

# The grids of Surprise, its defaults first. Names and meanings are those of its classes.
PEER_GRIDS: dict[str, tuple[dict[str, Any], ...]] = {
    "SVD": (
        {},
        {"n_epochs": 40, "lr_all": 0.005, "reg_all": 0.06},
        {"n_factors": 200, "n_epochs": 40, "lr_all": 0.01, "reg_all": 0.08},
        {"n_factors": 200, "n_epochs": 60, "lr_all": 0.01, "reg_all": 0.1},
    ),
    "SVDpp": (
        {},
        {"cache_ratings": True, "n_epochs": 30, "lr_all": 0.007, "reg_all": 0.05},
        {"cache_ratings": True, "n_epochs": 40, "lr_all": 0.007, "reg_all": 0.08},
    ),
    "NMF": (
        {},
        {"n_factors": 30, "n_epochs": 100, "reg_pu": 0.1, "reg_qi": 0.1},
        {"n_factors": 50, "n_epochs": 100, "reg_pu": 0.15, "reg_qi": 0.15},
        {
            "n_factors": 15,
            "n_epochs": 100,
            "biased": True,
            "reg_pu": 0.1,
            "reg_qi": 0.1,
            "lr_bu": 0.005,
            "lr_bi": 0.005,
        },
    ),
}
