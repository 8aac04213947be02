"""The grid of each model, and the seeds; each fold chooses on a tenth of its training part."""

from __future__ import annotations

from typing import Any, NamedTuple

import jaxrec
from jaxrec.losses import SquaredError, SquaredL2
from jaxrec.training import SGD

SEEDS = (0, 1, 2)


class Grid(NamedTuple):
    """A model, its training options, and the settings that are tried.

    Attributes:
      model: the model without sizes.
      options: the training options.
      settings: the changes of each candidate, by path; see `jaxrec.tune`.
    """

    model: Any
    options: jaxrec.TrainingOptions
    settings: tuple[dict[str, Any], ...]


# The loss is the mean of squared errors, not halved, and the L2 term is halved: in Surprise's terms the learning rate
# is twice the one here, and the regularization half.
def _sgd(rate: float, decay: float) -> jaxrec.TrainingOptions:
    return jaxrec.TrainingOptions(
        loss=SquaredError(),
        optimizer=SGD(rate, decay=decay),
        regularizer=SquaredL2(0.16),
        reduction="sum",
        batch_size=4000,
        epochs=40,
        validation=jaxrec.Validation(every=1, patience=3),
    )


GRIDS = {
    "mf": Grid(
        jaxrec.MF(dim=200, bias=True, scale=0.03),
        _sgd(0.012, 0.96),
        (
            {"regularizer.weight": 0.16},
            {"regularizer.weight": 0.20},
            {"regularizer.weight": 0.24},
            {"regularizer.weight": 0.20, "model.dim": 100},
        ),
    ),
    # SVD++ has one more column for its penalty, and sparse products are fastest at multiples of 8: hence 47 and 55.
    "svdpp": Grid(
        jaxrec.SVDPP(dim=47, implicit_l2=0.006, scale=0.03),
        _sgd(0.0125, 0.93),
        (
            {"regularizer.weight": 0.16},
            {"regularizer.weight": 0.16, "model.implicit_l2": 0.02},
            {"regularizer.weight": 0.20},
            {"regularizer.weight": 0.16, "model.dim": 55, "batch_size": 2000},
        ),
    ),
    "nmf": Grid(
        jaxrec.NMF(dim=50),
        jaxrec.TrainingOptions(loss=SquaredError()),
        tuple(
            {"model.l2": l2, "model.iterations": rounds}
            for l2, rounds in ((0.10, 50), (0.14, 50), (0.18, 50), (0.14, 100))
        ),
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
