"""Blends of scorers: calibrations, which make scores of different models comparable, and the scorer of a blend."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.protocols import Calibration
from jaxrec.pytrees import is_number, options, register, static
from jaxrec.types import Array

__all__ = ["BlendScorer", "LogShare", "LogSoftmax", "ZScore"]

_TINY = 1e-30


@options
class LogSoftmax(Calibration):
    """Log-probabilities of scores that are logits: log p(i | u) = s_i / t - log sum over j of exp(s_j / t).

    Attributes:
      temperature: t.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2 (temperature scaling).

    >>> scores = jnp.log(jnp.array([[1.0, 3.0, 96.0]]))
    >>> logs = LogSoftmax()(scores, jnp.array([[True, True, False]]))  # the last item does not count
    >>> [f"{share:.2f}" for share in jnp.exp(logs[0]).tolist()]
    ['0.25', '0.75', '24.00']
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check_above(self, "temperature", 0, itself=False)

    def __call__(self, scores: Float[Array, "b i"], where: Bool[Array, "b i"]) -> Float[Array, "b i"]:
        """The log-probabilities among the items that count."""
        logits = scores / self.temperature
        return logits - log_total(logits, where)

    def slope(self, scores: Float[Array, "b i"], where: Bool[Array, "b i"]) -> Float[Array, "b 1"]:
        """1 / t for every user."""
        return jnp.ones((scores.shape[0], 1), scores.dtype) / self.temperature


@options
class LogShare(Calibration):
    """Log-probabilities of scores that are masses, such as counts and sums of weights: log p_i^g / sum over j of p_j^g.

    p_i = (m_i / sum over j of m_j + a / n) / (1 + a), with m_i = max(s_i, 0), is the share of the item in the mass of
    the n items that count, mixed with the uniform distribution, so that an item without mass stays finite.

    Attributes:
      power: g.
      smoothing: a.

    >>> scores = jnp.array([[1.0, 3.0, 96.0]])
    >>> logs = LogShare(smoothing=0.0)(scores, jnp.array([[True, True, False]]))
    >>> [f"{share:.2f}" for share in jnp.exp(logs[0]).tolist()]
    ['0.25', '0.75', '24.00']
    """

    power: float = 1.0
    smoothing: float = 0.1

    def __post_init__(self) -> None:
        _check_above(self, "power", 0, itself=False)
        _check_above(self, "smoothing", 0, itself=True)

    def __call__(self, scores: Float[Array, "b i"], where: Bool[Array, "b i"]) -> Float[Array, "b i"]:
        """The log-probabilities among the items that count."""
        mass = jnp.maximum(scores, 0)
        # Relative to the largest, so that no sum is lost to rounding or overflows; what does not count may be larger.
        largest = jax.lax.stop_gradient(jnp.max(mass, axis=1, keepdims=True, where=where, initial=0))
        mass = jnp.minimum(mass / jnp.where(largest > 0, largest, 1), 1 / _TINY)
        total = jnp.sum(mass, axis=1, keepdims=True, where=where)
        uniform = 1 / jnp.maximum(jnp.sum(where, axis=1, keepdims=True, dtype=scores.dtype), 1)
        share = jnp.where(total > 0, mass / jnp.where(total > 0, total, 1), uniform)
        logits = self.power * jnp.log(jnp.maximum((share + self.smoothing * uniform) / (1 + self.smoothing), _TINY))
        return logits - log_total(logits, where)


@options
class ZScore(Calibration):
    """Standard scores: (s_i - mean) / standard deviation, over the items that count; 0 where all scores are equal.

    >>> ZScore()(jnp.array([[1.0, 3.0, 9.0]]), jnp.array([[True, True, False]])).tolist()
    [[-1.0, 1.0, 7.0]]
    """

    def __call__(self, scores: Float[Array, "b i"], where: Bool[Array, "b i"]) -> Float[Array, "b i"]:
        """The standard scores."""
        count = jnp.maximum(jnp.sum(where, axis=1, keepdims=True, dtype=scores.dtype), 1)
        mean = jnp.sum(scores, axis=1, keepdims=True, where=where) / count
        return (scores - mean) * self.slope(scores, where)

    def slope(self, scores: Float[Array, "b i"], where: Bool[Array, "b i"]) -> Float[Array, "b 1"]:
        """1 / the standard deviation of each user; 0 where that is 0."""
        count = jnp.maximum(jnp.sum(where, axis=1, keepdims=True, dtype=scores.dtype), 1)
        centered = scores - jnp.sum(scores, axis=1, keepdims=True, where=where) / count
        variance = jnp.sum(jnp.square(centered), axis=1, keepdims=True, where=where) / count
        return jnp.where(variance > 0, jax.lax.rsqrt(jnp.where(variance > 0, variance, 1)), 0)


def log_total(logits: Float[Array, "b i"], where: Bool[Array, "b i"]) -> Float[Array, "b 1"]:
    """The log of the sum of exponentials over the items that count; finite for a user without any.

    >>> print(log_total(jnp.zeros((2, 3)), jnp.array([[True, True, False], [False, False, False]])).round(3))
    [[  0.693]
     [-69.078]]
    """
    top = jnp.max(logits, axis=1, keepdims=True, where=where, initial=-jnp.inf)
    top = jax.lax.stop_gradient(jnp.where(top > -jnp.inf, top, 0))
    total = jnp.sum(jnp.exp(jnp.where(where, logits - top, 0)), axis=1, keepdims=True, where=where)
    return top + jnp.log(jnp.maximum(total, _TINY))


@register
@dataclasses.dataclass(frozen=True, eq=False)
class BlendScorer:
    """Scores as a weighted sum of calibrated scores: score(u, i) = sum over members m of weights_m c_m(s_m(u, .))_i.

    Each c_m is taken over the items that the user can be shown: those that they have not got. An item that a member
    scores with -inf is never recommended.

    Attributes:
      members: the scorers of the M members, see `jaxrec.types.Scorer`.
      calibrations: of each, see `jaxrec.protocols.Calibration`.
      weights: [M].
      seen: the items of each user.
      longest: at least the length of the longest row of `seen`, static.

    >>> from jaxrec.scorers import TableScorer
    >>> tables = (TableScorer(jnp.log(jnp.array([[1.0, 3.0, 9.0]]))), TableScorer(jnp.array([[5.0, 5.0, 1.0]])))
    >>> seen = SeenItems(jnp.array([0, 1]), jnp.array([2]))
    >>> blend = BlendScorer(tables, (LogSoftmax(), ZScore()), jnp.array([1.0, 2.0]), seen, longest=1)
    >>> [f"{share:.2f}" for share in jnp.exp(blend.scores(jnp.array([0]))[0, :2]).tolist()]  # the second is flat
    ['0.25', '0.75']
    """

    members: tuple[Any, ...]
    calibrations: tuple[Any, ...]
    weights: jax.Array
    seen: SeenItems
    longest: int = static()

    @property
    def num_users(self) -> int:
        """U."""
        return self.seen.num_users

    @property
    def num_items(self) -> int:
        """I."""
        return int(self.members[0].num_items)

    def scores(self, users: jax.Array) -> jax.Array:
        """Score all items for users (int32 [B]), [B, I]."""
        where = self.unseen(users)
        total = jnp.zeros((users.shape[0], self.num_items), jnp.float32)
        never = jnp.zeros((users.shape[0], self.num_items), bool)
        for at, (member, calibration) in enumerate(zip(self.members, self.calibrations, strict=True)):
            calibrated, ruled_out = calibrated_scores(member.scores(users), calibration, where)
            total, never = total + self.weights[at] * calibrated, never | ruled_out
        return jnp.where(never, -jnp.inf, total)

    def unseen(self, users: jax.Array) -> jax.Array:
        """Whether each item is one that users (int32 [B]) have not got, bool [B, I]."""
        start, stop = self.seen.indptr[users], self.seen.indptr[users + 1]
        at = start[:, None] + jnp.arange(self.longest, dtype=jnp.int32)[None, :]
        inside = at < stop[:, None]
        # Places outside the row go to an index past the end, where `mode="drop"` leaves them out. None has an item
        # where nobody has any.
        items = self.seen.items if self.seen.items.shape[0] else jnp.zeros(1, jnp.int32)
        items = jnp.where(inside, items[jnp.where(inside, at, 0)], self.num_items)
        rows = jnp.arange(users.shape[0], dtype=jnp.int32)[:, None]
        return jnp.ones((users.shape[0], self.num_items), bool).at[rows, items].set(False, mode="drop")

    def pair_scores(self, users: jax.Array, items: jax.Array) -> jax.Array:
        """Score the pairs of users (int32 [B]) and items (int32 [B]), [B]."""
        return jnp.take_along_axis(self.scores(users), items[:, None], axis=1)[:, 0]

    def similarities(self, items: jax.Array) -> jax.Array:
        """Compute the similarities of items (int32 [B]) and all items, [B, I], as all members see them together.

        They are the means, weighted by the absolute weights, of what each member gives, as standard scores over the
        other items. Members that define no similarity, such as popularity, take no part.

        Raises:
          JaxrecError: no member defines any.
        """
        others = jnp.arange(self.num_items, dtype=jnp.int32)[None, :] != items[:, None]
        total, weight = jnp.zeros((items.shape[0], self.num_items), jnp.float32), 0.0
        for member, own in zip(self.members, jnp.abs(self.weights), strict=True):
            try:
                alike = member.similarities(items)
            except (JaxrecError, AttributeError):
                continue
            total, weight = total + own * ZScore()(alike, others), weight + float(own)
        if not weight:
            raise JaxrecError("no member of the blend with a weight has a similarity between items; blend one that has")
        return total / weight


def calibrated_scores(scores: jax.Array, calibration: Any, where: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Calibrate scores [B, I] over the items where bool [B, I] is true; those of -inf are 0, and ruled out.

    Returns:
      ([B, I], all finite; bool [B, I], the items of score -inf).

    >>> calibrated_scores(jnp.array([[0.0, -jnp.inf]]), LogSoftmax(), jnp.ones((1, 2), bool))[0].tolist()
    [[0.0, 0.0]]
    """
    never = scores == -jnp.inf
    return jnp.where(never, 0, calibration(jnp.where(never, 0, scores), where & ~never)), never


def _check_above(calibration: Any, name: str, least: float, *, itself: bool) -> None:
    value = getattr(calibration, name)
    if is_number(value) and not (value > least or (itself and value == least)):
        what = f"at least {least}" if itself else f"above {least}"
        raise JaxrecError(f"{name} must be {what}, got {value}")
