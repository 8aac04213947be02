"""Splits of interactions into training, validation and test part."""

from __future__ import annotations

import warnings
from typing import Any

from jaxrec.data.splitting._parts import Split, train_core
from jaxrec.data.splitting._splits import (
    GlobalTemporal,
    LeaveOneOut,
    Predefined,
    RandomSplit,
    UserKFold,
    UserRandom,
    UserTemporal,
    split,
)

__all__ = [
    "GlobalTemporal",
    "LeaveOneOut",
    "Predefined",
    "RandomSplit",
    "Split",
    "UserKFold",
    "UserRandom",
    "UserTemporal",
    "split",
    "train_core",
]

# The functions of 0.1, of which each splitter was one.
_OLD = {
    "global_temporal": GlobalTemporal,
    "leave_one_out": LeaveOneOut,
    "predefined": Predefined,
    "random": RandomSplit,
    "user_kfold": UserKFold,
    "user_kfolds": UserKFold,
    "user_random": UserRandom,
    "user_temporal": UserTemporal,
}


def __getattr__(name: str) -> Any:
    if name not in _OLD:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    kind = _OLD[name]
    warnings.warn(
        f"{__name__}.{name} is a name of 0.1 and goes in 0.3; use jaxrec.split(data, {kind.__name__}(...))",
        DeprecationWarning,
        stacklevel=2,
    )

    def old(data: Any, *fold: int, key: Any = None, **options: Any) -> Any:
        splitter = kind(*fold, **options)
        return (one(data, key) for one in splitter.rounds()) if name == "user_kfolds" else splitter(data, key)

    return old
