"""What a blend learns from held-out items: the numbers of each member's calibration, and the weights of the members.

Both are learnt by L-BFGS on the softmax loss: for each user, the mean over the held-out items of -log p(i | u), where p
is the softmax of the calibrated or of the blended scores over the items that count.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize

from jaxrec.blending import LogShare, LogSoftmax, calibrated_scores, log_total
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems
from jaxrec.pytrees import structure_of
from jaxrec.ranking._tiles import mask_seen

_SPREAD = 4.0  # the softmax of scores with this standard deviation is neither flat nor of one item

CALIBRATION_USERS = 1000
"""A calibration has one or two numbers, for which so many users are enough."""

_TILE = 2**22  # scores that are looked at in one step
_STOP = {"maxiter": 60, "ftol": 1e-6}  # of the loss, which is summed in float32
_LARGEST = 16.0  # of the log of a number of a calibration


@dataclasses.dataclass(frozen=True, eq=False)
class Heldout:
    """Scores of n users by M members, and which of them are of held-out items.

    Attributes:
      scores: of each member, float32 [n, C], of all items or of candidates.
      where: bool [n, C], the items that the user can be shown.
      at: int32 [n, R], the places of the held-out items, padded with 0.
      share: float32 [n, R], 1 over their number, 0 for padding.
    """

    scores: tuple[np.ndarray, ...]
    where: np.ndarray
    at: np.ndarray
    share: np.ndarray

    def of(self, users: np.ndarray, members: Sequence[int] | None = None) -> Heldout:
        """The same of some of the users (int [m]), and of some of the members."""
        chosen = self.scores if members is None else [self.scores[member] for member in members]
        return Heldout(tuple(one[users] for one in chosen), self.where[users], self.at[users], self.share[users])


def held_out_of(valid: Interactions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The users with a held-out item, int32 [n], their items [n, R] and the share of each item; see `Heldout`.

    >>> import jaxrec
    >>> users, items, share = held_out_of(jaxrec.from_arrays([5, 5, 6], [1, 2, 1]))
    >>> users.tolist(), items.tolist(), share.tolist()
    ([0, 1], [[0, 1], [0, 0]], [[0.5, 0.5], [1.0, 0.0]])
    """
    pairs = np.unique(np.stack([valid.user, valid.item], axis=1), axis=0)
    users, starts, counts = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    place = np.arange(len(pairs)) - np.repeat(starts, counts)
    row = np.repeat(np.arange(len(users)), counts)
    items = np.zeros((len(users), int(counts.max(initial=1))), np.int32)
    share = np.zeros(items.shape, np.float32)
    items[row, place], share[row, place] = pairs[:, 1], 1 / counts[row]
    return users.astype(np.int32), items, share


def heldout(
    scorers: Sequence[Any], users: np.ndarray, items: np.ndarray, share: np.ndarray, seen: SeenItems
) -> Heldout:
    """Score all items for users with held-out items.

    Args:
      scorers: of the M members.
      users: int32 [n].
      items: int32 [n, R], the held-out ones.
      share: float32 [n, R].
      seen: the items that the users cannot be shown.
    """
    num_items = int(scorers[0].num_items)
    shown = SeenItems(*map(jnp.asarray, seen)) if len(seen.items) else None
    tile = tile_of(num_items, len(users))
    scores = tuple(np.empty((len(users), num_items), np.float32) for _ in scorers)
    where = np.empty((len(users), num_items), bool)
    for part, padded in _tiles(len(users), tile):
        batch = users[padded]
        for one, scorer in zip(scores, scorers, strict=True):
            one[part] = np.asarray(_scores(scorer, batch, structure=structure_of(scorer)))[: len(part)]
        where[part] = np.asarray(_unseen(batch, shown, num_items=num_items))[: len(part)]
    return Heldout(scores, where, items, share)


def tile_of(columns: int, users: int) -> int:
    """How many users are looked at in one step.

    >>> tile_of(40_000, 5_000), tile_of(40_000, 3)
    (104, 8)
    """
    most = max(_TILE // max(columns, 1) // 8 * 8, 8)
    return min(most, -(-users // 8) * 8)


def learn_calibration(
    calibration: Any, scores: np.ndarray, held: Heldout, best: int | None = None
) -> tuple[Any, float]:
    """Learn the numbers of the calibration of one member.

    Args:
      calibration: to start from, see `jaxrec.protocols.Calibration`.
      scores: float32 [n, C], of the member.
      held: the held-out items; its scores are not looked at.
      best: learn from that many items of each user, the best of the member, and the held-out ones that are among these;
        None for all. How a member orders items that it would never show then says nothing of its calibration.

    Returns:
      The calibration, and the loss that it has.
    """
    near = held.where if best is None else nearest(scores, held.where, best)
    held = _within(held, near)
    leaves, structure = jax.tree.flatten(calibration)
    start = np.log(np.maximum(np.asarray(leaves, np.float64), 1e-3))

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        numbers = np.exp(logs)
        tried = jax.tree.unflatten(structure, [np.float32(number) for number in numbers])
        value, gradient = _over_tiles(held, (scores, near), functools.partial(_of_calibration, tried))
        return value, np.asarray(gradient, np.float64) * numbers

    if not len(leaves):
        return calibration, loss(start)[0]
    bounds = [(-_LARGEST, _LARGEST)] * len(start)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=_STOP)
    return jax.tree.unflatten(structure, [float(number) for number in np.exp(found.x)]), float(found.fun)


def likeliest(scores: np.ndarray, held: Heldout, best: int | None = None) -> tuple[Any, float]:
    """`LogSoftmax` or `LogShare`, with learnt numbers, whichever makes the held-out items likelier, and its loss."""
    deviation = float(np.std(scores, where=held.where & np.isfinite(scores)))
    start = LogSoftmax(deviation / _SPREAD) if 0 < deviation < np.inf else LogSoftmax()
    found = [learn_calibration(one, scores, held, best) for one in (start, LogShare())]
    return min(found, key=lambda pair: pair[1])


def nearest(scores: np.ndarray, where: np.ndarray, best: int) -> np.ndarray:
    """The `best` highest scores of each user among the items that count, bool [n, C].

    >>> nearest(np.array([[3.0, 1.0, 2.0]]), np.array([[False, True, True]]), 1).tolist()
    [[False, False, True]]
    """
    near = np.zeros(scores.shape, bool)
    np.put_along_axis(near, _columns_of_best(scores, where, best), True, axis=1)
    return near & where


def _columns_of_best(scores: np.ndarray, where: np.ndarray, best: int) -> np.ndarray:
    """The columns of the `best` highest scores of each user among the items that count, int [n, best], in no order."""
    best = min(best, scores.shape[1])
    return np.argpartition(np.where(where, -scores, np.inf), best - 1, axis=1)[:, :best]


def _within(held: Heldout, near: np.ndarray) -> Heldout:
    """The same with the held-out items that are among those of bool [n, C] alone, each user's shares summing to 1."""
    share = np.where(np.take_along_axis(near, held.at, axis=1), held.share, 0)
    total = share.sum(axis=1, keepdims=True)
    return dataclasses.replace(held, share=(share / np.where(total > 0, total, 1)).astype(np.float32))


def calibrated(held: Heldout, calibrations: Sequence[Any]) -> Heldout:
    """The same with calibrated scores."""
    out = []
    for scores, calibration in zip(held.scores, calibrations, strict=True):
        made, tile = np.empty_like(scores), tile_of(scores.shape[1], len(scores))
        for part, padded in _tiles(len(scores), tile):
            found = _calibrated(calibration, scores[padded], held.where[padded], structure=structure_of(calibration))
            made[part] = np.asarray(found)[: len(part)]
        out.append(made)
    return dataclasses.replace(held, scores=tuple(out))


def learn_weights(
    held: Heldout, l2: float, start: np.ndarray | None = None, *, nonnegative: bool = False
) -> tuple[np.ndarray, float]:
    """Learn the weights of calibrated members: the minimum of loss + l2 / 2 |w|^2, which is convex.

    Args:
      held: with calibrated scores.
      l2: of the penalty.
      start: weights to start from.
      nonnegative: whether no weight may be below 0.

    Returns:
      float64 [M], and the loss without the penalty.
    """

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = _of_all(held, weights)
        penalty = l2 / 2 * float(weights @ weights)
        return value + penalty, np.asarray(gradient, np.float64) + l2 * weights

    begin = np.full(len(held.scores), 1 / len(held.scores)) if start is None else start
    bounds = [(0.0, None)] * len(begin) if nonnegative else None
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options=_STOP)
    return found.x, float(found.fun) - l2 / 2 * float(found.x @ found.x)


def loss_of_weights(held: Heldout, weights: np.ndarray) -> float:
    """The loss of weights [M] on calibrated scores."""
    return _of_all(held, weights)[0]


def _of_all(held: Heldout, weights: np.ndarray) -> tuple[float, Any]:
    return _over_tiles(held, held.scores, functools.partial(_of_weights, weights.astype(np.float32)))


def best_candidates(held: Heldout, each: int) -> Heldout:
    """Leave of every user's items the `each` best of every member, and the held-out ones that are among these.

    To add the other held-out items would teach that what all members rank low is liked.

    Args:
      held: of all items, with calibrated scores.
      each: from a member.

    >>> scores, held_out, share = np.array([[3.0, 1.0, 2.0]]), np.array([[1, 2]]), np.array([[0.5, 0.5]])
    >>> held = Heldout((scores,), np.ones((1, 3), bool), held_out, share)
    >>> few = best_candidates(held, 2)
    >>> few.scores[0].tolist(), few.at.tolist(), few.share.tolist()  # items 0 and 2; item 1 is out of reach
    ([[3.0, 2.0]], [[0, 1]], [[0.0, 1.0]])
    """
    rows = np.arange(len(held.where))[:, None]
    order = [_columns_of_best(one, held.where, each) for one in held.scores]
    columns = np.sort(np.concatenate(order, axis=1).astype(np.int32), axis=1)
    first = np.diff(columns, axis=1, prepend=-1) != 0  # an item that comes again does not count
    at = np.stack([np.searchsorted(*pair) for pair in zip(columns, held.at, strict=True)])
    at = np.minimum(at, columns.shape[1] - 1).astype(np.int32)
    share = np.where(columns[rows, at] == held.at, held.share, 0)
    total = share.sum(axis=1, keepdims=True)
    share = (share / np.where(total > 0, total, 1)).astype(np.float32)
    at = np.where(share > 0, at, 0)
    scores = tuple(one[rows, columns] for one in held.scores)
    return Heldout(scores, held.where[rows, columns] & first, at, share)


def _tiles(users: int, tile: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(places of a tile, the same padded with place 0) for all users."""
    places = [np.arange(start, min(start + tile, users)) for start in range(0, users, tile)]
    return [(part, np.pad(part, (0, tile - len(part)))) for part in places]


def _over_tiles(held: Heldout, scores: Sequence[np.ndarray], of_tile: Callable[..., Any]) -> tuple[float, Any]:
    """The mean over the users of a loss and of its gradient."""
    users, columns = held.where.shape
    value, gradient = 0.0, None
    for part, padded in _tiles(users, tile_of(columns * len(scores), users)):
        share = held.share[padded]
        share[len(part) :] = 0
        one, slope = of_tile(tuple(each[padded] for each in scores), held.where[padded], held.at[padded], share)
        value += float(one) / users
        scaled = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64) / users, slope)
        gradient = scaled if gradient is None else jax.tree.map(np.add, gradient, scaled)
    assert math.isfinite(value)
    return value, gradient


def _loss(logits: jax.Array, where: jax.Array, at: jax.Array, share: jax.Array) -> jax.Array:
    """The sum over the users of the softmax loss of their held-out items."""
    held = jnp.sum(share * jnp.take_along_axis(logits, at, axis=1), axis=1)
    total = jnp.sum(share, axis=1) * log_total(logits, where)[:, 0]
    return jnp.sum(total - held)


def _of_calibration(calibration: Any, scores: tuple[Any, Any], where: Any, at: Any, share: Any) -> tuple[Any, Any]:
    return _calibration_loss(calibration, *scores, where, at, share, structure=structure_of(calibration))


def _of_weights(weights: Any, scores: tuple[Any, ...], where: Any, at: Any, share: Any) -> tuple[jax.Array, Any]:
    return _weights_loss(weights, scores, where, at, share)


@functools.partial(jax.jit, static_argnames="structure")
def _calibration_loss(
    calibration: Any,
    scores: jax.Array,
    near: jax.Array,
    where: jax.Array,
    at: jax.Array,
    share: jax.Array,
    *,
    structure: int,
) -> tuple[jax.Array, Any]:
    def loss(tried: Any) -> jax.Array:
        return _loss(calibrated_scores(scores, tried, where)[0], near & (scores > -jnp.inf), at, share)

    value, gradient = jax.value_and_grad(loss)(calibration)
    return value, jax.tree.leaves(gradient)  # which may not be numbers that the class takes


@jax.jit
def _weights_loss(
    weights: jax.Array, scores: tuple[jax.Array, ...], where: jax.Array, at: jax.Array, share: jax.Array
) -> tuple[jax.Array, jax.Array]:
    def loss(tried: jax.Array) -> jax.Array:
        return _loss(sum((tried[m] * one for m, one in enumerate(scores)), jnp.zeros_like(scores[0])), where, at, share)

    return jax.value_and_grad(loss)(weights)


@functools.partial(jax.jit, static_argnames="structure")
def _calibrated(calibration: Any, scores: jax.Array, where: jax.Array, *, structure: int) -> jax.Array:
    return calibrated_scores(scores, calibration, where)[0]


@functools.partial(jax.jit, static_argnames="structure")
def _scores(scorer: Any, users: jax.Array, *, structure: int) -> jax.Array:
    return scorer.scores(users)


@functools.partial(jax.jit, static_argnames="num_items")
def _unseen(users: jax.Array, seen: SeenItems | None, *, num_items: int) -> jax.Array:
    where = jnp.ones((users.shape[0], num_items), bool)
    if seen is None:
        return where
    return mask_seen(where, users, jnp.ones(users.shape[0], bool), seen, mark=False)
