"""Callbacks: early stopping, lines of JSON, a progress bar, and the writers of trackers."""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

from jaxrec._checks import number, whole
from jaxrec.errors import JaxrecError
from jaxrec.progress import heard, shown, work
from jaxrec.protocols import Callback, EpochEvent, StageInfo

if TYPE_CHECKING:
    from jaxrec.training._progress import EpochRecord


class EarlyStopping(Callback):
    """Stop a member after so many validations without a new best.

    Args:
      patience: validations without a new best; at least 1.

    >>> from jaxrec.training import EpochRecord
    >>> stop = EarlyStopping(patience=2)
    >>> stop.start(StageInfo("fit", "MF", (9,), "ndcg@10"))
    >>> values = ((0.1, True), (0.3, True), (0.2, False), (0.1, False))
    >>> [stop(EpochEvent(EpochRecord(1, 0.5, {}, {"ndcg@10": value}), dict, best=best)) for value, best in values]
    [False, False, False, True]
    """

    def __init__(self, patience: int = 4) -> None:
        self.patience = whole("patience", patience, 1)
        self._stale: dict[int, int] = {}

    def start(self, stage: StageInfo) -> None:
        """Forget the stage before."""
        self._stale = {}

    def __call__(self, event: EpochEvent) -> bool:
        """Whether the patience is over."""
        if event.record.valid:
            self._stale[event.member] = 0 if event.best else self._stale.get(event.member, 0) + 1
        return self._stale.get(event.member, 0) >= self.patience

    def checkpoint_state(self) -> Any:
        """The validations without a new best of each member."""
        return {str(member): stale for member, stale in self._stale.items()}

    def resume_from(self, state: Any) -> None:
        """Go on counting."""
        self._stale = {int(member): stale for member, stale in state.items()}


class SteadyLoss(Callback):
    """Stop a member when its loss, summed over an epoch, changes by less than a tolerance.

    Args:
      tolerance: positive.

    >>> from jaxrec.training import EpochRecord
    >>> stop = SteadyLoss(tolerance=0.1)
    >>> [stop(EpochEvent(EpochRecord(1, 0.5, {"total": total}), dict)) for total in (3.0, 2.0, 1.95)]
    [False, False, True]
    """

    def __init__(self, tolerance: float) -> None:
        if not tolerance > 0:
            raise JaxrecError(f"tolerance must be positive, got {tolerance}")
        self.tolerance = tolerance
        self._before: dict[int, float] = {}

    def start(self, stage: StageInfo) -> None:
        """Forget the stage before."""
        self._before = {}

    def __call__(self, event: EpochEvent) -> bool:
        """Whether the loss stands still."""
        total = event.record.train["total"]
        before = self._before.get(event.member, math.inf)
        self._before[event.member] = total
        return abs(total - before) < self.tolerance

    def checkpoint_state(self) -> Any:
        """The last loss of each member."""
        return {str(member): total for member, total in self._before.items()}

    def resume_from(self, state: Any) -> None:
        """Go on comparing."""
        self._before = {int(member): total for member, total in state.items()}


class Deadline(Callback):
    """Stop a training in time: after the epoch from which another one would not end before the deadline.

    The time is that since the first stage began, with compiling and validation. The refit of `jaxrec.fit` is not
    stopped, since it repeats the epochs that were best; it takes about as long again.

    Args:
      seconds: from the start to the deadline, above 0; one epoch is always trained.
      clock: gives the time in seconds.

    >>> from jaxrec.training import EpochRecord
    >>> times = iter([0.0, 3.0, 6.0, 9.0])
    >>> stop = Deadline(10, clock=lambda: next(times))
    >>> stop.start(StageInfo("fit", "MF", (9,)))
    >>> [stop(EpochEvent(EpochRecord(epoch, 3.0, {}), dict)) for epoch in (1, 2, 3)]
    [False, False, True]
    """

    def __init__(self, seconds: float = 60.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = number("seconds", seconds, 0, above=True)
        self.clock = clock
        self.reached = False
        """Whether it has stopped a training."""
        self._started: float | None = None
        self._before: float | None = None  # of the epoch before; the first one is compiled
        self._longest, self._again = 0.0, False

    def start(self, stage: StageInfo) -> None:
        """Begin to count, once."""
        self._again = stage.name == "refit"
        self._started = self.clock() if self._started is None else self._started
        self._before = None

    def __call__(self, event: EpochEvent) -> bool:
        """Whether another epoch like the longest one would end too late."""
        assert self._started is not None
        now, known = self.clock(), event.record.seconds + event.record.valid_seconds
        self._longest = max(self._longest, known, 0.0 if self._before is None else now - self._before)
        self._before = now
        late = not self._again and now - self._started + self._longest > self.seconds
        self.reached = self.reached or late
        return late

    def checkpoint_state(self) -> Any:
        """The seconds that have passed."""
        return None if self._started is None else self.clock() - self._started

    def resume_from(self, state: Any) -> None:
        """Go on counting from there."""
        self._started = self.clock() - (state or 0.0)


class JsonLines(Callback):
    """Append a line of JSON for every epoch to a file; what is in it stays.

    A line has the stage, with several members the `member`, and what `EpochRecord.to_dict` gives.

    Args:
      path: the file; its folder must exist.

    >>> import tempfile
    >>> from jaxrec.training import EpochRecord
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lines = JsonLines(pathlib.Path(folder, "log"))
    ...     lines.start(StageInfo("refit", "MF", (1,)))
    ...     lines(EpochEvent(EpochRecord(1, 0.5, {"loss": 0.69}), dict))
    ...     lines.finish()
    ...     print(pathlib.Path(folder, "log").read_text().strip())
    {"stage": "refit", "epoch": 1, "seconds": 0.5, "loss": 0.69}
    """

    only_writes: ClassVar[bool] = True

    def __init__(self, path: str | pathlib.Path = "log.jsonl") -> None:
        self.path = pathlib.Path(path)
        self._file: TextIO | None = None
        self._stage = StageInfo("fit", "", ())

    def start(self, stage: StageInfo) -> None:
        """Open the file."""
        self._stage, self._file = stage, open(self.path, "a", encoding="utf-8")  # noqa: SIM115

    def __call__(self, event: EpochEvent) -> None:
        """Write a line."""
        assert self._file is not None
        self._file.write(log_line(self._stage.name, event.member, self._stage.members, event.record))
        self._file.flush()  # so that the file can be followed, and survives a kill

    def finish(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def log_line(stage: str, member: int, members: int, record: EpochRecord) -> str:
    """The line of an epoch in a log.

    >>> from jaxrec.training import EpochRecord
    >>> log_line("fit", 1, 2, EpochRecord(3, 0.5, {"loss": 0.7}))
    '{"stage": "fit", "member": 1, "epoch": 3, "seconds": 0.5, "loss": 0.7}\\n'
    """
    number = {"member": member} if members > 1 else {}
    return json.dumps(_plain({"stage": stage, **number, **record.to_dict()}), allow_nan=False) + "\n"


class ProgressBar(Callback):
    """Progress of a stage with the time left, the loss and the metric that is watched, on standard error.

    A terminal gets one line that rewrites itself, a log a few plain lines; within `jaxrec.progress.heard_by` the
    listener is told. Of several members it shows the first that reports an epoch. `jaxrec.fit(..., progress=True)` adds
    one.

    >>> from jaxrec.training import EpochRecord
    >>> bar = ProgressBar()
    >>> bar.start(StageInfo("fit", "MF", (2,)))
    >>> bar(EpochEvent(EpochRecord(1, 0.5, {"loss": 0.7}), dict))
    >>> bar.finish()
    """

    only_writes: ClassVar[bool] = True

    def start(self, stage: StageInfo) -> None:
        """Begin to show the stage."""
        self._open = contextlib.ExitStack()
        if not heard():
            self._open.enter_context(shown())
        unit = "epochs at most" if stage.monitor else "epochs"  # what is validated may stop early
        self._work = self._open.enter_context(work(stage.label, max(stage.epochs), unit=unit))
        self._work.reach(stage.done)
        self._monitor, self._valid, self._done = stage.monitor, "", stage.done

    def __call__(self, event: EpochEvent) -> None:
        """Say that an epoch is over."""
        record = event.record
        if record.epoch <= self._done:
            return
        self._done = record.epoch
        if self._monitor in record.valid:
            self._valid = f", {self._monitor} {record.valid[self._monitor]:.4f}"
        self._work.reach(record.epoch, f"loss {record.train['loss']:.4f}{self._valid}")

    def finish(self) -> None:
        """The stage is over."""
        self._open.close()


def scalars_of(event: EpochEvent) -> dict[str, float]:
    """The finite figures of an epoch by one name each, as trackers take them: train/loss, valid/ndcg@10, seconds.

    >>> from jaxrec.training import EpochRecord
    >>> scalars_of(EpochEvent(EpochRecord(1, 0.5, {"loss": 0.7}, {"ndcg@10": 0.1}), dict))
    {'train/loss': 0.7, 'valid/ndcg@10': 0.1, 'seconds': 0.5}
    """
    figures = {f"train/{name}": value for name, value in event.record.train.items()}
    figures |= {f"valid/{name}": value for name, value in event.record.valid.items()}
    return {name: value for name, value in {**figures, "seconds": event.record.seconds}.items() if math.isfinite(value)}


def _plain(value: Any) -> Any:
    """The value with null for what is not finite, which JSON has no word for."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
