"""What a ranker learns from: pairs that are held out of its own features, among candidates for each user."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.data._pairs import is_among
from jaxrec.data._seen import SeenItems
from jaxrec.data.splitting._holdout import from_end, generator_of, hold_out
from jaxrec.errors import JaxrecError

if TYPE_CHECKING:
    from jaxrec.training import TrainData

_TILE = 64  # users at a time

HeldOut = Literal["random", "last"]
MeanOver = Literal["users", "pairs"]


def held_pairs(
    data: TrainData, shape: tuple[int, int], share: float, which: HeldOut, key: jax.Array
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Choose the pairs to learn from: of each user a share, at random or the last ones in the order of the data.

    Args:
      data: the interactions; a pair that repeats stands where it was first.
      shape: (U, I).
      share: of each user's pairs, in (0, 1).
      which: "random", or "last" in the order of the data.
      key: consumed; for "random".

    Returns:
      Distinct pairs by user and item, user and item int32 [E], and bool [E], True for those that are held out.

    Raises:
      JaxrecError: "last", and the items of every user ascend, so the order was lost; or nothing to hold out.
    """
    place = np.arange(len(data.user)) if data.order is None else np.asarray(data.order)
    codes = np.asarray(data.user).astype(np.int64) * shape[1] + np.asarray(data.item)
    order = np.lexsort((place, codes))
    first = np.ones(len(codes), bool)
    first[1:] = np.diff(codes[order]) > 0
    place, codes = place[order][first], codes[order][first]
    user, item = (codes // shape[1]).astype(np.int32), (codes % shape[1]).astype(np.int32)
    if which == "last":
        if (np.diff(place)[np.diff(user) == 0] > 0).all():
            raise JaxrecError(
                'held_out is "last", and the items of every user ascend in the data, so their order was probably lost '
                'by sorting; use held_out="random"'
            )
        time, generator = place, np.random.default_rng(0)
    else:
        time, generator = None, generator_of(key)
    held = hold_out(user, from_end(user, time, generator), 0.0, share) > 0
    if not held.any():
        raise JaxrecError(
            f"no user has enough interactions for a share of {share:g} to learn from; raise share, or use GraphFilter"
        )
    return user, item, held


@dataclasses.dataclass(frozen=True)
class LearningSet:
    """Candidates of users with held-out pairs, and what is known of each.

    Attributes:
      inputs: float32 [n, F, C].
      relevant: bool [n, C], the candidates that are held-out pairs; every user has one at least.
      ceiling: the mean over the users with held-out pairs of the share of these among the candidates.
      users: how many users have held-out pairs, and were looked at.
    """

    inputs: np.ndarray
    relevant: np.ndarray
    ceiling: float
    users: int


def learning_set(
    describe: Callable[[Any, SeenItems, jax.Array], tuple[jax.Array, jax.Array]],
    source: Any,
    history: SeenItems,
    held: tuple[np.ndarray, np.ndarray],
    num_items: int,
    most_users: int,
    key: jax.Array,
) -> LearningSet:
    """Describe the candidates of users with held-out pairs.

    Args:
      describe: a jitted function of (source, history, users int32 [B]) to candidates [B, C] and inputs [F, B, C].
      source: its first argument.
      history: the items of each user, without the held-out pairs.
      held: users and items of the held-out pairs, by user and item.
      num_items: I.
      most_users: more are sampled.
      key: consumed; for the sample.
    """
    users, counts = np.unique(held[0], return_counts=True)
    if len(users) > most_users:
        chosen = np.sort(generator_of(key).permutation(len(users))[:most_users])
        users, counts = users[chosen], counts[chosen]
    codes = held[0].astype(np.int64) * num_items + held[1]
    inputs: np.ndarray | None = None
    relevant = np.zeros((0, 0), bool)
    for start in range(0, len(users), _TILE):
        part = users[start : start + _TILE]
        padded = np.pad(part, (0, _TILE - len(part)), mode="edge").astype(np.int32)
        found, described = (np.asarray(array) for array in describe(source, history, jnp.asarray(padded)))
        if inputs is None:
            inputs = np.empty((len(users), described.shape[0], found.shape[1]), np.float32)
            relevant = np.empty((len(users), found.shape[1]), bool)
        inputs[start : start + len(part)] = np.moveaxis(described, 1, 0)[: len(part)]
        pairs = part.astype(np.int64)[:, None] * num_items + found[: len(part)]
        relevant[start : start + len(part)] = is_among(pairs, codes)
    assert inputs is not None
    ceiling, some = float(np.mean(relevant.sum(axis=1) / counts)), relevant.any(axis=1)
    if not some.any():
        raise JaxrecError("no held-out pair is among the candidates of its user; raise candidates, or use GraphFilter")
    return LearningSet(inputs[some], relevant[some], ceiling, len(users))


def softmax_loss(logits: jax.Array, relevant: jax.Array, mean_over: MeanOver = "users") -> jax.Array:
    """The mean of -log softmax(logits)_i over the relevant candidates i, [B, C] to [].

    Args:
      logits: of the candidates of B users.
      relevant: which of them are.
      mean_over: "users" averages over those of each user first, so that every user counts alike; "pairs" over all.

    >>> f"{softmax_loss(jnp.zeros((1, 2)), jnp.array([[True, False]])):.3f}"  # log 2
    '0.693'
    >>> relevant = jnp.array([[True, False, False], [True, True, True]])
    >>> logits = jnp.array([[0.0, -jnp.inf, -jnp.inf], [0.0, 0.0, 0.0]])
    >>> [f"{softmax_loss(logits, relevant, way):.3f}" for way in ("users", "pairs")]  # log 3 by 1/2, and by 3/4
    ['0.549', '0.824']
    """
    log_share = jax.nn.log_softmax(logits, axis=1)
    own = jnp.sum(jnp.where(relevant, log_share, 0), axis=1)
    count = jnp.sum(relevant, axis=1, dtype=logits.dtype)
    if mean_over == "pairs":
        return -jnp.sum(own) / jnp.maximum(jnp.sum(count), 1)
    return -jnp.mean(own / jnp.maximum(count, 1))


def learnt(
    logits: Callable[[Any, jax.Array, Any], jax.Array],
    params: Any,
    learning: LearningSet,
    key: jax.Array,
    *,
    fixed: Any = None,
    epochs: int,
    batch: int,
    learning_rate: float,
    mean_over: MeanOver,
) -> tuple[Any, list[float]]:
    """Minimize the softmax loss by Adam with a cosine decay of the rate.

    Args:
      logits: a module-level function of (params, inputs [F, B, C], fixed) to [B, C].
      params: the start.
      learning: the users and their candidates.
      key: consumed, for the order of the users.
      fixed: what `logits` needs besides.
      epochs: passes over the users.
      batch: users of a step.
      learning_rate: the first one; the last is 0.
      mean_over: see `softmax_loss`.

    Returns:
      The parameters, and the mean loss of each epoch.
    """
    count = len(learning.inputs)
    size = min(batch, count)
    steps = count // size
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = (params, zeros, zeros, jnp.int32(0))
    inputs, relevant = jnp.asarray(learning.inputs), jnp.asarray(learning.relevant)
    losses = []
    for epoch in range(epochs):
        key, key_order = jax.random.split(key)
        order = jax.random.permutation(key_order, count)[: steps * size].reshape(steps, size)
        at = (epoch * steps + np.arange(steps)) / (epochs * steps)
        rates = jnp.asarray(learning_rate * (1 + np.cos(np.pi * at)) / 2, jnp.float32)
        state, loss = _epoch(state, inputs, relevant, order, rates, fixed, logits=logits, mean_over=mean_over)
        losses.append(float(loss))
    return state[0], losses


_MEAN, _SQUARE, _LEAST = 0.9, 0.999, 1e-8  # of Adam


@functools.partial(jax.jit, static_argnames=("logits", "mean_over"))
def _epoch(
    state: Any,
    inputs: jax.Array,
    relevant: jax.Array,
    order: jax.Array,
    rates: jax.Array,
    fixed: Any,
    *,
    logits: Callable[[Any, jax.Array, Any], jax.Array],
    mean_over: MeanOver,
) -> tuple[Any, jax.Array]:
    """One pass: the state (parameters, means, mean squares, steps), and the mean loss."""

    def loss_of(params: Any, users: jax.Array) -> jax.Array:
        made = logits(params, jnp.moveaxis(inputs[users], 1, 0), fixed)
        return softmax_loss(made, relevant[users], mean_over)

    def step(state: Any, now: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        (params, means, squares, count), (users, rate) = state, now
        loss, gradient = jax.value_and_grad(loss_of)(params, users)
        count = count + 1
        means = jax.tree.map(lambda mean, g: _MEAN * mean + (1 - _MEAN) * g, means, gradient)
        squares = jax.tree.map(lambda square, g: _SQUARE * square + (1 - _SQUARE) * g * g, squares, gradient)
        done = count.astype(jnp.float32)
        rate, unbias = rate / (1 - jnp.float32(_MEAN) ** done), 1 / (1 - jnp.float32(_SQUARE) ** done)
        moved = lambda value, mean, square: value - rate * mean / (jnp.sqrt(square * unbias) + _LEAST)  # noqa: E731
        return (jax.tree.map(moved, params, means, squares), means, squares, count), loss

    state, losses = jax.lax.scan(step, state, (order, rates))
    return state, jnp.mean(losses)
