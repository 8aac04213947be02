"""The commands that are killed, and how often."""

from __future__ import annotations

from typing import NamedTuple

import jaxrec
from jaxrec.losses import InBatchSoftmax
from jaxrec.training import Adam


class Job(NamedTuple):
    """A command of `jaxrec` that is killed and taken up again.

    Attributes:
      words: of the command, without where it writes.
      kills: how many.
    """

    words: tuple[str, ...]
    kills: int


_FIT = (
    *(
        "fit",
        "ml-100k",
        "--model",
        "lightgcn",
        "--loss",
        "bpr",
        "--dim",
        "32",
        "--layers",
        "2",
        "--epochs",
        "30",
        "--eval-every",
        "2",
    ),
    *("--patience", "3", "--learning-rate", "0.02", "-k", "10", "--no-distances", "--quiet"),
)
JOBS = {
    "fit": Job(_FIT, 50),
    "seeds": Job((*_FIT, "--seeds", "3"), 20),
    "tune": Job(
        (
            *(
                "tune",
                "ml-100k",
                "--model",
                "mf",
                "--loss",
                "bpr",
                "--epochs",
                "12",
                "--eval-every",
                "2",
                "--trials",
                "8",
                "--quiet",
            ),
            *("--search", "dim=8:64:log", "learning_rate=0.003:0.1:log", "l2=1e-4:1e-1:log", "--json"),
        ),
        10,
    ),
}


class Processes(NamedTuple):
    """A fit over two processes of which one is killed.

    Attributes:
      words: of `jaxrec fit`, without the data and where it writes; an epoch is one step.
      users, items, pairs: of the generated data.
      kills: how many.
    """

    words: tuple[str, ...]
    users: int
    items: int
    pairs: int
    kills: int


PROCESSES = Processes(
    (
        *("--model", "lightgcn", "--loss", "bpr", "--dim", "16", "--layers", "2", "--batch-size", "8192"),
        *("--epochs", "80", "--eval-every", "20", "--patience", "0", "--learning-rate", "0.01", "--no-refit"),
        *("-k", "10", "--no-distances", "--layout", "rows", "--quiet", "--checkpoint-every", "1"),
    ),
    *(300, 400, 6000, 20),
)

# The setting that reaches the published recall soonest, so its epochs are among the shortest that Gowalla has.
COST_MODEL = jaxrec.LightGCN(dim=64, layers=1)
COST_OPTIONS = jaxrec.TrainingOptions(
    loss=InBatchSoftmax(0.12, accidental_hits="keep", logit_adjustment=None),
    optimizer=Adam(0.01),
    regularizer=None,
    batch_size=4096,
    epochs=4,
    validation=None,
    refit=False,
)
