"""Which interactions a split holds out: a random order from a key, ties in time, and the sizes of the parts."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import jax
import numpy as np

from jaxrec._keys import one_key
from jaxrec.data._interactions import TEST, TRAIN, VALID, Interactions
from jaxrec.errors import DataError, JaxrecError

Order = Literal["time", "random"]
Ties = Literal["shuffle", "together"]


def generator_of(key: jax.Array | None) -> np.random.Generator:
    """Seed a NumPy generator with a JAX key, for shuffles on the host.

    Args:
      key: one `jax.random.key`, consumed; None stands for `jax.random.key(0)`.

    Raises:
      JaxrecError: something else, or an array of keys.

    >>> generator_of(jax.random.key(1)).random() == generator_of(jax.random.key(1)).random()
    True
    """
    key = jax.random.key(0) if key is None else one_key(key)
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel().tolist())


def from_end(
    group: np.ndarray, time: np.ndarray | None, generator: np.random.Generator, ties: Ties = "shuffle"
) -> np.ndarray:
    """Rank each row from the end of its group, 0 for the last one, by time and then at random.

    Args:
      group: ascending, [E].
      time: [E], or None for a random order.
      generator: its next permutation of E orders rows of equal time.
      ties: "together" gives all rows of a tie the place of its first row, so a tie is held out as a whole or not.

    >>> from_end(np.array([0, 0, 1]), np.array([10, 20, 5]), np.random.default_rng(0))
    array([1, 0, 0])
    """
    one_of("ties", ties, ("shuffle", "together"))
    # A stable sort of shuffled rows leaves equal times in random order, and sorts one key instead of three.
    shuffled = generator.permutation(len(group))
    order = shuffled[np.argsort(_by_group_and_time(group, time)[shuffled], kind="stable")]
    last = np.cumsum(np.bincount(group)) - 1 if len(group) else np.zeros(1, dtype=np.int64)
    place = last[group] - np.arange(len(group))  # `group` ascends, so it is the group of the sorted rows too
    if time is not None and ties == "together":
        sorted_time = time[order]
        starts = np.ones(len(group), dtype=bool)
        starts[1:] = (group[1:] != group[:-1]) | (sorted_time[1:] != sorted_time[:-1])
        place = place[np.maximum.accumulate(np.where(starts, np.arange(len(group)), 0))]
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = place
    return rank


def from_end_in_order(data: Interactions) -> np.ndarray:
    """Rank each row from the end of its user's rows, 0 for the last one, in the order that the data had.

    Args:
      data: E interactions, sorted by user.

    >>> data = Interactions.from_arrays([0, 0, 1], [5, 6, 5])
    >>> import dataclasses
    >>> from_end_in_order(data), from_end_in_order(dataclasses.replace(data, order=[2, 1, 0]))
    (array([1, 0, 0]), array([0, 1, 0]))
    """
    place = np.arange(len(data)) if data.order is None else data.order
    order = np.lexsort((place, data.user))
    last = np.cumsum(np.bincount(data.user)) - 1 if len(data) else np.zeros(1, dtype=np.int64)
    rank = np.empty(len(data), dtype=np.int64)
    rank[order] = last[data.user] - np.arange(len(data))
    return rank


def order_notes(data: Interactions, method: str) -> list[str]:
    """A note, and a warning, where the rows of every user ascend by item: then their order was probably lost.

    >>> with warnings.catch_warnings(action="ignore"):
    ...     order_notes(Interactions.from_arrays([0, 0], [5, 6]), "user_order")
    ['the items of every user ascend in the data, so their order was probably lost by sorting']
    """
    if data.order is not None and not (np.lexsort((data.order, data.user)) == np.arange(len(data))).all():
        return []
    told = "the items of every user ascend in the data, so their order was probably lost by sorting"
    warnings.warn(
        f"{method}: {told}, and the last ones are those with the highest ids; a random part may be the better choice",
        UserWarning,
        stacklevel=4,
    )
    return [told]


def _by_group_and_time(group: np.ndarray, time: np.ndarray | None) -> np.ndarray:
    """One whole number a row that ascends by group, then time."""
    if time is None or not len(time):
        return group
    first, last = int(time.min()), int(time.max())
    if (int(group.max()) + 1) * (last - first + 1) > np.iinfo(np.int64).max:
        time = np.unique(time, return_inverse=True)[1]
        first, last = 0, int(time.max())
    return group.astype(np.int64) * (last - first + 1) + (time - first)


def hold_out(group: np.ndarray, rank: np.ndarray, test: float, valid: float) -> np.ndarray:
    """Part codes [E]: of each group of n rows, the last round(test * n) and the round(valid * n) before them.

    At least one row of each group stays in train; where there is not room for both, test comes first.

    Args:
      group: [E], whole numbers.
      rank: [E], the place from the end of the group, from `from_end`.
      test: fraction of each group.
      valid: fraction of each group.

    >>> hold_out(np.zeros(5, dtype=int), np.arange(5), 0.2, 0.4)
    array([2, 1, 1, 0, 0], dtype=uint8)
    """
    count = np.bincount(group)
    num_test = np.minimum(rounded(count, test), np.maximum(count - 1, 0))
    num_valid = np.minimum(rounded(count, valid), np.maximum(count - 1 - num_test, 0))
    return part_codes(group, rank, num_test, num_valid)


def part_codes(group: np.ndarray, rank: np.ndarray, num_test: np.ndarray, num_valid: np.ndarray) -> np.ndarray:
    """Part codes [E] from the place of each row and the sizes [groups] of the held-out parts.

    >>> part_codes(np.zeros(3, dtype=int), np.arange(3), np.array([1]), np.array([1]))
    array([2, 1, 0], dtype=uint8)
    """
    test, valid = rank < num_test[group], rank < (num_test + num_valid)[group]
    return np.where(test, TEST, np.where(valid, VALID, TRAIN)).astype(np.uint8)


def in_time(codes: np.ndarray) -> np.ndarray:
    """The place of each row's part in time [E]: train before valid before test.

    >>> in_time(np.array([TEST, TRAIN, VALID])).tolist()
    [2, 0, 1]
    """
    places = np.empty(3, dtype=np.int64)
    places[[TRAIN, VALID, TEST]] = 0, 1, 2
    return places[codes]


def rounded(count: np.ndarray, fraction: float) -> np.ndarray:
    """`count * fraction` to the nearest whole number, halves up.

    >>> rounded(np.array([5, 10]), 0.1)
    array([1, 1])
    """
    # The small term keeps 0.29 * 50 = 14.499999999999998 from being rounded down.
    return np.floor(count * fraction + 0.5 + 1e-9).astype(np.int64)


def fractions(test: float, valid: float) -> tuple[float, float]:
    """Check two fractions, each in [0, 1) and together below 1, and return them as floats.

    >>> fractions(0.2, 0)
    (0.2, 0.0)
    """
    for name, value in (("test", test), ("valid", valid)):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value < 1:
            raise JaxrecError(f"{name} is {value!r}; pass a fraction of the interactions, at least 0 and below 1")
    if test + valid >= 1:
        raise JaxrecError(f"test is {test:g} and valid is {valid:g}; together they must leave a part for train")
    return float(test), float(valid)


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Check that an option has one of the allowed values.

    >>> one_of("ties", "shuffle", ("shuffle", "together"))
    """
    if value not in allowed:
        raise JaxrecError(f"{name} is {value!r}; pass {' or '.join(repr(one) for one in allowed)}")


def check_words(splitter: Any) -> None:
    """Check the options `order` and `ties` of a splitter, where it has them.

    >>> check_words(None)
    """
    one_of("order", getattr(splitter, "order", "time"), ("time", "random"))
    one_of("ties", getattr(splitter, "ties", "shuffle"), ("shuffle", "together"))


def ordered(data: Interactions, method: str, order: Order) -> Interactions:
    """The data, once they are known to have timestamps where an order by time needs them.

    >>> len(ordered(Interactions.from_arrays([1], [2]), "user_kfold", "random"))
    1
    """
    return timed(data, method, "order='random'") if order == "time" else data


def timed(data: Interactions, method: str, instead: str) -> Interactions:
    """The data, once they are known to have timestamps; otherwise the error says what else to pass.

    >>> len(timed(Interactions.from_arrays([1], [2], timestamp=[3]), "user_temporal", "method='random'"))
    1
    """
    if data.timestamp is None:
        also = ", or method='predefined' for the published parts" if data.part is not None else ""
        raise DataError(f"method {method!r} needs timestamps and the data have none; pass {instead}{also}")
    return data
