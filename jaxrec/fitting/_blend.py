"""`blend`: several fitted models as one, with weights on their calibrated scores that the validation part decides."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec._checks import number, whole
from jaxrec._keys import one_key
from jaxrec.blending import BlendScorer, LogSoftmax
from jaxrec.data._seen import SeenItems
from jaxrec.data.splitting._holdout import generator_of
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.fitting._again import fit_again
from jaxrec.fitting._blend_checks import CalibrateOn, calibrations_of, check_learning, check_members, given_weights
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
)
from jaxrec.fitting._blended import Blend
from jaxrec.fitting._described import describe
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._validation import Validation, ranking_measuring
from jaxrec.fitting._versions import versions
from jaxrec.models import with_sizes
from jaxrec.progress import work

FOLDS = 2
"""Figures of validation are cross-fitted over so many parts of the users."""

_TOGETHER = ("split", "notes", "data", "shown_users")  # of info, the same for all members


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


def blend(
    members: Sequence[FittedModel],
    split: Split,
    *,
    weights: Sequence[float] | None = None,
    calibration: Any = None,
    candidates: int | None = None,
    calibrate_on: CalibrateOn = "all",
    l2: float = 1e-3,
    nonnegative: bool = False,
    validation: Validation | None = Validation(),
    refit: Literal["fitted", "all"] | bool = True,
    memory_mb: float = 1024,
    key: jax.Array,
) -> FittedModel:
    """Blend fitted models: score(u, i) = sum over members m of w_m c_m(s_m(u, .))_i, with calibrated scores.

    The calibrations c_m make the scores of a user comparable: log-probabilities or standard scores over the items that
    the user has not got. Their numbers are learnt for each member alone, then the weights, both by L-BFGS on the
    validation part, which the members must not have seen. The loss is the softmax loss over the whole catalog: the mean
    over users of the mean over their held-out items of -log p(i | u), p the softmax of the scores. Then the members are
    fitted again on training and validation part, and calibrations and weights stay. The test part is not read, but by
    `refit="all"`.

    Args:
      members: two or more models, fitted on `split` with `refit=False`.
      split: the split; its validation part decides.
      weights: M numbers; nothing is learnt then, and the members may be fitted on the validation part too.
      calibration: one of `jaxrec.blending`, or a name, for all members, or a list of M. Its numbers are where the
        learning starts. None takes, for each member, `LogSoftmax` or `LogShare`, whichever makes its held-out items
        likelier; and with `weights` `LogSoftmax()`, the scores as they are up to a constant of the user.
      candidates: learn the weights on the so many best items of each member in place of all items; held-out items that
        are not among them teach nothing then. Lists of 20 are decided by few items, and a member that scores few
        candidates, such as `SpectralRanker`, says nothing of the others: take some dozens there.
      calibrate_on: "all" learns each calibration over all items, "candidates" over the `candidates` best of its member,
        which suits rankers of candidates: the others lie just below these, and their number would make the
        calibration. It does not suit popularity, whose calibration has to hold for the items that others rank high.
      l2: the weights are learnt with the penalty l2 / 2 |w|^2.
      nonnegative: learn no weight below 0. Members that score alike get large weights of both signs otherwise, which
        fit few held-out items and no others; a negative weight of popularity can be meant.
      validation: the metrics of `info["valid"]`; None measures none. Figures of learnt weights are cross-fitted: two
        halves of the users, each measured with what was learnt on the other.
      refit: fit the members again on the training and the validation part (True) or on all parts ("all"), each with its
        own options, key and best number of epochs; or keep them (False).
      memory_mb: the most that the scores which are learnt from may take, in MiB; where the users with held-out items do
        not fit, some are drawn.
      key: consumed; it draws these users and the halves.

    Returns:
      The fitted model. `info["blend"]` has members, weights, calibrations, the loss, and what was learnt from.

    Raises:
      JaxrecError: fewer than two members, models of ratings, no validation part, weights or options out of range.
      MismatchError: members of another split, or that were fitted on validation interactions.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (the temperature of each member); Breiman,
    Stacked Regressions, Machine Learning 24, 1996 (weights learnt on what the members have not seen).

    >>> import jaxrec
    >>> pairs = [(user, item) for user in range(12) for item in range(12) if (user * item) % 3]
    >>> data = jaxrec.from_arrays(*zip(*pairs))
    >>> split = jaxrec.split(data, "user_random", key=jax.random.key(0))
    >>> models = (jaxrec.EASE(), jaxrec.ItemKNN())
    >>> fitted = [jaxrec.fit(model, split, refit=False, key=jax.random.key(1)) for model in models]
    >>> both = blend(fitted, split, key=jax.random.key(2))
    >>> both.info["fitted_on"], len(both.info["blend"]["weights"])
    ('train and valid', 2)
    >>> blend(fitted, split, weights=[1, 0], key=jax.random.key(2)).scorer.weights.tolist()
    [1.0, 0.0]
    """
    started = time.perf_counter()
    key = one_key(key)
    members = tuple(members)
    known = check_members(members, split, learnt=weights is None)
    if refit not in (True, False, "fitted", "all"):
        raise JaxrecError(f'refit must be True, False or "all", got {refit!r}')
    check_learning(nonnegative, calibrate_on, candidates, learnt=weights is None)
    how = Learning(
        calibrations=calibrations_of(calibration, len(members)),
        candidates=None if candidates is None else whole("candidates", candidates, 1),
        l2=number("l2", l2, 0),
        nonnegative=nonnegative,
        calibrate_on=calibrate_on,
        memory_mb=number("memory_mb", memory_mb, 0, above=True),
    )
    seen = members[0].seen
    if weights is None:
        with work("learning weights"):
            calibrations, found, told, valid, _ = learnt_blend(members, split, how, validation, key=key)
    else:
        calibrations = how.calibrations or (LogSoftmax(),) * len(members)
        found, told = given_weights(weights, len(members)), {"learnt_on": "nothing: the weights were given"}
        made = scorer_of([member.scorer for member in members], calibrations, found, seen)
        valid = {}
        if validation is not None and len(split.valid) and known == "train":
            valid = ranking_measuring(validation, split.train, split.valid, seen).measure(made)
    info: dict[str, Any] = {"valid": valid, "blend": {**described(members, calibrations, found), **told}}
    again = members
    if refit and known == "train" and len(split.valid):
        again = tuple(_again(members, split, refit))
    return blended(again, calibrations, found, key=key, started=started, **info)


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


def learnt_blend(
    members: Sequence[FittedModel],
    split: Split,
    how: Learning,
    validation: Validation | None,
    *,
    key: jax.Array,
    fold: np.ndarray | None = None,
) -> Learnt:
    """Learn calibrations and weights, and measure them by cross-fitting.

    Args:
      members: fitted on the training part.
      split: with a validation part.
      how: to learn.
      validation: what to measure; None for nothing.
      key: consumed.
      fold: [n], the part of each user with held-out items, see `folds_of`; None draws them.
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
        among: np.ndarray, start: tuple[Any, ...] | None, weights: np.ndarray | None = None
    ) -> tuple[tuple[Any, ...], np.ndarray, float]:
        """Of the users at places `among` (bool over all of them), from calibrations and weights to start with."""
        few = held.of(np.flatnonzero(among[first])[:CALIBRATION_USERS])
        calibrations = learnt_calibrations(few, start, how.candidates if how.calibrate_on == "candidates" else None)
        if how.candidates is None:
            made = calibrated(held.of(np.flatnonzero(among[first])), calibrations)
        else:
            rows = np.sort(drawn[among[drawn]])
            given = (users[rows], items[rows], share[rows])
            made = _of_candidates(scorers, given, seen, calibrations, how.candidates)
        return calibrations, *learn_weights(made, how.l2, weights, nonnegative=how.nonnegative)

    calibrations, weights, loss = learn(np.ones(len(users), bool), how.calibrations)
    valid: dict[str, float] = {}
    of_users = np.full(0 if validation is None else len(users), np.nan)
    if validation is not None:
        for measured in (fold == at for at in range(min(FOLDS, len(users)))):
            its, own, _ = learn(~measured, calibrations, weights)  # convex in the weights; calibrations keep their kind
            part = split.valid.select(np.isin(split.valid.user, users[measured]))
            measuring = ranking_measuring(validation, split.train, part, seen)
            assert measuring.of_users is not None
            figures, rows, values = measuring.of_users(scorer_of(scorers, its, own, seen))
            of_users[np.searchsorted(users, rows)] = values
            for name, value in figures.items():
                valid[name] = valid.get(name, 0.0) + value * float(np.mean(measured))
    told = {
        "loss": loss,
        "learnt_on": "valid",
        "users": len(drawn),
        "users_with_held_out_items": len(users),
        "candidates": how.candidates,
        "l2": how.l2,
        "nonnegative": how.nonnegative,
        "calibrate_on": how.calibrate_on,
    }
    return Learnt(calibrations, weights, told, valid, of_users)


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


def blended(
    members: Sequence[FittedModel],
    calibrations: Sequence[Any],
    weights: np.ndarray,
    *,
    key: jax.Array,
    started: float,
    **info: Any,
) -> FittedModel:
    """The fitted model of members that are fitted on the same part; `info` are further entries of its info."""
    first = members[0]
    models, options = (tuple(getattr(member, name) for member in members) for name in ("model", "options"))
    took = [member.info["seconds"] for member in members]
    known = {
        "fitted_on": first.info["fitted_on"],
        "best_epoch": 0,
        "seconds": {
            "compile": sum(one["compile"] for one in took),
            "epochs": [],
            "evaluate": 0.0,
            "members": [one["fit"] for one in took],
            "fit": time.perf_counter() - started,
        },
        "records": [],
        "task": "ranking",
        "rating_scale": None,
        **{name: first.info[name] for name in _TOGETHER if name in first.info},
        "key": np.asarray(jax.random.key_data(key)).ravel().tolist(),
        "versions": versions(),
        **info,
    }
    return FittedModel(
        model=with_sizes(Blend(models, options), first.num_users, first.num_items),
        variables={str(at): dict(member.variables) for at, member in enumerate(members)},
        scorer=scorer_of([member.scorer for member in members], calibrations, weights, first.seen),
        users=first.users,
        items=first.items,
        titles=first.titles,
        item_columns=first.item_columns,
        seen=first.seen,
        options=None,
        info=known,
    )


def described(members: Sequence[FittedModel], calibrations: Sequence[Any], weights: np.ndarray) -> dict[str, Any]:
    """What `info["blend"]` says of the members, as plain JSON values.

    >>> described([], [LogSoftmax()], np.ones(1))["calibrations"]
    [{'kind': 'jaxrec.blending:LogSoftmax', 'fields': {'temperature': 1.0}}]
    """
    return {
        "members": [member.name for member in members],
        "weights": [float(weight) for weight in weights],
        "calibrations": [describe(one) for one in calibrations],
        "valid": [dict(member.info["valid"]) for member in members],
    }


def _again(members: Sequence[FittedModel], split: Split, refit: Any) -> list[FittedModel]:
    out = []
    with work("fitting again", len(members), unit="members"):
        for at, member in enumerate(members):
            try:
                with work("", share=1):
                    out.append(fit_again(member, split, "all" if refit == "all" else True))
            except JaxrecError as error:
                raise JaxrecError(f"member {at + 1} of the blend cannot be fitted again: {error}") from None
    return out


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
