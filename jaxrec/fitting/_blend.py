"""`blend`: several fitted models as one, with weights on their calibrated scores that the validation part decides."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np

from jaxrec._checks import number, whole
from jaxrec._keys import one_key
from jaxrec.blending import LogSoftmax
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.fitting._again import fit_again
from jaxrec.fitting._blend_checks import L2, CalibrateOn, calibrations_of, check_learning, check_members, given_weights
from jaxrec.fitting._blended import Blend
from jaxrec.fitting._described import describe
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._learnt_blend import Learning, equal, learnt_blends, scorer_of
from jaxrec.fitting._validation import Validation, ranking_measuring
from jaxrec.fitting._versions import versions
from jaxrec.models import with_sizes
from jaxrec.progress import work

_TOGETHER = ("split", "notes", "data", "shown_users")  # of info, the same for all members


def blend(
    members: Sequence[FittedModel],
    split: Split,
    *,
    weights: Sequence[float] | Literal["equal"] | None = None,
    calibration: Any = None,
    candidates: int | None = None,
    calibrate_on: CalibrateOn = "all",
    l2: float = L2,
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
      weights: None learns them. "equal" is 1 / M for each, and the calibrations alone are learnt: with some hundred
        users it is hard to beat, if no member is much below the others. M numbers are taken as they are; nothing is
        learnt then, and the members may be fitted on the validation part too.
      calibration: one of `jaxrec.blending`, or a name, for all members, or a list of M. Its numbers are where the
        learning starts. None takes, for each member, `LogSoftmax` or `LogShare`, whichever makes its held-out items
        likelier; and with numbers as `weights` `LogSoftmax()`, the scores as they are up to a constant of the user.
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
    Stacked Regressions, Machine Learning 24, 1996 (weights learnt on what the members have not seen); Clemen, Combining
    forecasts, International Journal of Forecasting 5, 1989 (equal weights).

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
    known = check_members(members, split, learnt=weights is None or isinstance(weights, str))
    if refit not in (True, False, "fitted", "all"):
        raise JaxrecError(f'refit must be True, False or "all", got {refit!r}')
    check_learning(weights, nonnegative, calibrate_on, candidates, l2)
    how = Learning(
        calibrations=calibrations_of(calibration, len(members)),
        candidates=None if candidates is None else whole("candidates", candidates, 1),
        l2=number("l2", l2, 0),
        nonnegative=nonnegative,
        calibrate_on=calibrate_on,
        memory_mb=number("memory_mb", memory_mb, 0, above=True),
    )
    seen = members[0].seen
    if weights is None or isinstance(weights, str):
        way = None if weights is None else equal(len(members))
        with work("learning weights" if way is None else "learning calibrations"):
            ((calibrations, found, told, valid, _),) = learnt_blends(members, split, how, validation, [way], key=key)
        told = told if way is None else {**told, "weighed": weights}
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
