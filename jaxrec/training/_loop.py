"""The loop over epochs: one runner for one model and for several at once, validation, and the best state of each."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec._checks import whole
from jaxrec.errors import JaxrecError, NonFiniteLossError, Terminated
from jaxrec.parallel._processes import agreed, stop_together
from jaxrec.parallel._processes import several as processes
from jaxrec.progress import work
from jaxrec.protocols import Callback, EpochEvent, Negatives, StageInfo
from jaxrec.pytrees import structure_of
from jaxrec.training._epoch import member_of, run_epoch, run_epoch_of_many
from jaxrec.training._health import health
from jaxrec.training._progress import EpochRecord, Keeper, MemberProgress, Progress, give_back, states_of
from jaxrec.training._signals import deferred_signals
from jaxrec.training._state import Params, TrainData, TrainState
from jaxrec.training._step import Step

_POINTS = itertools.count(1)  # epochs of this process, of all its trainings


@dataclasses.dataclass(frozen=True)
class LoopResult:
    """The outcome of a training.

    Attributes:
      state: the best state by the monitored metric, or the last one where nothing was validated. Where it is of an
        epoch before a resume, it has its parameters alone.
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


@dataclasses.dataclass(frozen=True)
class Monitoring:
    """When a training is validated, and which epoch is the best.

    Attributes:
      validate: (the number of a member, its parameters) -> metrics; None validates nothing.
      every: epochs between two validations; the last epoch is always validated.
      monitor: the metric to watch.
      higher_is_better: whether more of it is better.

    >>> Monitoring().due(5, 9)
    False
    """

    validate: Callable[[int, Params], Mapping[str, float]] | None = None
    every: int = 5
    monitor: str = ""
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        whole("every", self.every, 1)

    def due(self, epoch: int, epochs: int) -> bool:
        """Whether an epoch of so many is validated."""
        return self.validate is not None and (epoch % self.every == 0 or epoch == epochs)

    def measured(self, record: EpochRecord, member: int, params: Params) -> EpochRecord:
        """The record with the metrics of these parameters, and with the time that it took.

        Raises:
          JaxrecError: the metric to watch is not measured.
        """
        assert self.validate is not None
        started = time.perf_counter()
        metrics = {name: float(value) for name, value in self.validate(member, params).items()}
        if self.monitor not in metrics:
            raise JaxrecError(f"monitor is {self.monitor!r}, but validation gives {', '.join(sorted(metrics))}")
        return dataclasses.replace(record, valid=metrics, valid_seconds=time.perf_counter() - started)


class Member:
    """The records of one training, and its best state so far.

    >>> member = Member(2, Monitoring())
    >>> member.number, member.stopped
    (1, False)
    """

    def __init__(self, epochs: int, monitoring: Monitoring) -> None:
        epochs = whole("epochs", epochs, 1)
        self.epochs, self.stopped, self.records = epochs, False, []
        self.still = 0  # epochs in which nothing moved
        self._monitoring = monitoring
        self._best: tuple[Any, int, float] | None = None  # state, epoch, value

    @property
    def number(self) -> int:
        """The number of the epoch that runs now."""
        return len(self.records) + 1

    def take(self, record: EpochRecord, state: Callable[[], Any]) -> bool:
        """Take the record of an epoch that is over; returns whether it is the best so far.

        Args:
          record: of the epoch `number`.
          state: gives the state after it; called only where it is to be kept.
        """
        self.records.append(record)
        if not record.valid:
            return False
        value = record.valid[self._monitoring.monitor] * (1 if self._monitoring.higher_is_better else -1)
        best = value > (-math.inf if self._best is None else self._best[2])
        if best:
            self._best = (state(), record.epoch, value)
        return best

    def end(self, state: Callable[[], Any]) -> None:
        """Stop after the last record; the state after it is kept where none was the best.

        Raises:
          JaxrecError: no parameter moved in any epoch.
        """
        if self.still == len(self.records):
            skipped = int(self.records[-1].train.get("skipped", 0))
            remedy = "raise the learning rate, or the scale of the initial values above 0"
            if skipped:
                remedy = f"{skipped:,} interactions an epoch are of users who have every item, so they have no negative"
            raise JaxrecError(
                f"no parameter moved in {self.still:,} epoch{'s' if self.still > 1 else ''}, so nothing was learned: "
                f"{remedy}"
            )
        self.stopped = True
        if self._best is None:
            self._best = (state(), len(self.records), -math.inf)

    def resume(self, reached: MemberProgress) -> None:
        """Go on from what an earlier process has reached."""
        self.records, self.stopped = list(reached.records), reached.stopped
        if reached.best_epoch:
            best = TrainState(reached.best, (), None, None)  # pyright: ignore[reportArgumentType]
            self._best = (best, reached.best_epoch, reached.best_value)

    def progress(self) -> MemberProgress:
        """What the training has reached."""
        if self._best is None:
            return MemberProgress(tuple(self.records), self.stopped)
        state, epoch, value = self._best
        return MemberProgress(tuple(self.records), self.stopped, epoch, value, state.params)

    def result(self, compile_seconds: float) -> LoopResult:
        """The outcome of a training that has stopped."""
        assert self._best is not None
        state, epoch, _ = self._best
        return LoopResult(state, epoch, tuple(self.records), compile_seconds)


def train(
    state: TrainState,
    step: Step,
    negatives: Negatives | None,
    data: TrainData,
    *,
    batch_size: int,
    epochs: int | Sequence[int],
    monitoring: Monitoring | None = None,
    callbacks: Sequence[Callback] = (),
    stage: StageInfo | None = None,
    keeper: Keeper | None = None,
    original: Callable[[Any], Any] | None = None,
) -> list[LoopResult]:
    """Train one model, or S models side by side, and keep the best state of each.

    One program serves all members until the last one has stopped. A stopped member is computed on and not looked at,
    since leaving it out would be another shape to compile.

    Args:
      state: the state before, which is donated; for S models each leaf is [S, ...].
      step: of the training; for S models each leaf is [S, ...], see `jaxrec.pytrees.stack`.
      negatives: the sampler, likewise, or None.
      data: the interactions to train on, shared.
      batch_size: B.
      epochs: how many at the most; a sequence of S numbers trains S models.
      monitoring: when to validate and what to watch; by default never.
      callbacks: told of every epoch of every member; see `jaxrec.protocols.Callback`.
      stage: what the callbacks are told at the start.
      keeper: keeps the progress, and says where to start from. Ctrl-C and SIGTERM then wait for the end of the epoch;
        of several processes all end there, whichever they came to.
      original: gives a state in the order of the data, where the training has it in another one: for what callbacks
        and the state of an error get.

    Returns:
      A result for each model. The seconds are those of all members together.

    Raises:
      JaxrecError: no member, epochs that are no whole number of at least 1, a metric to watch that is not measured, or
        a training in which no parameter moved.
      NonFiniteLossError: a loss, a parameter or a number of the optimizer of a member that has not stopped became
        infinite or NaN; its `state` is the one of this member before that epoch.
      Terminated: SIGTERM came to one of several processes.

    >>> import jaxrec
    >>> from jaxrec.losses import BPR
    >>> from jaxrec.sampling import Uniform
    >>> from jaxrec.training import SGD, DenseStep, Objective, init_state, train_data
    >>> model = jaxrec.MF(dim=2, num_users=2, num_items=2)
    >>> step = DenseStep(Objective(model, BPR()), SGD(0.1))
    >>> state = init_state(model.init(jax.random.key(0))["params"], step, jax.random.key(1))
    >>> data = train_data(jaxrec.from_arrays(["u", "v"], ["a", "b"]))
    >>> [result.best_epoch for result in train(state, step, Uniform(), data, batch_size=2, epochs=3)]
    [3]
    """
    several = isinstance(epochs, Sequence)
    numbers = tuple(epochs) if several else (epochs,)
    if not numbers:
        raise JaxrecError("epochs is empty; pass one number for each member")
    monitoring = Monitoring() if monitoring is None else monitoring
    members = [Member(number, monitoring) for number in numbers]
    program = run_epoch_of_many if several else run_epoch
    stage = StageInfo("fit", "", numbers, monitoring.monitor) if stage is None else stage
    compile_seconds = 0.0
    reached = None if keeper is None else keeper.begun(stage, state)
    if reached is not None:
        state, compile_seconds = reached.state, reached.compile_seconds
        for member, own in zip(members, reached.members, strict=True):
            member.resume(own)
        stage = dataclasses.replace(stage, done=reached.epoch)
        if reached.over:  # it was stopped between its last epoch and what comes after
            with _told(callbacks, stage):
                give_back(callbacks, reached.callbacks)
            return [member.result(compile_seconds) for member in members]
    started = time.perf_counter()
    structure = structure_of((step, negatives))
    with work(f"{stage.label}, compiling"):
        epoch = program.lower(state, step, negatives, data, batch_size=batch_size, structure=structure).compile()
    compile_seconds += time.perf_counter() - started

    def of(states: TrainState, at: int) -> TrainState:
        return member_of(states, at) if several else jax.tree.map(jnp.copy, states)

    def given(states: TrainState, at: int) -> TrainState:
        return of(states, at) if original is None else original(of(states, at))

    def progress() -> Progress:
        return Progress(state, tuple(member.progress() for member in members), states_of(callbacks), compile_seconds)

    apart = not processes()
    with deferred_signals(keeper is not None) as signals, _told(callbacks, stage) as tell:
        if reached is not None:
            give_back(callbacks, reached.callbacks)
        while not all(member.stopped for member in members):
            good = jax.tree.map(jnp.copy, state)  # the epoch donates the state, so it is kept by copy
            started = time.perf_counter()
            state, infos = epoch(state, step, negatives, data)
            infos = jax.device_get(infos)
            seconds = time.perf_counter() - started
            moved, sound = (np.atleast_1d(answer) for answer in jax.device_get(health(good, state, several=several)))
            for at, member in enumerate(members):
                if member.stopped:
                    continue
                info = {name: (values[at] if several else values).item() for name, values in infos.items()}
                finite = info.pop("finite")
                member.still += not moved[at]
                if not finite or not sound[at]:
                    what = "the optimizer's state" if finite else "the loss"
                    who = f"{what} of member {at}" if several else what
                    raise _not_finite(member.number, info["loss"], given(good, at), who)
                record = EpochRecord(member.number, seconds, info)
                if monitoring.due(record.epoch, member.epochs):
                    params = member_of(state, at).params if several else state.params
                    record = monitoring.measured(record, at, params)
                copied = functools.partial(of, state, at)
                best = member.take(record, copied)
                params_of = functools.partial(_params_of, functools.partial(given, state, at))
                event = EpochEvent(record, params_of, at, best)
                # What one process stops for, such as its clock, all do.
                if agreed(tell(event)) or record.epoch == member.epochs:
                    member.end(copied)
            # Of several processes all stop at one point, so a signal that came to one is never delivered within.
            if keeper is None:
                stopping = stop_together(next(_POINTS))
            else:
                stopping = stop_together(keeper.step(progress()), signals.asked)
                keeper.take(progress(), now=stopping or (apart and signals.asked))
            if stopping:
                raise Terminated()
            if apart:
                signals.deliver()
    return [member.result(compile_seconds) for member in members]


def _params_of(state: Callable[[], TrainState]) -> Params:
    return state().params


@contextlib.contextmanager
def _told(callbacks: Sequence[Callback], stage: StageInfo) -> Iterator[Callable[[EpochEvent], bool]]:
    """A function that tells all callbacks of an event, and says whether one of them stops its member."""
    with contextlib.ExitStack() as started:
        for callback in callbacks:
            if hasattr(callback, "start"):  # a plain function has neither a start nor a finish
                callback.start(stage)
            if hasattr(callback, "finish"):
                started.callback(callback.finish)

        def tell(event: EpochEvent) -> bool:
            stops = False
            for callback in callbacks:  # each is told, also after one that stops
                stops = bool(callback(event)) or stops
            return stops

        yield tell


def _not_finite(epoch: int, loss: float, good: TrainState, who: str) -> NonFiniteLossError:
    """The error of a loss, or of what an optimizer keeps, that is not finite; `who` says which, and of which member."""
    error = NonFiniteLossError(
        f"{who} is not finite in epoch {epoch} (mean {loss}); lower the learning rate or the initial scale. "
        "The state before this epoch is kept in the `state` of this error"
    )
    error.state = good
    return error
