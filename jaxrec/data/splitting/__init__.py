"""Splits of interactions into training, validation and test part."""

from jaxrec.data.splitting._parts import Split
from jaxrec.data.splitting._splits import (
    global_temporal,
    leave_one_out,
    predefined,
    random,
    split,
    user_kfold,
    user_kfolds,
    user_random,
    user_temporal,
)
from jaxrec.data.splitting._windows import TimeWindows

__all__ = [
    "Split",
    "TimeWindows",
    "global_temporal",
    "leave_one_out",
    "predefined",
    "random",
    "split",
    "user_kfold",
    "user_kfolds",
    "user_random",
    "user_temporal",
]
