"""What a training has reached after an epoch: all that it takes to go on as if it had never stopped."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from jaxrec.errors import RunFolderError
from jaxrec.protocols import Callback, StageInfo


@dataclasses.dataclass(frozen=True)
class EpochRecord:
    """The figures of one epoch.

    Attributes:
      epoch: its number, from 1.
      seconds: the time it took, without compilation and validation.
      train: the means over the epoch (`loss`, `ranking`, `penalty`), `total` and `skipped`.
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
class MemberProgress:
    """What one training has reached.

    Attributes:
      records: one for each epoch that is over.
      stopped: whether it has ended.
      best_epoch: the epoch of the best parameters so far; 0 where none was the best yet.
      best_value: the value that made it the best, larger is better; -inf where nothing was validated.
      best: the parameters of that epoch, or None.

    >>> MemberProgress.of_dict(MemberProgress((), True, 3).to_dict()).best_epoch
    3
    """

    records: tuple[EpochRecord, ...] = ()
    stopped: bool = False
    best_epoch: int = 0
    best_value: float = -math.inf
    best: Any = None

    def to_dict(self) -> dict[str, Any]:
        """All but the parameters, as plain JSON values; numbers keep all their digits."""
        value = None if math.isinf(self.best_value) else self.best_value
        return {
            "records": [record_to_dict(record) for record in self.records],
            "stopped": self.stopped,
            "best_epoch": self.best_epoch,
            "best_value": value,
        }

    @staticmethod
    def of_dict(values: Mapping[str, Any]) -> MemberProgress:
        """Make it of what `to_dict` gave."""
        value = -math.inf if values["best_value"] is None else values["best_value"]
        records = tuple(EpochRecord(**record) for record in values["records"])
        return MemberProgress(records, values["stopped"], values["best_epoch"], value)


@dataclasses.dataclass(frozen=True)
class Progress:
    """What the trainings of a stage have reached together.

    Attributes:
      state: the train state after the last epoch, of S members stacked.
      members: what each has reached.
      callbacks: what the callbacks keep, see `states_of`.
      compile_seconds: that compiling has taken so far.

    >>> Progress(None, (MemberProgress(stopped=True),)).epoch
    0
    """

    state: Any
    members: tuple[MemberProgress, ...]
    callbacks: Sequence[Any] = ()
    compile_seconds: float = 0.0

    @property
    def epoch(self) -> int:
        """How many epochs are over, for the member that has gone furthest."""
        return max(len(member.records) for member in self.members)

    @property
    def over(self) -> bool:
        """Whether all members have ended."""
        return all(member.stopped for member in self.members)


class Keeper(Protocol):
    """What the loop tells of its progress, and asks where it is to start from."""

    def begun(self, stage: StageInfo, state: Any) -> Progress | None:
        """A stage starts with this state; gives what an earlier process has reached in it, or None.

        Raises:
          RunFolderError: what was kept does not fit the state.
        """
        ...

    def step(self, progress: Progress) -> int:
        """The number that a checkpoint of the progress has; it rises over the stages of a fit."""
        ...

    def due(self, progress: Progress, *, now: bool = False) -> bool:
        """Whether it is time to keep the progress; `now` is always."""
        ...

    def take(self, progress: Progress, *, now: bool = False) -> None:
        """Keep the progress where it is time to; `now` keeps it in any case.

        Raises:
          RunFolderError: it cannot be written.
        """
        ...


def record_to_dict(record: EpochRecord) -> dict[str, Any]:
    """A record as plain JSON values, with all digits of its seconds.

    >>> record_to_dict(EpochRecord(1, 0.1234567, {"loss": 0.5}))["seconds"]
    0.1234567
    """
    return {**dataclasses.asdict(record), "train": dict(record.train), "valid": dict(record.valid)}


def states_of(callbacks: Sequence[Any]) -> list[Any]:
    """What callbacks keep: [the name of the class, its state] of each that keeps something.

    >>> from jaxrec.training import EarlyStopping
    >>> states_of([print, EarlyStopping(2)])
    [['EarlyStopping', {}]]
    """
    kept = [(callback, getattr(callback, "checkpoint_state", None)) for callback in callbacks]
    states = [[type(callback).__name__, state()] for callback, state in kept if state is not None]
    return [[name, state] for name, state in states if state is not None]


def give_back(callbacks: Sequence[Any], kept: Sequence[Any]) -> None:
    """Give callbacks what `states_of` took from them.

    Raises:
      RunFolderError: other callbacks keep something now.

    >>> from jaxrec.training import EarlyStopping
    >>> stop = EarlyStopping(2)
    >>> give_back([stop], [["EarlyStopping", {"0": 1}]])
    >>> states_of([stop])
    [['EarlyStopping', {'0': 1}]]
    """
    keeping: list[Callback] = [
        each for each in callbacks if hasattr(each, "checkpoint_state") and each.checkpoint_state() is not None
    ]
    now, then = [type(each).__name__ for each in keeping], [name for name, _ in kept]
    if now != then:
        raise RunFolderError(
            f"the callbacks that keep something were {', '.join(then) or 'none'} and are {', '.join(now) or 'none'}; "
            "pass those of the fit that was stopped"
        )
    for callback, (_, state) in zip(keeping, kept, strict=True):
        callback.resume_from(state)
