"""What a blend of fitted models learns from the validation part, and its figures there, which are cross-fitted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.blending import BlendScorer
from jaxrec.data._seen import SeenItems
from jaxrec.data.splitting._holdout import generator_of
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.fitting._blend_checks import CalibrateOn
from jaxrec.fitting._blend_learning import (
    CALIBRATION_USERS,
    Heldout,
    best_candidates,
    calibrated,
    held_out_of,
    heldout,
    learn_calibration,
    learn_weights,
    likeliest,
    loss_of_weights,
)
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._validation import Validation, ranking_measuring

FOLDS = 2
"""Figures of validation are cross-fitted over so many parts of the users."""

Weigh: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""From the users that may be looked at, bool [n], to the weights of the members, [M]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Learning:
    """How the weights of a blend are learnt.

    Attributes:
      calibrations: of each member, with the numbers to start from; None to choose the likeliest.
      candidates: of how many of the best items of each member the weights are learnt; None for all items.
      calibrate_on: "all" items, or the "candidates" of each member alone.
      l2: of the weights.
      nonnegative: whether no weight may be below 0.
      memory_mb: the most that scores and calibrated scores may take, in MiB.
    """

    calibrations: tuple[Any, ...] | None = None
    candidates: int | None = None
    l2: float = 1e-3
    nonnegative: bool = False
    memory_mb: float = 1024
    calibrate_on: CalibrateOn = "all"


class Learnt(NamedTuple):
    """What was learnt of a blend.

    Attributes:
      calibrations: of each member.
      weights: [M].
      told: what `info["blend"]` tells of the learning.
      valid: the cross-fitted figures.
      of_users: [n], the value to watch of each user with held-out items, cross-fitted; empty where nothing is measured.
    """

    calibrations: tuple[Any, ...]
    weights: np.ndarray
    told: dict[str, Any]
    valid: dict[str, float]
    of_users: np.ndarray


def learnt_blends(
    members: Sequence[FittedModel],
    split: Split,
    how: Learning,
    validation: Validation | None,
    ways: Sequence[Weigh | None],
    *,
    key: jax.Array,
    fold: np.ndarray | None = None,
) -> tuple[Learnt, ...]:
    """Learn calibrations, and in each of several ways the weights, and measure the blends by cross-fitting.

    Args:
      members: fitted on the training part.
      split: with a validation part.
      how: to learn.
      validation: what to measure; None for nothing.
      ways: to weigh the members; None is to learn the weights.
      key: consumed.
      fold: [n], the part of each user with held-out items, see `folds_of`; None draws them.

    Returns:
      Of each way what was learnt, with the same calibrations.
    """
    generator = generator_of(key)
    scorers, seen = [member.scorer for member in members], members[0].seen
    users, items, share = held_out_of(split.valid)
    if len(users) < 2:
        raise JaxrecError(f"the validation part has items of {len(users)} user; a blend needs at least 2, raise valid")
    most = _most_users(len(scorers), split.train.num_items, items.shape[1], how)
    drawn = generator.permutation(len(users))[:most]
    fold = folds_of(len(users), generator) if fold is None else fold
    # In the order of the draw: the numbers of users may go by their activity or by time, and the first be unlike all.
    first = drawn[:CALIBRATION_USERS] if how.candidates is not None else drawn
    held = heldout(scorers, users[first], items[first], share[first], seen)

    def learn(
        among: np.ndarray, start: tuple[Any, ...] | None, weights: Sequence[np.ndarray | None]
    ) -> tuple[tuple[Any, ...], list[tuple[np.ndarray, float]]]:
        """Of the users at places `among` (bool over all of them), from calibrations and weights to start with."""
        few = held.of(np.flatnonzero(among[first])[:CALIBRATION_USERS])
        calibrations = learnt_calibrations(few, start, how.candidates if how.calibrate_on == "candidates" else None)
        if how.candidates is None:
            made = calibrated(held.of(np.flatnonzero(among[first])), calibrations)
        else:
            rows = np.sort(drawn[among[drawn]])
            given = (users[rows], items[rows], share[rows])
            made = _of_candidates(scorers, given, seen, calibrations, how.candidates)
        return calibrations, [
            learn_weights(made, how.l2, begin, nonnegative=how.nonnegative)
            if way is None
            else (own := way(among), loss_of_weights(made, own))
            for way, begin in zip(ways, weights, strict=True)
        ]

    calibrations, found = learn(np.ones(len(users), bool), how.calibrations, [None] * len(ways))
    valid: list[dict[str, float]] = [{} for _ in ways]
    of_users = np.full((len(ways), 0 if validation is None else len(users)), np.nan)
    if validation is not None:
        for measured in (fold == at for at in range(min(FOLDS, len(users)))):
            # Convex in the weights; calibrations keep their kind.
            its, of_others = learn(~measured, calibrations, [weights for weights, _ in found])
            part = split.valid.select(np.isin(split.valid.user, users[measured]))
            measuring = ranking_measuring(validation, split.train, part, seen)
            assert measuring.of_users is not None
            for own, (weights, _), total in zip(of_users, of_others, valid, strict=True):
                figures, rows, values = measuring.of_users(scorer_of(scorers, its, weights, seen))
                own[np.searchsorted(users, rows)] = values
                for name, value in figures.items():
                    total[name] = total.get(name, 0.0) + value * float(np.mean(measured))
    told = {
        "learnt_on": "valid",
        "users": len(drawn),
        "users_with_held_out_items": len(users),
        "candidates": how.candidates,
        "calibrate_on": how.calibrate_on,
    }
    of_learning = {"weighed": "learnt", "l2": how.l2, "nonnegative": how.nonnegative}
    return tuple(
        Learnt(calibrations, weights, {"loss": loss, **told, **(of_learning if way is None else {})}, figures, own)
        for way, (weights, loss), figures, own in zip(ways, found, valid, of_users, strict=True)
    )


def equal(members: int) -> Weigh:
    """Weigh all members alike.

    >>> equal(2)(np.ones(5, bool)).tolist()
    [0.5, 0.5]
    """
    return lambda among: np.full(members, 1 / members)


def equal_of_best(values: np.ndarray) -> Weigh:
    """Weigh the better half of the members alike, rounded up and at least two of them; the others get 0.

    Args:
      values: [M, n], of each member and user, larger is better; NaN where a user has none.

    >>> equal_of_best(np.array([[1.0, 0], [0.5, 0.75], [0, 0]]))(np.array([True, True])).tolist()
    [0.5, 0.5, 0.0]
    """
    half = max(-(-len(values) // 2), min(len(values), 2))

    def weigh(among: np.ndarray) -> np.ndarray:
        weights = np.zeros(len(values))
        weights[np.argsort(-np.nanmean(values[:, among], axis=1), kind="stable")[:half]] = 1 / half
        return weights

    return weigh


def folds_of(users: int, generator: np.random.Generator) -> np.ndarray:
    """Draw the part that each user is measured in, of `FOLDS` parts of one size: [n], 0..FOLDS - 1.

    >>> np.bincount(folds_of(11, np.random.default_rng(0))).tolist()
    [6, 5]
    """
    fold = np.empty(users, np.int64)
    fold[generator.permutation(users)] = np.arange(users) % FOLDS
    return fold


def learnt_calibrations(held: Heldout, given: tuple[Any, ...] | None, best: int | None = None) -> tuple[Any, ...]:
    """The calibrations of all members with learnt numbers, from those given or the likeliest.

    Args:
      held: with the scores of the members.
      given: calibrations to start from; None for the likeliest.
      best: see `learn_calibration`.
    """
    if given is None:
        return tuple(likeliest(scores, held, best)[0] for scores in held.scores)
    pairs = zip(given, held.scores, strict=True)
    return tuple(learn_calibration(one, scores, held, best)[0] for one, scores in pairs)


def scorer_of(scorers: Sequence[Any], calibrations: Sequence[Any], weights: np.ndarray, seen: SeenItems) -> BlendScorer:
    """The scorer of a blend, all its numbers arrays.

    >>> from jaxrec.blending import LogSoftmax
    >>> from jaxrec.scorers import TableScorer
    >>> seen = SeenItems(np.array([0, 1]), np.array([0]))
    >>> scorer_of([TableScorer(jnp.ones((1, 2)))], [LogSoftmax()], np.ones(1), seen).longest
    1
    """
    longest = int(np.diff(np.asarray(seen.indptr)).max(initial=1))
    return BlendScorer(
        tuple(scorers),
        tuple(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), one) for one in calibrations),
        jnp.asarray(weights, jnp.float32),
        SeenItems(*map(jnp.asarray, seen)),
        longest,
    )


def _of_candidates(
    scorers: Sequence[Any],
    given: tuple[np.ndarray, np.ndarray, np.ndarray],
    seen: SeenItems,
    calibrations: Sequence[Any],
    each: int,
) -> Heldout:
    """Calibrated scores of candidates, made a few users at a time."""
    parts = []
    for start in range(0, len(given[0]), CALIBRATION_USERS):
        rows = slice(start, start + CALIBRATION_USERS)
        users, items, share = (array[rows] for array in given)
        whole_rows = heldout(scorers, users, items, share, seen)
        parts.append(best_candidates(calibrated(whole_rows, calibrations), each))
    scores = tuple(np.concatenate(one) for one in zip(*(part.scores for part in parts), strict=True))
    where, at, share = (np.concatenate([getattr(part, name) for part in parts]) for name in ("where", "at", "share"))
    return Heldout(scores, where, at, share)


def share_of_users(split: Split, members: int, how: Learning) -> float:
    """The share of the users with held-out items whose scores fit the memory.

    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 1])
    >>> split = Split(data.select([0]), data.select([1, 2]), data.select([]), "by hand")
    >>> share_of_users(split, 2, Learning())
    1.0
    """
    counts = np.bincount(split.valid.user)
    most = _most_users(members, split.train.num_items, int(counts.max()), how)
    return min(most / int((counts > 0).sum()), 1.0)


def _most_users(members: int, num_items: int, held_out: int, how: Learning) -> int:
    """How many users fit the memory, twice 4 bytes a score."""
    columns = num_items if how.candidates is None else min(members * how.candidates + held_out, num_items)
    return max(int(how.memory_mb * 2**20 / (columns * (8 * members + 1))), 8)
