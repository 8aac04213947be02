"""Splits of interactions into train, valid and test: one door, `split`, and one function a method."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import jax
import numpy as np

from jaxrec.data._filters import k_core as core_of
from jaxrec.data._interactions import TEST, TRAIN, VALID, Interactions
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

Method = Literal[
    "user_temporal", "user_random", "random", "global_temporal", "leave_one_out", "user_kfold", "predefined"
]
Order = Literal["time", "random"]

FEW_USERS = 200  # a global_temporal split with fewer test users known from training warns

__all__ = [
    "FEW_USERS",
    "Split",
    "global_temporal",
    "leave_one_out",
    "predefined",
    "random",
    "split",
    "train_core",
    "user_kfold",
    "user_kfolds",
    "user_random",
    "user_temporal",
]


def split(
    data: Interactions,
    method: Method = "user_temporal",
    *,
    test: float | None = None,
    valid: float | None = None,
    key: jax.Array | None = None,
    ties: Ties | None = None,
    order: Order | None = None,
    folds: int | None = None,
    fold: int | None = None,
    k_core: int | None = None,
    k_core_on: Literal["data", "train"] = "data",
) -> Split:
    """Split interactions by a named method; each is also a function of this module, with its rules in its docstring.

    | method            | holds out                                           | options                               |
    |-------------------|-----------------------------------------------------|---------------------------------------|
    | `user_temporal`   | of each user, the last fraction by time             | test, valid, ties                     |
    | `user_random`     | of each user, a random fraction                     | test, valid                           |
    | `random`          | a random fraction of all interactions               | test, valid                           |
    | `global_temporal` | the last fraction of all interactions by time       | test, valid, ties                     |
    | `leave_one_out`   | of each user, the last interaction, or a random one | valid (0 or 1), order, ties           |
    | `user_kfold`      | whole users, who have a fold-in and a test part     | test, valid, order, ties, folds, fold |
    | `predefined`      | what `data.part` says                               | valid                                 |

    No interaction is lost, unless `k_core_on="train"` removes some, which is counted. Users and items that end up
    without training data are kept and counted in the notes. The order of the rows does not change the result.

    Args:
      data: E interactions, without repeated pairs.
      method: a name of the table.
      test: the fraction held out for the test, in [0, 1); 0.2 if not given.
      valid: the fraction held out for validation, in [0, 1); 0.1 if not given, 0 for `predefined`, 1 for
        `leave_one_out`.
      key: the random key, consumed; `jax.random.key(0)` if not given.
      ties: what happens to interactions of equal time, see `user_temporal`; "shuffle" if not given.
      order: "time" or "random", see `leave_one_out` and `user_kfold`.
      folds: the number of folds of `user_kfold`; 5 if not given.
      fold: which of them; 0 if not given.
      k_core: a k-core bound to apply here; the data sets of `jaxrec.load` have theirs applied already.
      k_core_on: "data" applies it before the split, on all interactions, as most published work does: a test
        interaction then helps a user or an item into the data. "train" splits first and applies it to the training
        part, see `train_core`.

    Returns:
      A `Split`.

    Raises:
      DataError: the data do not allow the method (no timestamps, repeated pairs, nothing to hold out).
      JaxrecError: an unknown method, an option that the method does not have, or a value out of range.

    >>> data = Interactions.from_arrays([1] * 10, range(10), timestamp=range(10))
    >>> parts = split(data, "user_temporal", test=0.2, valid=0.1)
    >>> parts.test.items.ids[parts.test.item]
    array([8, 9])
    """
    if method not in _METHODS:
        near = difflib.get_close_matches(str(method), _METHODS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise JaxrecError(f"method is {method!r}, which is none of {', '.join(_METHODS)}{hint}")
    one_of("k_core_on", k_core_on, ("data", "train"))
    if k_core_on == "train" and k_core is None:
        raise JaxrecError("k_core_on is 'train' and k_core is not given; pass the bound too, for example k_core=5")
    function, accepted = _METHODS[method]
    given = {"test": test, "valid": valid, "ties": ties, "order": order, "folds": folds, "fold": fold}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for name, value in options.items():
        if name not in accepted:
            takes = ", ".join(accepted)
            raise JaxrecError(f"{name} is {value!r}, and method {method!r} has no such option; it takes {takes}")
    if k_core is not None and k_core_on == "data":
        data = core_of(data, k_core)
    parts = function(data, key=key, **options)
    return train_core(parts, k_core) if k_core is not None and k_core_on == "train" else parts


def user_temporal(
    data: Interactions, *, test: float = 0.2, valid: float = 0.1, ties: Ties = "shuffle", key: jax.Array | None = None
) -> Split:
    """Hold out the last fraction of each user's interactions by time; valid is what comes before test.

    Of a user with n interactions, `test * n` go to test and `valid * n` to valid, each rounded to the nearest whole
    number, halves up. At least one interaction stays in train; where there is not room for both, test comes first.
    Users with too few interactions to hold any out stay in train; the notes count them.

    Equal times are never ordered by row or by id. `ties` says how they are:

    - "shuffle": at random within the tie, by the key. Sizes are exact, and no training interaction is later than a
      test interaction of the same user (it may be of the same time).
    - "together": a tie that a boundary would cut goes to the earlier part as a whole. Held-out parts may be smaller,
      and every training interaction is earlier than every held-out one of the same user.

    Args:
      data: E interactions with timestamps.
      test: fraction of each user's interactions, in [0, 1).
      valid: fraction of each user's interactions, in [0, 1).
      ties: the rule for equal times.
      key: consumed; `jax.random.key(0)` if not given.

    >>> data = Interactions.from_arrays([1] * 5, [10, 11, 12, 13, 14], timestamp=[1, 2, 3, 3, 4])
    >>> [len(user_temporal(data, test=0.4, valid=0, ties=ties).test) for ties in ("shuffle", "together")]
    [2, 1]
    """
    data = canonical(_timed(data, "user_temporal", "user_random"))
    rank = from_end(data.user, data.timestamp, generator_of(key), ties)
    return assemble(data, hold_out(data.user, rank, *fractions(test, valid)), "user_temporal", tested=test > 0)


def user_random(data: Interactions, *, test: float = 0.2, valid: float = 0.1, key: jax.Array | None = None) -> Split:
    """Hold out a random fraction of each user's interactions; arguments and sizes as in `user_temporal`.

    >>> data = Interactions.from_arrays([1] * 10, range(10))
    >>> len(user_random(data, test=0.3, valid=0).test)
    3
    """
    data = canonical(data)
    rank = from_end(data.user, None, generator_of(key))
    return assemble(data, hold_out(data.user, rank, *fractions(test, valid)), "user_random", tested=test > 0)


def random(data: Interactions, *, test: float = 0.2, valid: float = 0.1, key: jax.Array | None = None) -> Split:
    """Hold out a random fraction of all E interactions: `test * E` and `valid * E` of them, rounded, halves up.

    A user may end up without training data, or without test data; the notes count both.

    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 3, 4, 4, 5, 5], range(10))
    >>> {name: len(part) for name, part in random(data).parts().items()}
    {'train': 7, 'valid': 1, 'test': 2}
    """
    data = canonical(data)
    whole = np.zeros(len(data), dtype=np.int32)
    rank = from_end(whole, None, generator_of(key))
    return assemble(data, hold_out(whole, rank, *fractions(test, valid)), "random", tested=test > 0)


def global_temporal(
    data: Interactions, *, test: float = 0.2, valid: float = 0.1, ties: Ties = "shuffle", key: jax.Array | None = None
) -> Split:
    """Hold out the last fraction of all interactions by time, as a system in use would see them.

    Sizes as in `random`, ties as in `user_temporal`. Many users come after the cut as a whole, so few test users may
    be known from training: the notes count them, and below 200 a UserWarning tells.

    >>> data = Interactions.from_arrays([1, 1, 2, 2], [5, 6, 5, 6], timestamp=[1, 2, 3, 4])
    >>> with warnings.catch_warnings(action="ignore"):
    ...     global_temporal(data, test=0.25, valid=0.25).notes[1]
    '1 of 1 test users are known from train and valid together, 0 of 1 from train alone'
    """
    data = canonical(_timed(data, "global_temporal", "random"))
    whole = np.zeros(len(data), dtype=np.int32)
    rank = from_end(whole, data.timestamp, generator_of(key), ties)
    codes = hold_out(whole, rank, *fractions(test, valid))
    tested, trained, fitted = (
        np.bincount(data.user[mask], minlength=data.num_users) > 0
        for mask in (codes == TEST, codes == TRAIN, codes != TEST)
    )
    known, users = int((tested & trained).sum()), int(tested.sum())
    if test and known < FEW_USERS:
        warnings.warn(
            f"global_temporal: only {known:,} of {users:,} test users are known from training; figures over so few "
            "users show little. Method 'user_temporal' holds out the last interactions of every user",
            UserWarning,
            stacklevel=2,
        )
    note = (
        f"{int((tested & fitted).sum()):,} of {users:,} test users are known from train and valid together, "
        f"{known:,} of {users:,} from train alone"
    )
    return assemble(data, codes, "global_temporal", tested=test > 0, notes=[note])


def leave_one_out(
    data: Interactions,
    *,
    valid: int = 1,
    order: Order = "time",
    ties: Ties = "shuffle",
    key: jax.Array | None = None,
) -> Split:
    """Hold out one interaction of each user for test, and one more for valid, the one before it.

    A user with one interaction stays in train; one with two has no validation interaction; the notes count users
    without a test interaction. With ties="together", so does a user whose last interactions are of one time.

    Args:
      data: E interactions, with timestamps if order is "time".
      valid: 1, or 0 for no validation part.
      order: "time" holds out the last one, "random" a random one.
      ties: see `user_temporal`.
      key: consumed; `jax.random.key(0)` if not given.

    >>> data = Interactions.from_arrays([1, 1, 1, 2], [5, 6, 7, 5], timestamp=[1, 2, 3, 4])
    >>> parts = leave_one_out(data)
    >>> parts.test.items.ids[parts.test.item]
    array([7])
    """
    if valid not in (0, 1):
        raise JaxrecError(f"valid is {valid!r}; leave_one_out takes 1 (one validation interaction a user) or 0")
    one_of("order", order, ("time", "random"))
    data = canonical(_timed(data, "leave_one_out", "leave_one_out", "order='random'") if order == "time" else data)
    rank = from_end(data.user, data.timestamp if order == "time" else None, generator_of(key), ties)
    count = np.bincount(data.user, minlength=data.num_users)
    num_test = np.minimum(count - 1, 1)
    num_valid = np.minimum(count - 1 - num_test, int(valid))
    return assemble(data, part_codes(data.user, rank, num_test, num_valid), "leave_one_out")


def predefined(data: Interactions, *, valid: float = 0.0, key: jax.Array | None = None) -> Split:
    """Follow the published parts in `data.part`; optionally cut a validation part from train.

    Args:
      data: E interactions with `part`. A pair may repeat within a part, never across parts.
      valid: of each user's training interactions, this fraction goes to valid at random, rounded as in
        `user_temporal`; 0 leaves train as published.
      key: consumed if valid > 0; `jax.random.key(0)` if not given.

    Raises:
      DataError: there is no `part`, or the data have a validation part and valid > 0.
      MismatchError: a pair is in two parts.

    >>> import dataclasses
    >>> data = dataclasses.replace(Interactions.from_arrays([1, 1, 2], [5, 6, 6]), part=[TRAIN, TEST, TRAIN])
    >>> len(predefined(data).train)
    2
    """
    if data.part is None:
        raise DataError("the data have no published parts; read a train and a test file, or choose another method")
    _, valid = fractions(0.0, valid)
    if valid and (data.part == VALID).any():
        raise DataError(f"valid is {valid:g} and the data have a validation part of their own; pass valid=0")
    if not (data.part == TEST).any():
        raise DataError("the published parts hold no test interaction; choose another method")
    data = canonical(data, repeats=True)
    assert data.part is not None
    codes, notes = data.part.copy(), []
    if valid:
        train = np.flatnonzero(codes == TRAIN)
        rank = from_end(data.user[train], None, generator_of(key))
        codes[train] = hold_out(data.user[train], rank, 0.0, valid)
        notes.append(f"valid is a random {valid:g} of each user's published training interactions")
    extra = len(data) - len(np.unique(pair_codes(data)))
    if extra:
        notes.append(f"{extra:,} interactions repeat a pair of their part and are kept")
    return assemble(data, codes, "predefined", notes=notes)


def user_kfold(
    data: Interactions,
    fold: int = 0,
    *,
    folds: int = 5,
    test: float = 0.2,
    valid: float = 0.1,
    order: Order = "random",
    ties: Ties = "shuffle",
    key: jax.Array | None = None,
) -> Split:
    """Hold out whole users (strong generalisation): one fold of them for the test, a fraction of them for valid.

    The users are dealt into folds at random, and every one is a test user in exactly one fold. None of the
    interactions of a held-out user is in train: the part `test` of them is in test (or valid), the rest is in
    fold_in, from which a model may make its list. Users with one interaction stay in train, and so do held-out users
    of whom ties="together" leaves nothing to test; the notes count both.

    Args:
      data: E interactions, with timestamps if order is "time".
      fold: which fold is tested, 0..folds-1.
      folds: how many there are, at least 2.
      test: of each held-out user, the fraction to predict; rounded as in `user_temporal`, at least one.
      valid: the fraction of all users that are held out for validation, beside the fold; rounded.
      order: "random" predicts a random part of their interactions, "time" the last ones.
      ties: see `user_temporal`.
      key: consumed; the same key for all folds. `jax.random.key(0)` if not given.

    Source: Liang, Krishnan, Hoffman, Jebara, "Variational autoencoders for collaborative filtering", 2018, section 4.

    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 3, 4, 4], [5, 6] * 4)
    >>> parts = user_kfold(data, 0, folds=2, valid=0)
    >>> {name: len(part) for name, part in parts.parts().items()}
    {'train': 4, 'valid': 0, 'test': 2, 'fold_in': 2}
    """
    if isinstance(folds, bool) or not isinstance(folds, (int, np.integer)) or folds < 2:
        raise JaxrecError(f"folds is {folds!r}; pass a whole number of at least 2")
    if isinstance(fold, bool) or not isinstance(fold, (int, np.integer)) or not 0 <= fold < folds:
        raise JaxrecError(f"fold is {fold!r}; pass a whole number in 0..{folds - 1}")
    one_of("order", order, ("time", "random"))
    test, _ = fractions(test, 0.0)
    _, valid = fractions(0.0, valid)
    if not test:
        raise JaxrecError("test is 0; user_kfold needs a part of the held-out users' interactions to predict")
    data = canonical(_timed(data, "user_kfold", "user_kfold", "order='random'") if order == "time" else data)
    generator = generator_of(key)
    count = np.bincount(data.user, minlength=data.num_users)
    dealt = generator.permutation(np.flatnonzero(count >= 2))
    if len(dealt) < folds:
        raise DataError(f"folds is {folds} and only {len(dealt)} users have two interactions; pass fewer folds")
    first, last = fold * len(dealt) // folds, (fold + 1) * len(dealt) // folds
    room = len(dealt) - (last - first) - 1
    num_valid = min(int(rounded(np.array(len(dealt)), valid)), room)
    role = np.full(data.num_users, TRAIN, dtype=np.uint8)
    role[dealt[first:last]] = TEST
    role[np.roll(dealt, -last)[:num_valid]] = VALID

    rank = from_end(data.user, data.timestamp if order == "time" else None, generator, ties)
    predicted = rank < np.clip(rounded(count, test), 1, np.maximum(count - 1, 1))[data.user]
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


def user_kfolds(
    data: Interactions,
    *,
    folds: int = 5,
    test: float = 0.2,
    valid: float = 0.1,
    order: Order = "random",
    ties: Ties = "shuffle",
    key: jax.Array | None = None,
) -> Iterator[Split]:
    """All folds of `user_kfold`, made one after another as they are asked for.

    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 3, 4, 4], [5, 6] * 4)
    >>> sum(len(parts.test) for parts in user_kfolds(data, folds=2))
    4
    """
    for fold in range(folds):
        yield user_kfold(data, fold, folds=folds, test=test, valid=valid, order=order, ties=ties, key=key)


def _timed(data: Interactions, method: str, other: str, option: str = "") -> Interactions:
    if data.timestamp is None:
        instead = option or f"method={other!r}"
        also = ", or method='predefined' for the published parts" if data.part is not None else ""
        raise DataError(f"method {method!r} needs timestamps and the data have none; pass {instead}{also}")
    return data


_METHODS = {
    "user_temporal": (user_temporal, ("test", "valid", "ties")),
    "user_random": (user_random, ("test", "valid")),
    "random": (random, ("test", "valid")),
    "global_temporal": (global_temporal, ("test", "valid", "ties")),
    "leave_one_out": (leave_one_out, ("valid", "order", "ties")),
    "user_kfold": (user_kfold, ("test", "valid", "order", "ties", "folds", "fold")),
    "predefined": (predefined, ("valid",)),
}
