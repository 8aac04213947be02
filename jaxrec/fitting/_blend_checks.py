"""What `blend` is given, checked: members that go together, calibrations and weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from jaxrec import registry
from jaxrec._checks import number
from jaxrec.data._pairs import is_among, pair_codes, pairs_of
from jaxrec.data._seen import SeenItems, seen_items
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.fitting._fitted import FittedModel

CalibrateOn: TypeAlias = Literal["all", "candidates"]
"""Which items the calibration of a member is learnt from; see `jaxrec.blend`."""


L2 = 1e-3
"""Of the weights that are learnt, where no number is given."""


def check_learning(weights: Any, nonnegative: Any, calibrate_on: Any, candidates: int | None, l2: Any = L2) -> None:
    """Refuse options of the learning that are unknown, lack another one, or have no use where weights are given.

    >>> check_learning(None, False, "candidates", None)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: calibrate_on="candidates" needs their number; pass candidates=40, or leave it out
    """
    if isinstance(weights, str) and weights != "equal":
        raise JaxrecError(f'weights must be numbers, one for each member, "equal", or None to learn; got {weights!r}')
    if nonnegative not in (True, False):
        raise JaxrecError(f"nonnegative must be True or False, got {nonnegative!r}")
    if nonnegative and weights is not None:
        raise JaxrecError("nonnegative is for weights that are learnt; leave it out, or leave out weights")
    if l2 != L2 and weights is not None:
        raise JaxrecError(f"l2 is for weights that are learnt, got {l2!r}; leave it out, or leave out weights")
    if calibrate_on not in get_args(CalibrateOn):
        raise JaxrecError(f'calibrate_on must be "all" or "candidates", got {calibrate_on!r}')
    given = weights is not None and not isinstance(weights, str)
    if calibrate_on == "candidates" and given:
        raise JaxrecError("calibrate_on is for calibrations that are learnt; leave it out, or leave out weights")
    if calibrate_on == "candidates" and candidates is None:
        raise JaxrecError('calibrate_on="candidates" needs their number; pass candidates=40, or leave it out')
    if candidates is not None and weights is not None and calibrate_on == "all":
        remedy = "leave it out, or leave out weights" if given else 'add calibrate_on="candidates", or leave it out'
        raise JaxrecError(f"candidates={candidates!r} is for weights that are learnt; {remedy}")


def check_members(members: Sequence[FittedModel], split: Split, *, learnt: bool) -> str:
    """Refuse members that do not go together or have seen what decides; gives what they were fitted on."""
    if not isinstance(split, Split):
        raise JaxrecError(f"split must be a Split, got {type(split).__name__}; see jaxrec.split")
    for at, member in enumerate(members):
        if not isinstance(member, FittedModel):
            raise JaxrecError(
                f"member {at + 1} is of type {type(member).__name__}; pass fitted models, as fit gives them"
            )
    if len(members) < 2:
        raise JaxrecError(f"members has {len(members)} model{'s' * (not members)}; pass at least two fitted models")
    if learnt and not len(split.valid):
        raise JaxrecError(
            "the weights of a blend are learnt on the validation part, and the split has none; split with valid=0.1, "
            "or pass weights"
        )
    shown = () if split.fold_in is None else (split.fold_in,)
    trained = seen_items(split.train, *shown)
    held = pair_codes(split.valid)
    for at, member in enumerate(members):
        name = f"member {at + 1} ({member.name})"
        member.check_catalogue(split.train, f"{name}: the split")
        if member.info.get("task") == "rating":
            raise JaxrecError(
                f"{name} predicts ratings, and a blend ranks; train it with a loss that ranks, such as BPR"
            )
        seen = SeenItems(*map(np.asarray, member.seen))
        both = int(is_among(held, pairs_of(seen, member.num_items)).sum()) if learnt else 0
        if both:
            raise MismatchError(
                f"{name} was fitted on {both:,} of the {len(held):,} validation interactions, which the weights are "
                "learnt on; fit it with refit=False"
            )
        wanted = trained if learnt else members[0].seen
        if not all(np.array_equal(mine, theirs) for mine, theirs in zip(seen, wanted, strict=True)):
            what = "the training part of the split" if learnt else f"member 1 ({members[0].name})"
            raise MismatchError(f"{name} was fitted on other interactions than {what}; fit all members on one split")
    return str(members[0].info.get("fitted_on", ""))


def calibrations_of(given: Any, members: int) -> tuple[Any, ...] | None:
    """The calibrations that are meant, one for each member; None where they are left open.

    >>> calibrations_of("softmax", 2)
    (LogSoftmax(temperature=1.0), LogSoftmax(temperature=1.0))
    """
    if given is None:
        return None
    each = list(given) if isinstance(given, (list, tuple)) else [given] * members
    if len(each) != members:
        raise JaxrecError(f"calibration is given for {len(each)} members and there are {members}; give one for each")
    made = tuple(registry.make("calibration", one) for one in each)
    for one in made:
        if not callable(one):
            raise JaxrecError(
                f"calibration is {one!r}; pass an object such as those of jaxrec.blending, or one of "
                f"{registry.names('calibration')}"
            )
    return made


def given_weights(weights: Any, members: int) -> np.ndarray:
    """The weights that are given, float64 [M].

    >>> given_weights([1, 0.5], 2).tolist()
    [1.0, 0.5]
    """
    if isinstance(weights, bytes) or not isinstance(weights, Iterable):
        raise JaxrecError(f'weights must be numbers, one for each member, "equal", or None to learn; got {weights!r}')
    found = [number("a weight", weight) for weight in weights]
    if len(found) != members:
        raise JaxrecError(f"weights is given for {len(found)} of {members} members; give one number for each")
    return np.asarray(found, np.float64)
