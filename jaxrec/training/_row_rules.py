"""How rows move: SGD, Adagrad and lazy Adam on the rows of a batch, at a cost that does not grow with the table.

A row that occurs several times in a batch gets the sum of its gradients once. SGD is linear, so its rows are added one
occurrence after another. The others square the gradient, so the occurrences are brought together first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError

Slots = tuple[jax.Array, ...]


class RowRule(NamedTuple):
    """An optimizer that moves single rows of a table.

    Attributes:
      name: "sgd", "adagrad" or "adam".
      slots: what each slot holds in every place before the first step. A slot is an array of the table's shape: the
        accumulator of Adagrad, the two moments of Adam. SGD has none.
      direction: (gradient [n, ...], slots of the same rows, count) -> (what the learning rate is multiplied with
        [n, ...], slots after). The count is a float32 scalar, the number of this step from 1.

    >>> row_sgd().slots, row_adagrad().slots, row_adam().slots
    ((), (0.1,), (0.0, 0.0))
    """

    name: str
    slots: tuple[float, ...]
    direction: Callable[[jax.Array, Slots, jax.Array], tuple[jax.Array, Slots]]

    def init(self, params: Any) -> Any:
        """The state of the optimizer before the first step: for each table its slots.

        >>> row_adagrad().init({"w": jnp.zeros(1)})["w"][0].tolist()
        [0.10000000149011612]
        """
        return {name: tuple(jnp.full_like(table, value) for value in self.slots) for name, table in params.items()}


@functools.cache
def row_sgd() -> RowRule:
    """Plain SGD: row - rate g.

    >>> row_sgd().direction(jnp.ones(1), (), jnp.float32(1))[0].tolist()
    [1.0]
    """
    return RowRule("sgd", (), lambda gradient, slots, count: (gradient, slots))


@functools.cache
def row_adagrad(initial: float = 0.1, eps: float = 1e-7) -> RowRule:
    """Adagrad: s += g^2, then row - rate g / sqrt(s + eps).

    A gradient of 0 moves nothing, so it is the same as dense Adagrad wherever rows outside the batch have none. The
    defaults and the place of eps are those of `optax.adagrad`. PyTorch starts at 0 and adds 1e-10 to the root.

    Args:
      initial: s before the first step.
      eps: keeps the root away from 0.

    Raises:
      JaxrecError: a negative `initial`, an `eps` that is not positive.

    Source: Duchi, Hazan and Singer, Adaptive Subgradient Methods, JMLR 12, 2011.

    >>> rule = row_adagrad(initial=0.0)
    >>> direction, (squares,) = rule.direction(jnp.array([2.0]), (jnp.array([0.0]),), jnp.float32(1))
    >>> direction.round(3).tolist(), squares.tolist()
    ([1.0], [4.0])
    """
    if not initial >= 0:
        raise JaxrecError(f"initial must not be negative, got {initial}")
    if not eps > 0:
        raise JaxrecError(f"eps must be positive, got {eps}")

    def direction(gradient: jax.Array, slots: Slots, count: jax.Array) -> tuple[jax.Array, Slots]:
        del count
        squares = slots[0] + jnp.square(gradient)
        return gradient * jax.lax.rsqrt(squares + eps), (squares,)

    return RowRule("adagrad", (initial,), direction)


@functools.cache
def row_adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> RowRule:
    """Lazy Adam: m = b1 m + (1 - b1) g and v = b2 v + (1 - b2) g^2, for rows of the batch only.

    The row moves by -rate m' / (sqrt(v') + eps) with m' = m / (1 - b1^t), v' = v / (1 - b2^t) and t the number of the
    step, which counts for all rows. Rows outside the batch keep their moments and do not move. Dense Adam lets their
    moments decay and moves them on, so the two differ for such rows. A row that is in every batch moves as in dense
    Adam. PyTorch's SparseAdam is the same but for eps, which it adds to the root of v instead of v'.

    Args:
      b1: decay of the first moment.
      b2: decay of the second moment.
      eps: keeps the denominator away from 0.

    Raises:
      JaxrecError: a decay outside [0, 1), an `eps` that is not positive.

    Source: Kingma and Ba, Adam, ICLR 2015, algorithm 1; the lazy form is that of TensorFlow Addons' LazyAdam.

    >>> direction, moments = row_adam().direction(jnp.array([2.0]), (jnp.zeros(1), jnp.zeros(1)), jnp.float32(1))
    >>> direction.round(3).tolist()  # the first step has length 1 times the rate
    [1.0]
    """
    for name, value in (("b1", b1), ("b2", b2)):
        if not 0 <= value < 1:
            raise JaxrecError(f"{name} must lie in [0, 1), got {value}")
    if not eps > 0:
        raise JaxrecError(f"eps must be positive, got {eps}")

    def direction(gradient: jax.Array, slots: Slots, count: jax.Array) -> tuple[jax.Array, Slots]:
        first = b1 * slots[0] + (1 - b1) * gradient
        second = b2 * slots[1] + (1 - b2) * jnp.square(gradient)
        corrected = first / (1 - jnp.float32(b1) ** count)
        return corrected / (jnp.sqrt(second / (1 - jnp.float32(b2) ** count)) + eps), (first, second)

    return RowRule("adam", (0.0, 0.0), direction)


class Occurrences(NamedTuple):
    """Which places of a batch hold the same row.

    Attributes:
      row: int32 [n], the distinct rows in ascending order, then numbers past the table's end, all different.
      place: int32 [n], for each place of the batch where `row` has its row.

    >>> occurrences(jnp.array([7, 2, 7]), jnp.array([True, True, True]), 9).place.tolist()
    [1, 0, 1]
    """

    row: jax.Array
    place: jax.Array


def occurrences(index: jax.Array, where: jax.Array, num_rows: int) -> Occurrences:
    """Bring together the places of a batch that hold the same row, by sorting.

    Args:
      index: int32 [n], rows of a table, in any order.
      where: bool [n], the places that count. The others are no occurrence of their row.
      num_rows: of the table; n more must fit into int32; static.

    Returns:
      See `Occurrences`. A scatter that drops what is out of range so writes every distinct row once, and nothing else.

    Raises:
      JaxrecError: a table so long that the numbers past its end do not fit into int32.

    >>> occurrences(jnp.array([7, 2, 7, 4]), jnp.array([True, True, True, False]), 9).row.tolist()
    [2, 7, 11, 12]
    """
    num = index.shape[0]
    if num_rows + num > jnp.iinfo(jnp.int32).max:
        raise JaxrecError(f"a table of {num_rows} rows is too long for batches of {num} places; use fewer rows")
    index = jnp.where(where, index, num_rows)
    # Only the keys are sorted, and each place looks its row up afterwards: on CPU XLA sorts keys with a payload many
    # times slower than keys alone.
    ordered = jax.lax.sort(index)
    first = jnp.concatenate([jnp.ones(min(num, 1), bool), ordered[1:] != ordered[:-1]])
    run = jnp.cumsum(first, dtype=jnp.int32) - 1
    row = jnp.full(num, num_rows, jnp.int32).at[run].set(ordered, indices_are_sorted=True)
    # Different numbers past the end let the scatters promise unique and sorted rows.
    row = jnp.where(row < num_rows, row, num_rows + jnp.arange(num, dtype=jnp.int32))
    return Occurrences(row, jnp.searchsorted(row, index).astype(jnp.int32))


def move_rows(
    table: jax.Array,
    slots: Slots,
    gradient: jax.Array,
    same: Occurrences,
    rule: RowRule,
    rate: jax.Array,
    count: jax.Array,
) -> tuple[jax.Array, Slots]:
    """Move the rows of a batch by a rule, each once, by the sum of its gradients.

    Args:
      table: [R, ...], for example [R, d] embeddings or [R] biases.
      slots: of the table, each of its shape.
      gradient: [n, ...], one for each place of the batch; it must be 0 at places that do not count.
      same: of the n places.
      rule: the optimizer.
      rate: the learning rate, a float32 scalar.
      count: the number of this step from 1, a float32 scalar.

    Returns:
      (table after, slots after). Only rows of the batch are read or written.

    >>> same = occurrences(jnp.array([1, 1]), jnp.array([True, True]), 3)
    >>> one = jnp.float32(1)
    >>> move_rows(jnp.zeros(3), (), jnp.array([1.0, 2.0]), same, row_sgd(), one, one)[0].tolist()
    [0.0, -3.0, 0.0]
    """
    total = jnp.zeros_like(gradient).at[same.place].add(gradient)
    read = tuple(slot.at[same.row].get(mode="clip") for slot in slots)  # what is past the end is dropped below
    direction, after = rule.direction(total, read, count)
    put = {"mode": "drop", "unique_indices": True, "indices_are_sorted": True}
    moved = table.at[same.row].add(-rate * direction, **put)
    return moved, tuple(slot.at[same.row].set(new, **put) for slot, new in zip(slots, after, strict=True))
