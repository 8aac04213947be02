"""Weights of a fit: a rule among its options, or one array for each part of the data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data._pairs import pair_codes
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.protocols import Trained
from jaxrec.training import Weighed, weights_of

if TYPE_CHECKING:
    from jaxrec.fitting._options import TrainingOptions
    from jaxrec.fitting._plan import FitPlan

Arrays = Mapping[str, Any]
"""Weights of the parts by their names: train, valid, test, fold_in."""


def take_arrays(given: dict[str, Any]) -> Arrays | None:
    """Take weights out of the keywords of a fit where they are arrays: the training part's, or a mapping by part.

    >>> given = {"weights": [1.0, 2.0]}
    >>> take_arrays(given), given
    ({'train': [1.0, 2.0]}, {'weights': None})
    """
    value = given.get("weights")
    if isinstance(value, (np.ndarray, jax.Array)) or (isinstance(value, Sequence) and not isinstance(value, str)):
        value = {"train": value}
    if not isinstance(value, Mapping):
        return None
    given["weights"] = None
    return value


def check_weights(model: Any, split: Split, options: TrainingOptions, arrays: Arrays | None) -> None:
    """Refuse weights that a model or a loss would not honor, and arrays of no part.

    Raises:
      JaxrecError: a loss or a solved model that takes no weights; a part that is not there.
    """
    if options.weights is None and arrays is None:
        return
    trained = isinstance(model, Trained)
    taker = options.loss if trained else model
    if not getattr(taker, "takes_weights", False):
        name = type(taker).__name__
        what = "does not weigh the rows of a batch" if trained else "is solved from its interactions as they are"
        raise JaxrecError(
            f"weights are given, and {name} {what} (takes_weights is False); leave weights out"
            + (", or use one of jaxrec.losses" if trained else "")
        )
    parts = split.parts()
    if unknown := [name for name in arrays or () if name not in parts]:
        raise JaxrecError(f"weights has {', '.join(map(repr, unknown))}; the parts are {', '.join(parts)}")


def weights_for(plan: FitPlan, part: Interactions) -> Weighed | None:
    """The weights of what is trained on in a stage; None for ones.

    Args:
      plan: of the fit.
      part: of the plan, that of its first stage or that of the refit.

    Raises:
      JaxrecError: weights out of range, or none for a part that is trained on.
      MismatchError: another number of weights than interactions.
    """
    if plan.options.weights is not None:
        rule = plan.options.weights
        return weights_of(rule(part), len(part), f"weights by {rule!r}")
    if plan.weights is None:
        return None
    split, values, codes = plan.split, [], []
    for name, own in split.parts().items():
        rows = _rows_of(split, name, own, part)
        if not len(rows):
            continue
        if name not in plan.weights:
            raise JaxrecError(
                f"the {name} part is fitted too, and weights has none for it; pass one array for each part, as in "
                'weights={"train": ..., "' + name + '": ...}, or refit=False'
            )
        weights_of(plan.weights[name], len(own), f"weights of the {name} part")  # refuses what is not in order
        values.append(np.asarray(plan.weights[name], np.float64)[rows])
        codes.append(pair_codes(own)[rows])
    together = np.concatenate(values)
    if len(values) > 1 or part is not split.train:  # parts in one are ordered by user and item
        together = together[np.argsort(np.concatenate(codes), kind="stable")]
    return weights_of(together, len(part), "weights given")


def described_weights(plan: FitPlan) -> dict[str, str]:
    """A hash of the weights of each part, of those that were given as arrays.

    >>> import jaxrec
    >>> from jaxrec.fitting._plan import make_plan
    >>> plan = make_plan(jaxrec.MF(dim=2), jaxrec.from_arrays([0], [0]), jaxrec.TrainingOptions(), {"train": [1.0]})
    >>> list(described_weights(plan))
    ['weights of the train part']
    """
    return {
        f"weights of the {name} part": hashlib.sha256(np.asarray(values, np.float64).tobytes()).hexdigest()
        for name, values in (plan.weights or {}).items()
    }


def _rows_of(split: Split, name: str, own: Interactions, part: Interactions) -> np.ndarray:
    """The rows of one part of a split that belong to what is trained on, in order."""
    every = np.arange(len(own))
    if part is split.whole:
        return every
    if name == "train":
        return every
    if part is not split.fitted:
        return every[:0]
    if name == "fold_in":  # as `Split.fitted` takes it
        tested = np.bincount(split.valid.user, minlength=split.valid.num_users) > 0
        return every[tested[own.user]]
    return every if name == "valid" else every[:0]
