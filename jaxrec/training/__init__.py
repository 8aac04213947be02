"""Train state and steps, optimizers, the epoch as one scan, the loop over epochs, and callbacks."""

from jaxrec.protocols import Batch, EpochEvent, StageInfo
from jaxrec.training._callbacks import Deadline, EarlyStopping, JsonLines, ProgressBar, SteadyLoss, scalars_of
from jaxrec.training._checkpoint import Checkpoint
from jaxrec.training._epoch import make_batch, train_epoch
from jaxrec.training._loop import LoopResult, Monitoring, train
from jaxrec.training._objective import Objective
from jaxrec.training._optimizers import SGD, Adagrad, Adam, OptaxOptimizer, as_optimizer
from jaxrec.training._progress import EpochRecord
from jaxrec.training._row_rules import RowRule, row_adagrad, row_adam, row_sgd
from jaxrec.training._rows import RowStep, step_for
from jaxrec.training._state import TrainData, TrainState, init_state, train_data
from jaxrec.training._step import DenseStep, Step, make_step, train_step
from jaxrec.training._weights import RatingConfidence, TimeDecay, Weighed, weights_of
from jaxrec.training._writers import MLflow, TensorBoard, WandB

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "Batch",
    "Checkpoint",
    "Deadline",
    "DenseStep",
    "EarlyStopping",
    "EpochEvent",
    "EpochRecord",
    "JsonLines",
    "LoopResult",
    "MLflow",
    "Monitoring",
    "Objective",
    "OptaxOptimizer",
    "ProgressBar",
    "RatingConfidence",
    "RowRule",
    "RowStep",
    "StageInfo",
    "SteadyLoss",
    "Step",
    "TensorBoard",
    "TimeDecay",
    "TrainData",
    "TrainState",
    "WandB",
    "Weighed",
    "as_optimizer",
    "init_state",
    "make_batch",
    "make_step",
    "row_adagrad",
    "row_adam",
    "row_sgd",
    "scalars_of",
    "step_for",
    "train",
    "train_data",
    "train_epoch",
    "train_step",
    "weights_of",
]
