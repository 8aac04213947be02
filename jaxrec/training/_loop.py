"""The loop over epochs: validation, early stopping, and a stop when the loss is not finite."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError, NonFiniteLossError
from jaxrec.training._state import Params, TrainState

SMALLER_IS_BETTER = ("rmse", "mae")


@dataclasses.dataclass(frozen=True)
class EpochRecord:
    """What is known of one epoch when it is over.

    Attributes:
      epoch: its number, from 1.
      seconds: the time it took, without compilation and validation.
      train: the means over the epoch (`loss`, `ranking`, `penalty`) and `skipped`.
      valid: the metrics on the validation part, empty where it was not validated.
      valid_seconds: the time that validation took; the first one includes its compilation.

    >>> EpochRecord(1, 0.5, {"loss": 0.69}).to_dict()
    {'epoch': 1, 'seconds': 0.5, 'loss': 0.69}
    """

    epoch: int
    seconds: float
    train: Mapping[str, float]
    valid: Mapping[str, float] = dataclasses.field(default_factory=dict)
    valid_seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The record as plain numbers for a line of JSON.

        >>> EpochRecord(2, 0.5, {"loss": 0.6}, {"ndcg@10": 0.1}, 0.2).to_dict()["valid"]
        {'ndcg@10': 0.1}
        """
        record = {"epoch": self.epoch, "seconds": round(self.seconds, 6), **self.train}
        if self.valid:
            record |= {"valid": dict(self.valid), "valid_seconds": round(self.valid_seconds, 6)}
        return record


@dataclasses.dataclass(frozen=True)
class LoopResult:
    """How the loop ended.

    Attributes:
      state: the best state by the monitored metric, or the last one where nothing was validated.
      best_epoch: the epoch that it comes from.
      records: one for each epoch that was run.
      compile_seconds: the time that lowering and compiling the epoch took.

    >>> LoopResult(None, 1, (), 0.0).best_epoch
    1
    """

    state: Any
    best_epoch: int
    records: tuple[EpochRecord, ...]
    compile_seconds: float


class Callback(Protocol):
    """Something that is told of every epoch."""

    def __call__(self, record: EpochRecord) -> None:
        """Take the record of an epoch that is over."""
        ...


def train(
    state: TrainState,
    data: Any,
    epoch: Any,
    *,
    epochs: int,
    validate: Callable[[Params], Mapping[str, float]] | None = None,
    every: int = 5,
    monitor: str = "ndcg@10",
    patience: int | None = None,
    tolerance: float = 0.0,
    callbacks: tuple[Callback, ...] = (),
) -> LoopResult:
    """Run a number of epochs, and keep the best state by a metric on the validation part.

    Args:
      state: the state before; it is donated.
      data: passed to every epoch.
      epoch: a jitted function (state, data) -> (state, info) with `loss`, `finite` and `skipped` in its info, as
        `make_epoch` gives.
      epochs: how many at the most.
      validate: params -> metrics, called after every `every` epochs and after the last; or None.
      every: epochs between two validations.
      monitor: the metric to maximise; "rmse" and "mae" are minimised.
      patience: stop after this many validations without a new best; None runs all epochs.
      tolerance: stop when `total`, the loss summed over an epoch, changes by less than this; 0 never stops so.
      callbacks: each is called with the record of every epoch.

    Raises:
      JaxrecError: epochs, every or patience below 1, or a metric that `validate` does not give.
      NonFiniteLossError: a loss or parameter became infinite or NaN; its `state` is the one before that epoch.

    >>> step = jax.jit(lambda state, data: (state, {"loss": data, "finite": data < 9, "skipped": 0}))
    >>> train(None, 1.0, step, epochs=2).best_epoch
    2
    """
    watch = Watch(epochs, every=every, monitor=monitor, patience=patience, tolerance=tolerance)
    started = time.perf_counter()
    compiled = epoch.lower(state, data).compile()
    compile_seconds = time.perf_counter() - started
    while not watch.stopped:
        good = jax.tree.map(jnp.copy, state)  # the epoch donates the state, so it is kept by copy
        started = time.perf_counter()
        state, info = compiled(state, data)
        info = {name: value.item() for name, value in jax.device_get(info).items()}
        seconds = time.perf_counter() - started
        if not info.pop("finite"):
            raise not_finite(watch.number, info["loss"], good)
        record = EpochRecord(watch.number, seconds, info)
        if validate is not None and watch.validates:
            record = watch.validated(record, functools.partial(validate, state.params))
        watch.take(record, functools.partial(jax.tree.map, jnp.copy, state))
        for callback in callbacks:
            callback(record)
    return watch.result(compile_seconds)


class Watch:
    """Which state of a training is the best so far, and whether it is over.

    It holds what changes while a training runs: `records` of the epochs, and `stopped`.

    Args:
      epochs: how many at the most.
      every: epochs between two validations.
      monitor: the metric to maximise; "rmse" and "mae" are minimised.
      patience: stop after this many validations without a new best; None runs all epochs.
      tolerance: stop when `total`, the loss summed over an epoch, changes by less than this; 0 never stops so.

    Raises:
      JaxrecError: epochs, every or patience below 1.

    >>> watch = Watch(9, every=1, monitor="ndcg@10", patience=1)
    >>> for ndcg in (0.1, 0.3, 0.2):
    ...     watch.take(EpochRecord(watch.number, 0.5, {}, {"ndcg@10": ndcg}), lambda: f"state with {ndcg}")
    >>> watch.stopped, watch.result(0.0).best_epoch, watch.result(0.0).state
    (True, 2, 'state with 0.3')
    """

    def __init__(
        self, epochs: int, *, every: int = 5, monitor: str = "", patience: int | None = None, tolerance: float = 0.0
    ) -> None:
        for name, value in (("epochs", epochs), ("every", every), ("patience", 1 if patience is None else patience)):
            if value < 1:
                raise JaxrecError(f"{name} must be at least 1, got {value}")
        self.records: list[EpochRecord] = []
        self.stopped = False
        self._rules = (epochs, every, monitor, patience, tolerance)
        self._best: tuple[Any, int, float] | None = None  # state, epoch, value
        self._stale = 0

    @property
    def number(self) -> int:
        """The number of the epoch that runs now."""
        return len(self.records) + 1

    @property
    def validates(self) -> bool:
        """Whether the epoch that runs now is to be validated."""
        epochs, every, *_ = self._rules
        return self.number % every == 0 or self.number == epochs

    def validated(self, record: EpochRecord, measure: Callable[[], Mapping[str, float]]) -> EpochRecord:
        """The record with what is measured now, and with the time that it took.

        Raises:
          JaxrecError: the metric to watch is not measured.
        """
        monitor, started = self._rules[2], time.perf_counter()
        metrics = {name: float(value) for name, value in measure().items()}
        if monitor not in metrics:
            raise JaxrecError(f"monitor is {monitor!r}, but validation gives {', '.join(sorted(metrics))}")
        return dataclasses.replace(record, valid=metrics, valid_seconds=time.perf_counter() - started)

    def take(self, record: EpochRecord, state: Callable[[], Any]) -> None:
        """Take the record of an epoch that is over.

        Args:
          record: of the epoch `number`.
          state: gives the state after it, to keep; called only where it is the best, or the last without any best.
        """
        epochs, _, monitor, patience, tolerance = self._rules
        if record.valid:
            value = -record.valid[monitor] if monitor in SMALLER_IS_BETTER else record.valid[monitor]
            if value > (-math.inf if self._best is None else self._best[2]):
                self._best, self._stale = (state(), record.epoch, value), 0
            else:
                self._stale += 1
        before = self.records[-1].train if self.records else None
        self.records.append(record)
        self.stopped = len(self.records) == epochs or (patience is not None and self._stale >= patience)
        if tolerance and before is not None and abs(record.train["total"] - before["total"]) < tolerance:
            self.stopped = True
        if self.stopped and self._best is None:
            self._best = (state(), record.epoch, -math.inf)

    def result(self, compile_seconds: float) -> LoopResult:
        """How a training that has stopped ended."""
        assert self._best is not None
        state, epoch, _ = self._best
        return LoopResult(state, epoch, tuple(self.records), compile_seconds)


def not_finite(epoch: int, loss: float, good: TrainState, who: str = "") -> NonFiniteLossError:
    """The error of a loss that is not finite.

    Args:
      epoch: its number.
      loss: the mean over the epoch.
      good: the state before it.
      who: of whom the loss is, as words that follow "the loss".

    >>> not_finite(3, math.inf, None).args[0][:38]
    'the loss is not finite in epoch 3 (mea'
    """
    error = NonFiniteLossError(
        f"the loss{who} is not finite in epoch {epoch} (mean {loss}); lower the learning rate or the initial scale. "
        "The state before this epoch is kept in the `state` of this error"
    )
    error.state = good
    return error


@contextlib.contextmanager
def json_lines(path: str | pathlib.Path | None, **constants: Any) -> Iterator[tuple[Callback, ...]]:
    """A callback that appends one line of JSON an epoch to a file; no callback where `path` is None.

    Args:
      path: the file; its folder must exist.
      **constants: further entries of every line, for example the stage.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = pathlib.Path(folder, "log")
    ...     with json_lines(log, stage="refit") as callbacks:
    ...         callbacks[0](EpochRecord(1, 0.5, {"loss": 0.69}))
    ...     print(log.read_text().strip())
    {"stage": "refit", "epoch": 1, "seconds": 0.5, "loss": 0.69}
    """
    if path is None:
        yield ()
        return
    with open(path, "a", encoding="utf-8") as file:

        def write(record: EpochRecord) -> None:
            file.write(json.dumps(_plain({**constants, **record.to_dict()}), allow_nan=False) + "\n")
            file.flush()  # so that the file can be followed, and survives a kill

        yield (write,)


def _plain(value: Any) -> Any:
    """The value with null for what is not finite, which JSON has no word for."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def progress_bar(total: int, label: str, enabled: bool, monitor: str = "") -> Iterator[tuple[Callback, ...]]:
    """A callback that moves a bar on standard error; no callback where it is not enabled.

    Args:
      total: epochs.
      label: what stands before the bar.
      enabled: whether there is a bar at all.
      monitor: the validation metric to show beside the loss.

    >>> with progress_bar(3, "MF", enabled=False) as callbacks:
    ...     callbacks
    ()
    """
    if not enabled:
        yield ()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, note="")
        valid = ""

        def move(record: EpochRecord) -> None:
            nonlocal valid
            if monitor in record.valid:
                valid = f"  {monitor} {record.valid[monitor]:.4f}"
            bar.update(task, completed=record.epoch, note=f"loss {record.train['loss']:.4f}{valid}")

        yield (move,)
