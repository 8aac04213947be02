"""Products of histories with the interactions that read only the entries that count: of own items, of chosen items."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxrec.data._seen import SeenItems
from jaxrec.pytrees import register, static
from jaxrec.scorers._histories import entries_at, over_entries, unit_columns, unit_scale
from jaxrec.sparse import SparseOperator, spmm

_WIDTH = 16  # entries of a row that are read together
_BLOCKS = 1024  # of these at a time
_ENTRIES = 8192  # entries that are added at a time
_ADDED = 64  # an entry that is added takes the time of so many that a product multiplies, for each of its columns
_MOST = 2.0**31  # entries that int32 can count
_SPARE = 32  # chosen items are read alone where a catalog has at least so many times as many


@register
@dataclasses.dataclass(frozen=True)
class Lane:
    """One product R^T W (R D h)^power of a history with the interactions; D is `owns[own]`, W the weights of users.

    Attributes:
      users: [V], what each fitted user counts.
      own: which scale of the user's own items; static.
      scored: which scale of the scored items; static.
      power: of the likeness of two users; static.

    >>> Lane(jnp.ones(3), own=0, scored=0).power
    1.0
    """

    users: jax.Array
    own: int = static()
    scored: int = static()
    power: float = static(default=1.0)


def likeness(
    interactions: SparseOperator, history: SeenItems, users: jax.Array, owns: Sequence[jax.Array]
) -> jax.Array:
    """How alike users (int32 [B]) and each of the V fitted ones are, R D h for several scales D: [B, V, S].

    On CPU the users of each own item are read, and nothing else, where these are few; otherwise it is a product with
    all interactions.

    Args:
      interactions: R [V, I].
      history: the items of each user; h has length 1.
      users: int32 [B].
      owns: S diagonals of D, each [I].

    >>> import numpy as np
    >>> from jaxrec.sparse import from_dense, operator
    >>> r = operator(from_dense(jnp.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])))
    >>> history = SeenItems(np.array([0, 1]), np.array([0]))
    >>> likeness(r, history, jnp.array([0]), (jnp.ones(3), jnp.full(3, 5.0))).tolist()
    [[[1.0, 5.0], [0.0, 0.0]]]
    """
    history = SeenItems(jnp.asarray(history.indptr), jnp.asarray(history.items))

    def products(interactions: SparseOperator, history: SeenItems, users: jax.Array, owns: tuple[jax.Array, ...]):
        columns = unit_columns(history, users, interactions.shape[1])
        return jnp.stack([spmm(interactions, own[:, None] * columns).T for own in owns], axis=2)

    def sums(interactions: SparseOperator, history: SeenItems, users: jax.Array, owns: tuple[jax.Array, ...]):
        lengths = jnp.diff(interactions.T.indptr).astype(jnp.float32)
        counted = over_entries(
            history,
            users,
            lambda total, row, item, inside: total + jnp.sum(jnp.where(inside, lengths[item], 0)),
            jnp.float32(0),
        )
        worth = (counted * _ADDED < float(interactions.data.shape[0]) * users.shape[0]) & (counted < _MOST)
        return jax.lax.cond(worth, _added, products, interactions, history, users, owns)

    return jax.lax.platform_dependent(interactions, history, users, tuple(owns), cpu=sums, default=products)


def likeness_for(
    lanes: Sequence[Lane],
    interactions: SparseOperator,
    history: SeenItems,
    users: jax.Array,
    owns: Sequence[jax.Array],
) -> tuple[jax.Array, list[tuple[int, Lane]]]:
    """The likeness by the scales that the lanes need, and each lane with the place of its own, see `lanes_at`.

    >>> import numpy as np
    >>> from jaxrec.sparse import from_dense, operator
    >>> r, history = operator(from_dense(jnp.array([[1.0, 1.0]]))), SeenItems(np.array([0, 1]), np.array([0]))
    >>> lane = Lane(jnp.ones(1), own=1, scored=0)
    >>> alike, placed = likeness_for([lane], r, history, jnp.array([0]), (jnp.ones(2), jnp.full(2, 5.0)))
    >>> alike.tolist(), placed[0][0]
    ([[[5.0]]], 0)
    """
    used = sorted({lane.own for lane in lanes})
    made = likeness(interactions, history, users, [owns[own] for own in used])
    return made, [(used.index(lane.own), lane) for lane in lanes]


def _added(
    interactions: SparseOperator, history: SeenItems, users: jax.Array, owns: tuple[jax.Array, ...]
) -> jax.Array:
    """The likeness by the users of each own item, some thousands of entries at a time."""
    matrix, by = interactions.T, jnp.stack(owns, axis=1)
    size, scale = users.shape[0], unit_scale(history, users)

    def add(table: jax.Array, row: jax.Array, item: jax.Array, inside: jax.Array) -> jax.Array:
        first = matrix.indptr[item]
        lengths = jnp.where(inside, matrix.indptr[item + 1] - first, 0)
        ends = jnp.cumsum(lengths, dtype=jnp.int32)
        weights = by[item] * scale[row][:, None]

        def step(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            at, table = state
            place = at + jnp.arange(_ENTRIES, dtype=jnp.int32)
            near, known, entry = entries_at(place, first, lengths, ends)
            # Places outside go to a user past the end, which is dropped.
            of_row, of_column = jnp.where(known, row[near], size), matrix.columns[entry]
            added = weights[near] * matrix.data[entry][:, None]
            return at + _ENTRIES, table.at[of_row, of_column].add(added, mode="drop")

        return jax.lax.while_loop(lambda state: state[0] < ends[-1], step, (jnp.int32(0), table))[1]

    return over_entries(history, users, add, jnp.zeros((size, matrix.shape[1], len(owns)), jnp.float32))


def weighed(alike: jax.Array, lane: Lane) -> jax.Array:
    """W (R D h)^power [..., V] of a likeness [..., V].

    >>> weighed(jnp.array([[3.0, 1.0]]), Lane(jnp.array([1.0, 2.0]), own=0, scored=0, power=2.0)).tolist()
    [[9.0, 2.0]]
    """
    return lane.users.reshape(*(1 for _ in alike.shape[1:]), -1) * raised(alike, lane.power)


def raised(alike: jax.Array, power: float) -> jax.Array:
    """A power of numbers that are not negative; the first and the second are products.

    >>> raised(jnp.array([3.0]), 2.0).tolist()
    [9.0]
    """
    if power == 1:
        return alike
    return jnp.square(alike) if power == 2 else alike ** jnp.float32(power)


def lanes_at(
    interactions: SparseOperator, alike: jax.Array, lanes: Sequence[tuple[int, Lane]], items: jax.Array
) -> jax.Array:
    """The products R^T W (R D h)^power at chosen items (int32 [B, C]) of each user, [L, B, C].

    On CPU only the entries of these items are read, one user after another, where the catalog has at least 32 times as
    many; otherwise products with all interactions are made, and the items taken.

    Args:
      interactions: R [V, I].
      alike: the likeness [B, V, S].
      lanes: L times the place of D among the S, and W.
      items: int32 [B, C].

    >>> from jaxrec.sparse import from_dense, operator
    >>> r = operator(from_dense(jnp.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])))
    >>> lane = Lane(jnp.ones(2), own=0, scored=0)
    >>> lanes_at(r, jnp.array([[[3.0], [5.0]]]), [(0, lane)], jnp.array([[1, 2]])).tolist()
    [[[8.0, 5.0]]]
    """
    places, parts = [place for place, _ in lanes], [lane for _, lane in lanes]

    def products(interactions: SparseOperator, alike: jax.Array, parts: list[Lane], items: jax.Array):
        made = (
            spmm(interactions.T, weighed(alike[:, :, place], lane).T) for place, lane in zip(places, parts, strict=True)
        )
        return jnp.stack([jnp.take_along_axis(one.T, items, axis=1) for one in made])

    def chosen(interactions: SparseOperator, alike: jax.Array, parts: list[Lane], items: jax.Array):
        def of_user(one: tuple[jax.Array, jax.Array]) -> jax.Array:
            alike, items = one
            each = [weighed(alike[:, place], lane) for place, lane in zip(places, parts, strict=True)]
            return product_at(interactions.T, items, jnp.stack(each, axis=1)).T

        return jnp.moveaxis(jax.lax.map(of_user, (alike, items)), 1, 0)

    if items.shape[1] * _SPARE > interactions.shape[1]:
        return products(interactions, alike, parts, items)
    return jax.lax.platform_dependent(interactions, alike, parts, items, cpu=chosen, default=products)


def vectors_at(vectors: jax.Array, of_users: jax.Array, items: jax.Array) -> jax.Array:
    """The inner products of the vectors [I, k] of chosen items (int32 [B, C]) with tables [B, k, E], [B, C, E].

    On CPU it goes user by user, so that the vectors of the items stay in the cache.

    >>> vectors_at(jnp.array([[1.0], [2.0], [3.0]]), jnp.array([[[1.0, 10.0]]]), jnp.array([[2, 0]])).tolist()
    [[[3.0, 30.0], [1.0, 10.0]]]
    """

    def one_by_one(vectors: jax.Array, of_users: jax.Array, items: jax.Array) -> jax.Array:
        return jax.lax.map(lambda each: vectors[each[1]] @ each[0], (of_users, items))

    def together(vectors: jax.Array, of_users: jax.Array, items: jax.Array) -> jax.Array:
        return jax.vmap(lambda of_user, items: vectors[items] @ of_user)(of_users, items)

    return jax.lax.platform_dependent(vectors, of_users, items, cpu=one_by_one, default=together)


def product_at(matrix: SparseOperator, rows: jax.Array, x: jax.Array) -> jax.Array:
    """Rows (int32 [C]) of the product of a matrix [P, Q] and a table x [Q, d], [C, d], by the entries of these alone.

    It takes time by the entries of these rows, and has no gradient; see `jaxrec.sparse.spmm_rows` for training.

    >>> from jaxrec.sparse import from_dense, operator
    >>> matrix = operator(from_dense(jnp.array([[1.0, 2.0], [0.0, 3.0]])))
    >>> product_at(matrix, jnp.array([1, 0, 1]), jnp.array([[1.0], [10.0]])).tolist()
    [[30.0], [21.0], [30.0]]
    """
    width = x.shape[1]
    x = jnp.pad(x, ((0, 0), (0, -width % 4)))  # so that a row is whole vectors of the processor
    first = matrix.indptr[rows]
    lengths = matrix.indptr[rows + 1] - first
    blocks = -(-lengths // _WIDTH)
    ends = jnp.cumsum(blocks, dtype=jnp.int32)
    begins = ends - blocks

    def step(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        at, out = state
        block = at + jnp.arange(_BLOCKS, dtype=jnp.int32)
        row = jnp.searchsorted(ends, block, side="right").astype(jnp.int32)
        known = jnp.minimum(row, rows.shape[0] - 1)
        place = ((block - begins[known]) * _WIDTH)[:, None] + jnp.arange(_WIDTH, dtype=jnp.int32)[None, :]
        inside = (place < lengths[known][:, None]) & (row < rows.shape[0])[:, None]
        entry = jnp.where(inside, first[known][:, None] + place, 0)
        weights = jnp.where(inside, matrix.data[entry], 0)
        sums = jnp.sum(x[matrix.columns[entry]] * weights[:, :, None], axis=1)
        return at + _BLOCKS, out.at[row].add(sums, mode="drop", indices_are_sorted=True)

    start = jnp.zeros((rows.shape[0], x.shape[1]), x.dtype)
    return jax.lax.while_loop(lambda state: state[0] < ends[-1], step, (jnp.int32(0), start))[1][:, :width]
