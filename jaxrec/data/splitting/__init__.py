"""Splits of interactions into training, validation and test part."""

from jaxrec.data.splitting._old_functions import __getattr__  # noqa: F401
from jaxrec.data.splitting._parts import Split, train_core
from jaxrec.data.splitting._rounds import TimeWindows, UserKFold
from jaxrec.data.splitting._splits import (
    GlobalTemporal,
    LeaveOneOut,
    Predefined,
    RandomSplit,
    UserOrder,
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
    "TimeWindows",
    "UserKFold",
    "UserOrder",
    "UserRandom",
    "UserTemporal",
    "split",
    "train_core",
]
