"""Splitters of several rounds: folds of users, and windows of time, each with a test part of its own."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from jaxrec.data._interactions import TEST, TRAIN, VALID, Interactions
from jaxrec.data.splitting._boundaries import time_notes
from jaxrec.data.splitting._holdout import (
    Order,
    Ties,
    check_words,
    fractions,
    from_end,
    generator_of,
    in_time,
    ordered,
    part_codes,
    rounded,
)
from jaxrec.data.splitting._parts import FOLD_IN, Split, assemble, canonical
from jaxrec.errors import DataError, JaxrecError
from jaxrec.protocols import Splitter


@dataclasses.dataclass(frozen=True)
class UserKFold(Splitter):
    """Hold out whole users (strong generalization): one fold of them for the test, a fraction of them for valid.

    The users are dealt into folds at random, and every one is a test user in exactly one fold. None of the
    interactions of a held-out user is in train: the fraction `test` of them is in test (or valid), the rest is in
    fold_in, the input of a model that makes their list. Users with one interaction stay in train, and so do held-out
    users without anything to test because of ties="together"; the notes count both.

    Attributes:
      fold: the fold that is tested, 0..folds-1. Use one key for all folds.
      folds: the number of folds, at least 2.
      test: of each held-out user, the fraction to predict; rounded, halves up, at least one.
      valid: the fraction of all users that are held out for validation, beside the fold; rounded.
      order: "random" predicts a random part of their interactions, "time" the last ones.
      ties: the rule for equal times, see `UserTemporal`.

    References:
      Liang, Krishnan, Hoffman, Jebara, "Variational autoencoders for collaborative filtering", 2018, section 4.

    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 3, 4, 4], [5, 6] * 4)
    >>> parts = UserKFold(0, folds=2, valid=0)(data)
    >>> {name: len(part) for name, part in parts.parts().items()}
    {'train': 4, 'valid': 0, 'test': 2, 'fold_in': 2}
    """

    fold: int = 0
    folds: int = 5
    test: float = 0.2
    valid: float = 0.1
    order: Order = "random"
    ties: Ties = "shuffle"

    def __post_init__(self) -> None:
        whole = (int, np.integer)
        if isinstance(self.folds, bool) or not isinstance(self.folds, whole) or self.folds < 2:
            raise JaxrecError(f"folds is {self.folds!r}; pass a whole number of at least 2")
        if isinstance(self.fold, bool) or not isinstance(self.fold, whole) or not 0 <= self.fold < self.folds:
            raise JaxrecError(f"fold is {self.fold!r}; pass a whole number in 0..{self.folds - 1}")
        fractions(self.test, 0.0)
        fractions(0.0, self.valid)
        check_words(self)
        if not self.test:
            raise JaxrecError("test is 0; user_kfold needs a part of the held-out users' interactions to predict")

    def rounds(self) -> tuple[UserKFold, ...]:
        """Give one splitter for each fold.

        >>> [one.fold for one in UserKFold(folds=3).rounds()]
        [0, 1, 2]
        """
        return tuple(dataclasses.replace(self, fold=fold) for fold in range(self.folds))

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split; the data need timestamps where the order is "time"."""
        fold, folds = self.fold, self.folds
        data = canonical(ordered(data, "user_kfold", self.order))
        generator = generator_of(key)
        count = np.bincount(data.user, minlength=data.num_users)
        dealt = generator.permutation(np.flatnonzero(count >= 2))
        if len(dealt) < folds:
            raise DataError(f"folds is {folds} and only {len(dealt)} users have two interactions; pass fewer folds")
        first, last = fold * len(dealt) // folds, (fold + 1) * len(dealt) // folds
        room = len(dealt) - (last - first) - 1
        num_valid = min(int(rounded(np.array(len(dealt)), self.valid)), room)
        role = np.full(data.num_users, TRAIN, dtype=np.uint8)
        role[dealt[first:last]] = TEST
        role[np.roll(dealt, -last)[:num_valid]] = VALID

        rank = from_end(data.user, data.timestamp if self.order == "time" else None, generator, self.ties)
        predicted = rank < np.clip(rounded(count, self.test), 1, np.maximum(count - 1, 1))[data.user]
        nothing = (np.bincount(data.user[predicted], minlength=data.num_users) == 0) & (role != TRAIN)
        role[nothing] = TRAIN
        codes = np.where(predicted | (role == TRAIN)[data.user], role[data.user], np.uint8(FOLD_IN))
        notes = [
            f"fold {fold} of {folds}: {int((role == TEST).sum()):,} test and {int((role == VALID).sum()):,} valid users"
        ]
        if (count == 1).any():
            notes.append(f"{int((count == 1).sum()):,} users with one interaction stay in train in every fold")
        if nothing.any():
            notes.append(f"{int(nothing.sum()):,} held-out users have nothing to predict (ties) and stay in train")
        if self.order == "time":
            held = np.where((role == TRAIN)[data.user], -1, predicted)  # fold-in before what is predicted from it
            notes += time_notes(data, data.user, held, codes, "user_kfold")
        return assemble(data, codes, "user_kfold", notes=notes)


@dataclasses.dataclass(frozen=True)
class TimeWindows(Splitter):
    """Hold out one of several windows of time, train on what is before it, and leave out what is after it.

    The last `windows * test` of the interactions are cut into windows of one size. So a system is measured as if it had
    been in use at several times, each time with all the past that it had.

    Attributes:
      window: the one that is tested, 0 for the earliest.
      windows: their number, at least 2.
      test: the fraction of all interactions in each window.
      valid: the fraction of all interactions before the window, for validation.
      ties: the rule for equal times, see `UserTemporal`.

    References:
      Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd edition, 2021, section 5.10, on evaluation
      with a rolling origin.

    >>> data = Interactions.from_arrays([1] * 10, range(10), timestamp=range(10))
    >>> for splitter in TimeWindows(windows=2, test=0.2, valid=0.1).rounds():
    ...     parts = splitter(data)
    ...     [part.items.ids[part.item].tolist() for part in (parts.train, parts.valid, parts.test)]
    [[0, 1, 2, 3, 4], [5], [6, 7]]
    [[0, 1, 2, 3, 4, 5, 6], [7], [8, 9]]
    """

    window: int = 0
    windows: int = 3
    test: float = 0.1
    valid: float = 0.1
    ties: Ties = "shuffle"

    def __post_init__(self) -> None:
        for name, value, least in (("windows", self.windows, 2), ("window", self.window, 0)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise JaxrecError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if self.window >= self.windows:
            raise JaxrecError(f"window must lie in 0..{self.windows - 1}, got {self.window}")
        fractions(self.test, self.valid)
        if not 0 < self.windows * self.test + self.valid < 1 or not self.test:
            raise JaxrecError(
                f"{self.windows} windows with test={self.test:g} and valid={self.valid:g} must leave a part for train; "
                "lower test or windows"
            )
        check_words(self)

    def rounds(self) -> tuple[TimeWindows, ...]:
        """Give one splitter for each window, the earliest first."""
        return tuple(dataclasses.replace(self, window=window) for window in range(self.windows))

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split; the data need timestamps."""
        if data.timestamp is None:
            raise DataError("time_windows needs timestamps and the data have none; use user_kfold with order='random'")
        data = canonical(data)
        whole = np.zeros(len(data), dtype=np.int32)
        rank = from_end(whole, data.timestamp, generator_of(key), self.ties)
        num_test, num_valid = (rounded(np.array([len(data)]), share) for share in (self.test, self.valid))
        later = rank < num_test[0] * (self.windows - 1 - self.window)
        rank = rank[~later] - num_test[0] * (self.windows - 1 - self.window)
        codes = part_codes(whole[~later], rank, num_test, num_valid)
        note = f"window {self.window} of {self.windows}: {int(later.sum()):,} later interactions are left out"
        place, every = np.full(len(data), 3), np.full(len(data), FOLD_IN, dtype=np.uint8)  # 3: after the window
        place[~later], every[~later] = in_time(codes), codes
        notes = [note, *time_notes(data, whole, place, every, "time_windows")]
        return assemble(data.select(~later), codes, "time_windows", notes=notes)
