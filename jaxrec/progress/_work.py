"""Long work says what it does and how far it is; whoever listens shows it. Without a listener nothing is shown."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Protocol


class Work:
    """A piece of work, and how far it is.

    Work within it counts towards it by its share: of 4 units of an evaluation the ranking may be 3.

    Args:
      name: what is done, as a person reads it: "ranking"; "" for a part that needs no name.
      total: how many units it has; None where that is not known. A part, with a share or without a name, is then as far
        as what is within it.
      unit: of what, in the plural: "users".
      share: how many units of the work around it this one is.

    >>> outer, inner = Work("evaluating", 4), Work("ranking", 10, "users", share=3)
    >>> outer.inner = inner
    >>> inner.advance(5)
    >>> inner.fraction, outer.fraction
    (0.5, 0.375)
    """

    def __init__(self, name: str, total: float | None = None, unit: str = "", share: float = 0.0) -> None:
        self.name, self.total, self.unit, self.share = name, total, unit, share
        self.done = 0.0
        self.note = ""
        """What else there is to say, such as a loss."""
        self.inner: Work | None = None
        """The work within that is going on."""
        self._reached = 0.0

    def advance(self, amount: float = 1, note: str | None = None) -> None:
        """Say that units are done.

        Args:
          amount: how many.
          note: what else there is to say; None leaves what was said before.
        """
        self.reach(self.done + amount, note)

    def reach(self, done: float, note: str | None = None) -> None:
        """Say how many units are done altogether, see `advance`."""
        self.done = done
        self.note = self.note if note is None else note

    def end_inner(self) -> None:
        """The work within is over, so its share is done."""
        if self.inner is not None:
            self._reached = max(self._reached, self.inner.fraction or 0.0)
            self.done += self.inner.share
        self.inner = None

    @property
    def fraction(self) -> float | None:
        """How much is done, from 0 to 1; None where that is not known."""
        inner = self.inner
        within = (None if inner is None else inner.fraction) or 0.0
        if self.total is None:
            part = bool(self.share) or not self.name
            return max(self._reached, within) if part else None  # a second work within does not take it back
        share = 0.0 if inner is None else inner.share
        return min((self.done + share * within) / self.total, 1.0) if self.total else 1.0

    @property
    def path(self) -> list[Work]:
        """This work, the one that is going on within it, and so on."""
        found: list[Work] = [self]
        at = self.inner
        while at is not None:
            found.append(at)
            at = at.inner
        return found


class Listener(Protocol):
    """Is told of every outermost work. What it shows it reads from the `Work`, which moves by itself.

    >>> class Names:
    ...     def begin(self, work): print("begins", work.name)
    ...     def end(self, work): print("ended at", work.done)
    >>> with heard_by(Names()), work("counting", 2) as told:
    ...     told.advance()
    begins counting
    ended at 1.0
    """

    def begin(self, work: Work) -> None:
        """A work has begun."""
        ...

    def end(self, work: Work) -> None:
        """It is over, or has failed."""
        ...


@dataclasses.dataclass(frozen=True)
class _Place:
    """Who listens, what is going on around, and the thread that it goes on in."""

    listener: Listener | None
    around: Work | None
    thread: int


_PLACE: ContextVar[_Place | None] = ContextVar("jaxrec.progress", default=None)


def _here() -> _Place | None:
    """The place of this thread; that of another one, which it has a copy of, is none of its own."""
    place = _PLACE.get()
    heard_here = place is not None and place.listener is not None and place.thread == threading.get_ident()
    return place if heard_here else None


@contextlib.contextmanager
def heard_by(listener: Listener | None) -> Iterator[None]:
    """Let a listener hear of the work of this thread within the block; None lets nobody hear.

    >>> class Names:
    ...     def begin(self, work):
    ...         print("begin", work.name)
    ...
    ...     def end(self, work):
    ...         print("end", work.name)
    >>> with heard_by(Names()), work("ranking", 2, unit="users") as told:
    ...     with work("a part of it"):  # only the outermost work is told
    ...         told.advance(2)
    begin ranking
    end ranking
    """
    token = _PLACE.set(_Place(listener, None, threading.get_ident()))
    try:
        yield
    finally:
        _PLACE.reset(token)


def heard() -> bool:
    """Whether somebody listens.

    >>> heard()
    False
    """
    return _here() is not None


@contextlib.contextmanager
def work(name: str, total: float | None = None, *, unit: str = "", share: float = 0.0) -> Iterator[Work]:
    """Say that work goes on within the block, see `Work`; without a listener it costs a microsecond.

    >>> with work("ranking", 4, unit="users") as told:
    ...     told.advance(3)
    ...     print(told.fraction)
    0.75
    """
    told, place = Work(name, total, unit, share), _here()
    if place is None:
        yield told
        return
    assert place.listener is not None
    around = place.around
    token = _PLACE.set(dataclasses.replace(place, around=told))
    if around is None:
        place.listener.begin(told)
    else:
        around.inner = told
    try:
        yield told
    finally:
        _PLACE.reset(token)
        if around is None:
            place.listener.end(told)
        else:
            around.end_inner()
