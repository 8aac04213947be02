"""Splits of interactions into training, validation and test part."""

from jaxrec.data.splitting._parts import Split, train_core
from jaxrec.data.splitting._splits import (
    GlobalTemporal,
    LeaveOneOut,
    Predefined,
    RandomSplit,
    UserKFold,
    UserRandom,
    UserTemporal,
    __getattr__,  # noqa: F401 - the functions of 0.1
    split,
)
from jaxrec.data.splitting._windows import TimeWindows

__all__ = [
    "GlobalTemporal",
    "LeaveOneOut",
    "Predefined",
    "RandomSplit",
    "Split",
    "TimeWindows",
    "UserKFold",
    "UserRandom",
    "UserTemporal",
    "split",
    "train_core",
]
