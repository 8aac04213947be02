"""Splits of interactions into train, valid and test: frozen splitters, and one door, `split`."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, Literal, cast

import jax
import numpy as np

from jaxrec.data._filters import k_core as core_of
from jaxrec.data._interactions import TEST, TRAIN, VALID, Interactions, check_interactions
from jaxrec.data._pairs import pair_codes
from jaxrec.data.splitting._holdout import (
    Ties,
    fractions,
    from_end,
    generator_of,
    hold_out,
    one_of,
    part_codes,
    rounded,
)
from jaxrec.data.splitting._parts import FOLD_IN, Split, assemble, canonical, train_core
from jaxrec.errors import DataError, JaxrecError
from jaxrec.protocols import Splitter
from jaxrec.registry import make

Order = Literal["time", "random"]

FEW_USERS = 200  # a global_temporal split with fewer test users known from training warns


def split(
    data: Interactions,
    method: str | Splitter = "user_temporal",
    *,
    key: jax.Array | None = None,
    k_core: int | None = None,
    k_core_on: Literal["data", "train"] = "data",
    **options: Any,
) -> Split:
    """Split interactions into train, valid and test.

    | name              | class            | holds out                                           | options            |
    |-------------------|------------------|-----------------------------------------------------|--------------------|
    | `user_temporal`   | `UserTemporal`   | of each user, the last fraction by time             | test, valid, ties  |
    | `user_random`     | `UserRandom`     | of each user, a random fraction                     | test, valid        |
    | `random`          | `RandomSplit`    | a random fraction of all interactions               | test, valid        |
    | `global_temporal` | `GlobalTemporal` | the last fraction of all interactions by time       | test, valid, ties  |
    | `leave_one_out`   | `LeaveOneOut`    | of each user, the last interaction, or a random one | valid, order, ties |
    | `user_kfold`      | `UserKFold`      | whole users, who have a fold-in and a test part     | see the class      |
    | `predefined`      | `Predefined`     | the published parts, `data.part`                    | valid              |
    | `time_windows`    | `TimeWindows`    | one of several windows of time, the past before it  | see the class      |

    The classes are in `jaxrec.data.splitting`; a splitter of your own is a `jaxrec.protocols.Splitter`. No interaction
    is lost, unless `k_core_on="train"` removes some; the notes count these. Users and items without training data are
    kept and counted in the notes. The order of the rows does not change the result.

    Args:
      data: E interactions, without repeated pairs.
      method: a splitter, or the name of one.
      key: a `jax.random.key`, consumed; `jax.random.key(0)` by default.
      k_core: a k-core bound to apply here; the data sets of `jaxrec.load` have theirs applied already.
      k_core_on: "data" applies it to all interactions before the split, as most published work does: a test
        interaction then helps a user or an item into the data. "train" applies it to the training part after the
        split, see `train_core`.
      **options: of the named splitter, in place of its defaults. None stands for the default.

    Returns:
      A `Split`.

    Raises:
      DataError: the data do not allow the method (no timestamps, repeated pairs, nothing to hold out).
      JaxrecError: an unknown name, an option that the splitter does not have, or a value out of range.

    >>> data = Interactions.from_arrays([1] * 10, range(10), timestamp=range(10))
    >>> parts = split(data, "user_temporal", test=0.2)
    >>> parts.test.items.ids[parts.test.item]
    array([8, 9])
    >>> len(split(data, UserTemporal(test=0.3)).test)
    3
    """
    check_interactions(data)
    splitter = make(
        "splitter", method, outside=True, options={name: value for name, value in options.items() if value is not None}
    )
    if not callable(splitter):
        raise JaxrecError(f"method is {method!r}; pass the name of a splitter, or a splitter such as UserTemporal()")
    one_of("k_core_on", k_core_on, ("data", "train"))
    if k_core_on == "train" and k_core is None:
        raise JaxrecError("k_core_on is 'train' and k_core is not given; pass the bound too, for example k_core=5")
    if key is not None:
        generator_of(key)  # refuses another kind of key here, for splitters from outside too
    if k_core is not None and k_core_on == "data":
        data = core_of(data, k_core)
    parts = cast(Splitter, splitter)(data, key)
    return train_core(parts, k_core) if k_core is not None and k_core_on == "train" else parts


@dataclasses.dataclass(frozen=True)
class UserTemporal(Splitter):
    """Hold out the last fraction of each user's interactions by time; valid is the fraction before test.

    Of a user with n interactions, `test * n` go to test and `valid * n` to valid, each rounded to the nearest whole
    number, halves up. At least one interaction stays in train; without room for both, test comes first. Users with too
    few interactions to hold any out stay in train; the notes count them.

    Equal times are never ordered by row or by id, but by `ties`:

    - "shuffle": at random within the tie, by the key. Sizes are exact, and no training interaction is later than a
      test interaction of the same user (it may be of the same time).
    - "together": a tie across a boundary goes to the earlier part as a whole. Held-out parts may be smaller, and every
      training interaction is earlier than every held-out one of the same user.

    Attributes:
      test: fraction of each user's interactions, in [0, 1).
      valid: fraction of each user's interactions, in [0, 1).
      ties: the rule for equal times.

    >>> data = Interactions.from_arrays([1] * 5, [10, 11, 12, 13, 14], timestamp=[1, 2, 3, 3, 4])
    >>> [len(split(data, UserTemporal(test=0.4, valid=0, ties=ties)).test) for ties in ("shuffle", "together")]
    [2, 1]
    """

    test: float = 0.2
    valid: float = 0.1
    ties: Ties = "shuffle"

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split; the data need timestamps."""
        data = canonical(_timed(data, "user_temporal", "method='user_random'"))
        rank = from_end(data.user, data.timestamp, generator_of(key), self.ties)
        return assemble(data, hold_out(data.user, rank, self.test, self.valid), "user_temporal", tested=self.test > 0)


@dataclasses.dataclass(frozen=True)
class UserRandom(Splitter):
    """Hold out a random fraction of each user's interactions.

    Of a user with n interactions, `test * n` go to test and `valid * n` to valid, each rounded to the nearest whole
    number, halves up. At least one interaction stays in train; without room for both, test comes first.

    Attributes:
      test: fraction of each user's interactions, in [0, 1).
      valid: fraction of each user's interactions, in [0, 1).

    >>> data = Interactions.from_arrays([1] * 10, range(10))
    >>> len(split(data, UserRandom(test=0.3, valid=0)).test)
    3
    """

    test: float = 0.2
    valid: float = 0.1

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split."""
        data = canonical(data)
        rank = from_end(data.user, None, generator_of(key))
        return assemble(data, hold_out(data.user, rank, self.test, self.valid), "user_random", tested=self.test > 0)


@dataclasses.dataclass(frozen=True)
class RandomSplit(Splitter):
    """Hold out a random fraction of all E interactions: `test * E` and `valid * E` of them, rounded, halves up.

    A user may end up without training data, or without test data; the notes count both.

    Attributes:
      test: fraction of all interactions, in [0, 1).
      valid: fraction of all interactions, in [0, 1).

    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 3, 4, 4, 5, 5], range(10))
    >>> {name: len(part) for name, part in split(data, RandomSplit()).parts().items()}
    {'train': 7, 'valid': 1, 'test': 2}
    """

    test: float = 0.2
    valid: float = 0.1

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split."""
        data = canonical(data)
        whole = np.zeros(len(data), dtype=np.int32)
        rank = from_end(whole, None, generator_of(key))
        return assemble(data, hold_out(whole, rank, self.test, self.valid), "random", tested=self.test > 0)


@dataclasses.dataclass(frozen=True)
class GlobalTemporal(Splitter):
    """Hold out the last fraction of all interactions by time, as a system in use would see them.

    `test * E` and `valid * E` interactions, rounded, halves up. Many users come after the cut as a whole, so few test
    users may be known from training: the notes count them, and a UserWarning tells of fewer than 200.

    Attributes:
      test: fraction of all interactions, in [0, 1).
      valid: fraction of all interactions, in [0, 1).
      ties: the rule for equal times, see `UserTemporal`.

    >>> data = Interactions.from_arrays([1, 1, 2, 2], [5, 6, 5, 6], timestamp=[1, 2, 3, 4])
    >>> with warnings.catch_warnings(action="ignore"):
    ...     split(data, GlobalTemporal(test=0.25, valid=0.25)).notes[1]
    '1 of 1 test users are known from train and valid together, 0 of 1 from train alone'
    """

    test: float = 0.2
    valid: float = 0.1
    ties: Ties = "shuffle"

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split; the data need timestamps."""
        data = canonical(_timed(data, "global_temporal", "method='random'"))
        whole = np.zeros(len(data), dtype=np.int32)
        rank = from_end(whole, data.timestamp, generator_of(key), self.ties)
        codes = hold_out(whole, rank, self.test, self.valid)
        tested, trained, fitted = (
            np.bincount(data.user[mask], minlength=data.num_users) > 0
            for mask in (codes == TEST, codes == TRAIN, codes != TEST)
        )
        known, users = int((tested & trained).sum()), int(tested.sum())
        if self.test and known < FEW_USERS:
            warnings.warn(
                f"global_temporal: only {known:,} of {users:,} test users are known from training; figures over so few "
                "users show little. Method 'user_temporal' holds out the last interactions of every user",
                UserWarning,
                stacklevel=3,
            )
        note = (
            f"{int((tested & fitted).sum()):,} of {users:,} test users are known from train and valid together, "
            f"{known:,} of {users:,} from train alone"
        )
        return assemble(data, codes, "global_temporal", tested=self.test > 0, notes=[note])


@dataclasses.dataclass(frozen=True)
class LeaveOneOut(Splitter):
    """Hold out one interaction of each user for test, and the one before it for valid.

    A user with one interaction stays in train; one with two has no validation interaction; the notes count users
    without a test interaction. With ties="together", a user whose last interactions are of one time stays in train too.

    Attributes:
      valid: 1, or 0 for no validation part.
      order: "time" holds out the last one, "random" a random one.
      ties: the rule for equal times, see `UserTemporal`.

    >>> data = Interactions.from_arrays([1, 1, 1, 2], [5, 6, 7, 5], timestamp=[1, 2, 3, 4])
    >>> parts = split(data, LeaveOneOut())
    >>> parts.test.items.ids[parts.test.item]
    array([7])
    """

    valid: int = 1
    order: Order = "time"
    ties: Ties = "shuffle"

    def __post_init__(self) -> None:
        if self.valid not in (0, 1):
            raise JaxrecError(
                f"valid is {self.valid!r}; leave_one_out takes 1 (one validation interaction a user) or 0"
            )
        _check_words(self)

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split; the data need timestamps where the order is "time"."""
        data = canonical(_ordered(data, "leave_one_out", self.order))
        rank = from_end(data.user, data.timestamp if self.order == "time" else None, generator_of(key), self.ties)
        count = np.bincount(data.user, minlength=data.num_users)
        num_test = np.minimum(count - 1, 1)
        num_valid = np.minimum(count - 1 - num_test, int(self.valid))
        return assemble(data, part_codes(data.user, rank, num_test, num_valid), "leave_one_out")


@dataclasses.dataclass(frozen=True)
class Predefined(Splitter):
    """Follow the published parts in `data.part`; optionally cut a validation part from train.

    A pair may repeat within a part, never across parts.

    Attributes:
      valid: the fraction of each user's training interactions that goes to valid at random, rounded, halves up; 0
        leaves train as published.

    >>> data = dataclasses.replace(Interactions.from_arrays([1, 1, 2], [5, 6, 6]), part=[TRAIN, TEST, TRAIN])
    >>> len(split(data, Predefined()).train)
    2
    """

    valid: float = 0.0

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split.

        Raises:
          DataError: there is no `part`, or the data have a validation part and valid > 0.
          MismatchError: a pair is in two parts.
        """
        if data.part is None:
            raise DataError("the data have no published parts; read a train and a test file, or choose another method")
        if self.valid and (data.part == VALID).any():
            raise DataError(f"valid is {self.valid:g} and the data have a validation part of their own; pass valid=0")
        if not (data.part == TEST).any():
            raise DataError("the published parts hold no test interaction; choose another method")
        data = canonical(data, repeats=True)
        assert data.part is not None
        codes, notes = data.part.copy(), []
        if self.valid:
            train = np.flatnonzero(codes == TRAIN)
            rank = from_end(data.user[train], None, generator_of(key))
            codes[train] = hold_out(data.user[train], rank, 0.0, self.valid)
            notes.append(f"valid is a random {self.valid:g} of each user's published training interactions")
        extra = len(data) - len(np.unique(pair_codes(data)))
        if extra:
            notes.append(f"{extra:,} interactions repeat a pair of their part and are kept")
        return assemble(data, codes, "predefined", notes=notes)


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
    >>> parts = split(data, UserKFold(0, folds=2, valid=0))
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
        _check_words(self)
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
        data = canonical(_ordered(data, "user_kfold", self.order))
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
        return assemble(data, codes, "user_kfold", notes=notes)


def _check(splitter: Any) -> None:
    fractions(getattr(splitter, "test", 0.0), splitter.valid)
    _check_words(splitter)


def _check_words(splitter: Any) -> None:
    one_of("order", getattr(splitter, "order", "time"), ("time", "random"))
    one_of("ties", getattr(splitter, "ties", "shuffle"), ("shuffle", "together"))


def _ordered(data: Interactions, method: str, order: Order) -> Interactions:
    return _timed(data, method, "order='random'") if order == "time" else data


def _timed(data: Interactions, method: str, instead: str) -> Interactions:
    if data.timestamp is None:
        also = ", or method='predefined' for the published parts" if data.part is not None else ""
        raise DataError(f"method {method!r} needs timestamps and the data have none; pass {instead}{also}")
    return data


# The functions of 0.1, of which each splitter was one.
_OLD = {
    "global_temporal": GlobalTemporal,
    "leave_one_out": LeaveOneOut,
    "predefined": Predefined,
    "random": RandomSplit,
    "user_kfold": UserKFold,
    "user_kfolds": UserKFold,
    "user_random": UserRandom,
    "user_temporal": UserTemporal,
}


def __getattr__(name: str) -> Any:
    if name not in _OLD:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    kind = _OLD[name]
    warnings.warn(
        f"jaxrec.data.splitting.{name} is a name of 0.1 and goes in 0.3; use jaxrec.split(data, {kind.__name__}(...))",
        DeprecationWarning,
        stacklevel=2,
    )

    def old(data: Any, *fold: int, key: Any = None, **options: Any) -> Any:
        splitter = kind(*fold, **options)
        return (one(data, key) for one in splitter.rounds()) if name == "user_kfolds" else splitter(data, key)

    return old
