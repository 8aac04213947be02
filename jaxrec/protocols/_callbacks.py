"""Callbacks of a training, and what they are told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from jaxrec.training import EpochRecord


@dataclasses.dataclass(frozen=True)
class StageInfo:
    """What a callback is told when a stage of training starts.

    Attributes:
      name: "fit" or "refit".
      model: the name of the model's class.
      epochs: how many at the most, one number for each member.
      monitor: the validation metric to watch, or "" where nothing is validated.
      settings: the options of the fit, as plain JSON values.
      done: the epochs that an earlier process has done, of a fit that is resumed.

    >>> StageInfo("fit", "MF", (5,)).members
    1
    """

    name: str
    model: str
    epochs: tuple[int, ...]
    monitor: str = ""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    done: int = 0

    @property
    def members(self) -> int:
        """How many models are trained together."""
        return len(self.epochs)

    @property
    def label(self) -> str:
        """The model and the stage, as a person reads them: "8 x MF, fit"."""
        several = f"{self.members} x " if self.members > 1 else ""
        return ", ".join(part for part in (f"{several}{self.model}".rstrip(), self.name) if part)


@dataclasses.dataclass(frozen=True)
class EpochEvent:
    """What a callback is told when an epoch of a member is over.

    Attributes:
      record: `epoch`, `seconds`, `train` and `valid`, see `jaxrec.training.EpochRecord`.
      params: a function that gives the parameters after the epoch; they are copied when it is called.
      member: the number of the model among those that are trained together.
      best: whether validation found this epoch the best so far.

    >>> EpochEvent(None, lambda: {}).member
    0
    """

    record: EpochRecord
    params: Callable[[], Any]
    member: int = 0
    best: bool = False


class Callback(Protocol):
    """Something that is told of every epoch, and may stop a training. A plain function of the event will do too.

    >>> import jax
    >>> class Printer(Callback):
    ...     def __call__(self, event):
    ...         print(event.record.epoch, sorted(event.params()))
    ...         return event.record.epoch == 2
    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    >>> model = jaxrec.fit(jaxrec.MF(dim=2), data, epochs=9, callbacks=[Printer()], key=jax.random.key(0))
    1 ['item_embedding', 'user_embedding']
    2 ['item_embedding', 'user_embedding']
    """

    only_writes: ClassVar[bool] = False
    """Whether it writes what it is told, and neither stops a training nor asks for parameters. Of several processes
    only the first tells it; all others tell what stops, in the same order."""

    def start(self, stage: StageInfo) -> None:
        """A stage of training starts; a callback may serve several, one after another."""

    def __call__(self, event: EpochEvent) -> bool | None:
        """An epoch is over; True stops this member after it."""
        ...

    def finish(self) -> None:
        """The stage is over, also after an error."""

    def checkpoint_state(self) -> Any:
        """What a checkpoint is to keep of the callback, as plain JSON values; None for nothing."""
        return None

    def resume_from(self, state: Any) -> None:
        """Take back what `checkpoint_state` gave; called after `start` where a fit is resumed."""
