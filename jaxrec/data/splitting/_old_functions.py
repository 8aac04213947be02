"""The functions of 0.1, of which each splitter was one, and its module of them."""

from __future__ import annotations

import warnings
from typing import Any

from jaxrec.data.splitting._rounds import UserKFold
from jaxrec.data.splitting._splits import (
    GlobalTemporal,
    LeaveOneOut,
    Predefined,
    RandomSplit,
    UserRandom,
    UserTemporal,
    split,  # noqa: F401
)

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
        raise AttributeError(f"module 'jaxrec.data.splitting' has no attribute {name!r}")
    kind = _OLD[name]
    warnings.warn(
        f"jaxrec.data.splitting.{name} is a name of 0.1 and goes in 0.3; use jaxrec.split(data, {kind.__name__}(...))",
        DeprecationWarning,
        stacklevel=2,
    )

    def old(data: Any, *fold: int, key: Any = None, **options: Any) -> Any:
        splitter = kind(*fold, **options)
        return (one(data, key) for one in splitter.rounds()) if name == "user_kfolds" else splitter(data, key)

    return old
