"""Whether the arrays of a scorer that was read from a file fit each other, for each class of the library.

A class of one's own is not checked, unless it registers a function of its own: `check_arrays.register(Mine)`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec._keys import key_from_data
from jaxrec.blending import BlendScorer
from jaxrec.data._seen import SeenItems
from jaxrec.errors import MismatchError
from jaxrec.scorers import (
    CandidateScorer,
    FactorScorer,
    FilterScorer,
    GraphFeatures,
    ItemWeightScorer,
    NetworkScorer,
    PopularityScorer,
    RandomScorer,
    StackedScorer,
    TableScorer,
    UserWeightScorer,
)
from jaxrec.sparse import SparseOperator

MOST = 2**31 - 1  # indices are int32


@functools.singledispatch
def check_arrays(part: Any) -> None:
    """Check the arrays of a scorer or of a matrix on the host: sizes, order and ranges.

    Raises:
      MismatchError: they do not fit each other.

    >>> check_arrays(PopularityScorer(jnp.ones(3), num_users=2.5))
    Traceback (most recent call last):
        ...
    jaxrec.errors.MismatchError: num_users is 2.5, expected a whole number in 0..2147483647
    """


def check_seen(seen: SeenItems, num_items: int, what: str) -> None:
    """Check that these are rows of ascending items without repeats.

    Args:
      seen: the items of each user.
      num_items: I.
      what: these are, for messages.

    Raises:
      MismatchError: rows that do not follow each other, items outside 0..I-1 or out of order.

    >>> check_seen(SeenItems(np.array([0, 2]), np.array([5, 3])), 6, "seen items")
    Traceback (most recent call last):
        ...
    jaxrec.errors.MismatchError: seen items of a user are not ascending
    """
    indptr, items = np.asarray(seen.indptr), np.asarray(seen.items)
    if indptr.dtype.kind != "i" or items.dtype.kind != "i" or indptr.ndim != 1 or items.ndim != 1:
        raise MismatchError(f"{what} are {indptr.dtype} {indptr.shape} and {items.dtype} {items.shape}")
    if len(indptr) < 1 or indptr[0] != 0 or indptr[-1] != len(items) or (np.diff(indptr) < 0).any():
        raise MismatchError(f"{what}: the rows do not divide the {len(items):,} items")
    if len(items) and (items.min() < 0 or items.max() >= num_items):
        raise MismatchError(f"{what} are {items.min()}..{items.max()}, outside 0..{num_items - 1}")
    first = np.zeros(len(items) + 1, bool)
    first[indptr] = True
    if (np.diff(items) <= 0)[~first[1:-1]].any():
        raise MismatchError(f"{what} of a user are not ascending")


@check_arrays.register
def _factors(scorer: FactorScorer) -> None:
    _check_tables(users=scorer.users, items=scorer.items)
    if scorer.users.shape[1] != scorer.items.shape[1]:
        raise MismatchError(f"vectors are of {scorer.users.shape[1]} and {scorer.items.shape[1]} columns")
    _check_size("dim", scorer.dim, min(scorer.users.shape[1], 1), scorer.users.shape[1])


@check_arrays.register
def _item_weights(scorer: ItemWeightScorer) -> None:
    _check_matrix(scorer.weights, "weights")
    if scorer.weights.shape[0] != scorer.weights.shape[1]:
        raise MismatchError(f"weights have shape {scorer.weights.shape}, not one row and one column an item")
    check_seen(scorer.history, scorer.num_items, "items of histories")
    longest = int(np.diff(np.asarray(scorer.history.indptr)).max(initial=1))
    # It may be rounded up, so that other histories find a compiled program.
    _check_size("longest", scorer.longest, longest, max(64, 2 * longest))


@check_arrays.register
def _user_weights(scorer: UserWeightScorer) -> None:
    check_arrays(scorer.history)
    _check_tables(weights=scorer.weights)
    neighbors, rows = np.asarray(scorer.neighbors), scorer.history.shape[0]
    if neighbors.dtype.kind != "i" or neighbors.shape != scorer.weights.shape:
        raise MismatchError(f"neighbors are {neighbors.dtype} {neighbors.shape}, and weights {scorer.weights.shape}")
    if neighbors.size and (neighbors.min() < 0 or neighbors.max() >= rows):
        raise MismatchError(f"neighbors are {neighbors.min()}..{neighbors.max()}, outside 0..{rows - 1}")


@check_arrays.register
def _filters(scorer: FilterScorer) -> None:
    check_arrays(scorer.interactions)
    fitted, num_items = scorer.interactions.shape
    check_seen(scorer.history, num_items, "items of histories")
    for name in ("owns", "scoreds"):
        for scale in getattr(scorer, name):
            _check_vector(scale, num_items, f"a scale of {name}")
    for table in scorer.tables:
        _check_tables(vectors=table)
        if table.shape != (num_items, scorer.tables[0].shape[1]):
            raise MismatchError(f"vectors have shape {table.shape}, the first {scorer.tables[0].shape}")
    for lane in scorer.lanes:
        _check_vector(lane.users, fitted, "the weights of a lane")
        if type(lane.power) not in (int, float) or not lane.power > 0:
            raise MismatchError(f"the power of a lane is {lane.power!r:.40}")
    for band in scorer.bands:
        _check_size("target", band.target, 0, len(scorer.tables) - 1)
        _check_vector(band.gains, scorer.tables[0].shape[1], "the gains of a band")
    for part in scorer.series:
        _check_vector(part.users, fitted, "the weights of a series")
        _check_vector(part.items, num_items, "the scale of a series")
        _check_vector(part.coefficients, max(part.coefficients.size, 1), "the coefficients of a series")
    for part in (*scorer.lanes, *scorer.bands, *scorer.series):
        _check_size("own", part.own, 0, len(scorer.owns) - 1)
        _check_size("scored", part.scored, 0, len(scorer.scoreds) - 1)


@check_arrays.register
def _candidates(scorer: CandidateScorer) -> None:
    check_arrays(scorer.filter)
    _check_size("candidates", scorer.candidates, 1, MOST)
    _check_vector(scorer.lane.users, scorer.filter.interactions.shape[0], "the weights of a lane")
    for name, place in (("own", scorer.lane.own), ("scored", scorer.lane.scored)):
        _check_size(name, place, 0, 0)
    for name, scale in (("own", scorer.own), ("scale", scorer.scale)):
        _check_vector(scale, scorer.num_items, f"the scale {name} of candidates")


@check_arrays.register
def _features(features: GraphFeatures) -> None:
    check_arrays(features.interactions)
    fitted, num_items = features.interactions.shape
    _check_tables(vectors=features.vectors)
    if features.vectors.shape[0] != num_items:
        raise MismatchError(f"vectors have {features.vectors.shape[0]:,} rows for {num_items:,} items")
    for name, scale in (("owns", features.owns), ("scale", (features.scale,)), ("degrees", (features.item_degrees,))):
        for one in scale:
            _check_vector(one, num_items, f"a scale of {name}")
    for lane in features.lanes:
        _check_vector(lane.users, fitted, "the weights of a lane")
        _check_size("own", lane.own, 0, len(features.owns) - 1)
    for end in features.ends:
        _check_size("an end of low-pass scores", end, 1, features.vectors.shape[1])


@check_arrays.register
def _network_scorer(scorer: NetworkScorer) -> None:
    _check_network(scorer, 0)


@check_arrays.register
def _stacked(scorer: StackedScorer) -> None:
    if type(scorer.members) is not tuple or not isinstance(scorer.graph, NetworkScorer):
        raise MismatchError("a stacked scorer has no network, or no members")
    _check_network(scorer.graph, len(scorer.members))
    for member in scorer.members:
        check_arrays(member)
        if (member.num_users, member.num_items) != (scorer.num_users, scorer.num_items):
            raise MismatchError(
                f"a member is of {member.num_users} users and {member.num_items} items, and the network of "
                f"{scorer.num_users} and {scorer.num_items}"
            )


def _check_network(scorer: NetworkScorer, further: int) -> None:
    """The arrays of a network over the features of a graph and so many further ones."""
    check_arrays(scorer.features)
    check_seen(scorer.history, scorer.num_items, "items of histories")
    if scorer.candidates is not None:
        _check_size("candidates", scorer.candidates, 1, MOST)
    network, size = scorer.network, scorer.features.size + further
    for name, vector in (("shift", network.shift), ("scale", network.scale)):
        _check_vector(vector, size, f"the {name} of a network")
    several = network.skip.shape[:-2]  # (N,) of N networks, or ()
    widths = [size, *(bias.shape[-1] if bias.ndim else 0 for bias in network.biases), 1]
    shapes = [(*several, after, before) for before, after in itertools.pairwise(widths)]
    if (
        len(several) > 1
        or 0 in several
        or [weight.shape for weight in network.weights] != shapes
        or [bias.shape for bias in network.biases] != [(*several, width) for width in widths[1:-1]]
        or network.skip.shape != (*several, 1, size)
    ):
        found = [weight.shape for weight in network.weights]
        raise MismatchError(f"the weights of a network have the shapes {found}, expected {shapes}")


@check_arrays.register
def _popularity(scorer: PopularityScorer) -> None:
    if scorer.counts.ndim != 1 or not jnp.issubdtype(scorer.counts.dtype, jnp.floating):
        raise MismatchError(f"counts are {scorer.counts.dtype} {scorer.counts.shape}, not one float an item")
    _check_size("num_users", scorer.num_users, 0, MOST)


@check_arrays.register
def _random(scorer: RandomScorer) -> None:
    _check_size("num_users", scorer.num_users, 0, MOST)
    _check_size("num_items", scorer.num_items, 0, MOST)
    try:
        key_from_data(scorer.key_data)
    except (TypeError, ValueError):
        raise MismatchError(f"key_data are {scorer.key_data.dtype} {scorer.key_data.shape}, and no key") from None


@check_arrays.register
def _table(scorer: TableScorer) -> None:
    _check_tables(table=scorer.table)


@check_arrays.register
def _blend(scorer: BlendScorer) -> None:
    members, calibrations, weights = scorer.members, scorer.calibrations, scorer.weights
    if type(members) is not tuple or type(calibrations) is not tuple or not members:
        raise MismatchError("a blend has no members")
    if not isinstance(weights, jax.Array) or weights.dtype != jnp.float32 or weights.shape != (len(members),):
        raise MismatchError(f"weights of a blend of {len(members)} members are {weights!r:.60}")
    if len(calibrations) != len(members) or not all(map(callable, calibrations)):
        raise MismatchError(f"a blend of {len(members)} members has {len(calibrations)} calibrations")
    for number in jax.tree.leaves(calibrations):
        if np.shape(number) != () or np.asarray(number).dtype != np.float32 or not np.isfinite(number):
            raise MismatchError(f"a calibration has the number {number!r:.60}")
    check_seen(scorer.seen, scorer.num_items, "seen items of a blend")
    for member in members:
        check_arrays(member)
        if (member.num_users, member.num_items) != (scorer.num_users, scorer.num_items):
            raise MismatchError(
                f"a member of a blend is of {member.num_users} users and {member.num_items} items, and the blend of "
                f"{scorer.num_users} and {scorer.num_items}"
            )
    _check_size("longest", scorer.longest, int(np.diff(np.asarray(scorer.seen.indptr)).max(initial=1)), MOST)


@check_arrays.register
def _operator(matrix: SparseOperator) -> None:
    """The arrays are of one matrix, and those of the transpose of its transpose."""
    shape = matrix.shape
    if type(shape) is not tuple or len(shape) != 2 or not all(type(size) is int for size in shape):
        raise MismatchError(f"the shape of a matrix is {shape!r:.60}")
    places = _places((matrix.data, matrix.rows, matrix.columns, matrix.indptr), shape)
    other = matrix.T
    if other.shape != shape[::-1]:
        raise MismatchError(f"a matrix of shape {shape} is no transpose of itself")
    mirrored = _places((other.data, other.rows, other.columns, other.indptr), other.shape)
    back = mirrored % max(shape[0], 1) * shape[1] + mirrored // max(shape[0], 1)
    (mine, data), (theirs, others) = _ordered(places, matrix.data), _ordered(back, other.data)
    # A matrix counts as symmetric within rounding.
    rounding = 1e-5 if matrix.transposed is None else 0
    if not (np.array_equal(mine, theirs) and np.allclose(data, others, rtol=rounding, atol=0, equal_nan=True)):
        raise MismatchError("a matrix and its transpose have different entries")


def _ordered(places: np.ndarray, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Places in order, and the entries there; where a place has several, they are in order too."""
    data, order = np.asarray(data), np.argsort(places)
    if (places[order][1:] == places[order][:-1]).any():
        order = np.lexsort((data, places))
    return places[order], data[order]


def _places(parts: Sequence[Any], shape: tuple[int, int]) -> np.ndarray:
    """The places of the entries of a matrix, row * Q + column."""
    data, rows, columns, indptr = map(np.asarray, parts)
    if not (data.shape == rows.shape == columns.shape and data.ndim == 1 and indptr.shape == (shape[0] + 1,)):
        shapes = [part.shape for part in (data, rows, columns, indptr)]
        raise MismatchError(f"the arrays of a matrix of shape {shape} have the shapes {shapes}")
    if not rows.dtype == columns.dtype == indptr.dtype == np.int32 or data.dtype.kind not in "fiub":
        raise MismatchError(f"a matrix has {data.dtype} entries, and indices of {rows.dtype} and {columns.dtype}")
    for name, index, size in (("rows", rows, shape[0]), ("columns", columns, shape[1])):
        if index.size and (index.min() < 0 or index.max() >= size):
            raise MismatchError(f"{name} are {index.min()}..{index.max()}, outside 0..{size - 1}")
    if (np.diff(rows) < 0).any() or not np.array_equal(np.searchsorted(rows, np.arange(shape[0] + 1)), indptr):
        raise MismatchError("indptr of a matrix is not where its rows begin")
    return rows.astype(np.int64) * shape[1] + columns


def _check_matrix(matrix: Any, name: str) -> None:
    """A dense matrix, or one with a check of its own."""
    if isinstance(matrix, jax.Array):
        _check_tables(**{name: matrix})
    else:
        check_arrays(matrix)


def _check_tables(**tables: jax.Array) -> None:
    for name, table in tables.items():
        if table.ndim != 2 or not jnp.issubdtype(table.dtype, jnp.floating):
            raise MismatchError(f"{name} are {table.dtype} {table.shape}, not a table of floats")


def _check_vector(vector: jax.Array, size: int, name: str) -> None:
    if vector.shape != (size,) or not jnp.issubdtype(vector.dtype, jnp.floating):
        raise MismatchError(f"{name} is {vector.dtype} {vector.shape}, not {size:,} floats")


def _check_size(name: str, value: Any, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise MismatchError(f"{name} is {value!r:.40}, expected a whole number in {low}..{high}")
