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
from jaxrec.data.splitting._boundaries import time_notes
from jaxrec.data.splitting._holdout import (
    Order,
    Ties,
    check_words,
    fractions,
    from_end,
    from_end_in_order,
    generator_of,
    hold_out,
    in_time,
    one_of,
    order_notes,
    ordered,
    part_codes,
    timed,
)
from jaxrec.data.splitting._parts import Split, assemble, canonical, train_core
from jaxrec.errors import DataError, JaxrecError
from jaxrec.protocols import Splitter
from jaxrec.registry import find, make, options_of

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
    | `user_order`      | `UserOrder`      | of each user, the last fraction in the data's order | test, valid        |
    | `random`          | `RandomSplit`    | a random fraction of all interactions               | test, valid        |
    | `global_temporal` | `GlobalTemporal` | the last fraction of all interactions by time       | test, valid, ties  |
    | `leave_one_out`   | `LeaveOneOut`    | of each user, the last interaction, or a random one | valid, order, ties |
    | `user_kfold`      | `UserKFold`      | whole users, who have a fold-in and a test part     | see the class      |
    | `predefined`      | `Predefined`     | the published parts, `data.part`                    | valid, valid_order |
    | `time_windows`    | `TimeWindows`    | one of several windows of time, the past before it  | see the class      |

    The classes are in `jaxrec.data.splitting`; a splitter of your own is a `jaxrec.protocols.Splitter`. No interaction
    is lost, unless `k_core_on="train"` removes some; the notes count these. Users and items without training data are
    kept and counted in the notes. The order of the rows does not change the result, but for `user_order`.

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
    accepted = options_of(find("splitter", method, outside=True)) if isinstance(method, str) else ()
    for name in options.keys() & {"seed", "random_state"}:
        if name not in accepted:
            raise JaxrecError(f"{name} is {options[name]!r}; draws come from a key: pass key=jax.random.key(0)")
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
class _Fractions(Splitter):
    """What holds fractions of the interactions out; the one that splits itself is in the subclass."""

    test: float = 0.2
    valid: float = 0.1

    def __post_init__(self) -> None:
        _check(self)


@dataclasses.dataclass(frozen=True)
class UserTemporal(_Fractions):
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

    ties: Ties = "shuffle"

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split; the data need timestamps."""
        data = canonical(timed(data, "user_temporal", "method='user_random'"))
        rank = from_end(data.user, data.timestamp, generator_of(key), self.ties)
        codes = hold_out(data.user, rank, self.test, self.valid)
        notes = time_notes(data, data.user, in_time(codes), codes, "user_temporal")
        return assemble(data, codes, "user_temporal", tested=self.test > 0, notes=notes)


@dataclasses.dataclass(frozen=True)
class UserRandom(_Fractions):
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

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split."""
        data = canonical(data)
        rank = from_end(data.user, None, generator_of(key))
        return assemble(data, hold_out(data.user, rank, self.test, self.valid), "user_random", tested=self.test > 0)


@dataclasses.dataclass(frozen=True)
class UserOrder(_Fractions):
    """Hold out the last fraction of each user's interactions in the order of the data; valid is the part before test.

    For data without times whose rows stand in the order in which things happened, as some published files do. Sizes are
    those of `UserRandom`. It needs no times, and nothing is random. Where the items of every user ascend, the order was
    probably lost by sorting; a UserWarning says so, since the split would hold out the items with the highest ids.

    Attributes:
      test: fraction of each user's interactions, in [0, 1).
      valid: fraction of each user's interactions, in [0, 1).

    >>> data = Interactions.from_arrays([1] * 5, [14, 12, 10, 13, 11])
    >>> parts = split(data, UserOrder(test=0.4, valid=0))
    >>> parts.test.items.ids[parts.test.item]
    array([11, 13])
    """

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split; the key is not used."""
        data = canonical(data)
        notes = order_notes(data, "user_order")
        codes = hold_out(data.user, from_end_in_order(data), self.test, self.valid)
        return assemble(data, codes, "user_order", tested=self.test > 0, notes=notes)


@dataclasses.dataclass(frozen=True)
class RandomSplit(_Fractions):
    """Hold out a random fraction of all E interactions: `test * E` and `valid * E` of them, rounded, halves up.

    A user may end up without training data, or without test data; the notes count both.

    Attributes:
      test: fraction of all interactions, in [0, 1).
      valid: fraction of all interactions, in [0, 1).

    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 3, 4, 4, 5, 5], range(10))
    >>> {name: len(part) for name, part in split(data, RandomSplit()).parts().items()}
    {'train': 7, 'valid': 1, 'test': 2}
    """

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split."""
        data = canonical(data)
        whole = np.zeros(len(data), dtype=np.int32)
        rank = from_end(whole, None, generator_of(key))
        return assemble(data, hold_out(whole, rank, self.test, self.valid), "random", tested=self.test > 0)


@dataclasses.dataclass(frozen=True)
class GlobalTemporal(_Fractions):
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

    ties: Ties = "shuffle"

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split; the data need timestamps."""
        data = canonical(timed(data, "global_temporal", "method='random'"))
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
        notes = [note, *time_notes(data, whole, in_time(codes), codes, "global_temporal")]
        return assemble(data, codes, "global_temporal", tested=self.test > 0, notes=notes)


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
        check_words(self)

    def __call__(self, data: Interactions, key: jax.Array | None = None) -> Split:
        """The split; the data need timestamps where the order is "time"."""
        data = canonical(ordered(data, "leave_one_out", self.order))
        rank = from_end(data.user, data.timestamp if self.order == "time" else None, generator_of(key), self.ties)
        count = np.bincount(data.user, minlength=data.num_users)
        num_test = np.minimum(count - 1, 1)
        num_valid = np.minimum(count - 1 - num_test, int(self.valid))
        codes = part_codes(data.user, rank, num_test, num_valid)
        timed = self.order == "time"
        notes = time_notes(data, data.user, in_time(codes), codes, "leave_one_out") if timed else []
        return assemble(data, codes, "leave_one_out", notes=notes)


@dataclasses.dataclass(frozen=True)
class Predefined(Splitter):
    """Follow the published parts in `data.part`; optionally cut a validation part from train.

    A pair may repeat within a part, never across parts.

    Attributes:
      valid: the fraction of each user's training interactions that goes to valid, rounded, halves up; 0 leaves train
        as published.
      valid_order: "random", or "data" for the last ones in the order of the data, see `UserOrder`.

    >>> data = dataclasses.replace(Interactions.from_arrays([1, 1, 2], [5, 6, 6]), part=[TRAIN, TEST, TRAIN])
    >>> len(split(data, Predefined()).train)
    2
    """

    valid: float = 0.0
    valid_order: Literal["random", "data"] = "random"

    def __post_init__(self) -> None:
        _check(self)
        one_of("valid_order", self.valid_order, ("random", "data"))
        if self.valid_order != "random" and not self.valid:
            raise JaxrecError(
                f"valid_order is {self.valid_order!r} and valid is 0; pass valid too, for example valid=0.1"
            )

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
            published = data.select(train)
            in_order = self.valid_order == "data"
            if in_order:
                notes += order_notes(published, "predefined")
            rank = from_end_in_order(published) if in_order else from_end(published.user, None, generator_of(key))
            codes[train] = hold_out(published.user, rank, 0.0, self.valid)
            which = f"the last {self.valid:g}, in the order of the data," if in_order else f"a random {self.valid:g}"
            notes.append(f"valid is {which} of each user's published training interactions")
        extra = len(data) - len(np.unique(pair_codes(data)))
        if extra:
            notes.append(f"{extra:,} interactions repeat a pair of their part and are kept")
        return assemble(data, codes, "predefined", notes=notes)


def _check(splitter: Any) -> None:
    fractions(getattr(splitter, "test", 0.0), splitter.valid)
    check_words(splitter)
