"""Train state and steps, the epoch as one scan, the loop over epochs, and many trainings at once."""

from jaxrec.training._epoch import make_epoch, make_step, train_epoch, train_step
from jaxrec.training._loop import EpochRecord, LoopResult, train
from jaxrec.training._many import Settings, make_many_epoch, train_many
from jaxrec.training._objective import Objective
from jaxrec.training._state import Batch, TrainData, TrainState, init_state, train_data

__all__ = [
    "Batch",
    "EpochRecord",
    "LoopResult",
    "Objective",
    "Settings",
    "TrainData",
    "TrainState",
    "init_state",
    "make_epoch",
    "make_many_epoch",
    "make_step",
    "train",
    "train_data",
    "train_epoch",
    "train_many",
    "train_step",
]
