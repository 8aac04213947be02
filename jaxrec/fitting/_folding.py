"""Users who were not fitted on: their histories in batches of few shapes, and scorers that serve them too."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.fitting._plan import is_trained
from jaxrec.models._base import model_scorer
from jaxrec.models._fold_in import fold_in_of
from jaxrec.protocols import FoldIn, Histories, HistoryScorer, UserRows
from jaxrec.training import train_data

if TYPE_CHECKING:
    from jaxrec.fitting._fitted import FittedModel

FEW = 64
"""Up to so many users come in batches of 8, more of them in batches of 64."""

_SHORT = 64  # places of the shortest batches; longer ones have powers of two
_PLACES = 2**16  # users times places of a batch at the most, unless one history alone is longer


def fitted_pairs(fitted: FittedModel) -> Interactions:
    """The pairs of user and item that a model was fitted on.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "v"], ["a", "b"])
    >>> len(fitted_pairs(jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0))))
    2
    """
    pairs, shown = seen_pairs(fitted), fitted.info.get("shown_users")
    # What held-out users show is masked in their lists, and was never fitted on.
    return pairs.select(~np.isin(pairs.user, shown)) if shown else pairs


def seen_pairs(fitted: FittedModel) -> Interactions:
    """The pairs of user and item that are masked in lists: those that were fitted on, and what held-out users show."""
    seen = fitted.seen
    user = np.repeat(np.arange(seen.num_users, dtype=np.int32), np.diff(seen.indptr))
    return Interactions(user, np.asarray(seen.items), fitted.users, fitted.items)


def fold_in_of_fitted(fitted: FittedModel) -> FoldIn:
    """What makes lists for new users of a fitted or restored model; see `FittedModel.fold_in`."""
    data, task = train_data(fitted_pairs(fitted)), fitted.info.get("task", "ranking")
    if not is_trained(fitted.model):
        return fold_in_of(fitted.model, fitted.variables, fitted.scorer, data, task, None)
    scorer = model_scorer(fitted.variables, data.adjacency, fitted.model)
    loss = None if fitted.options is None else fitted.options.loss
    return fold_in_of(fitted.model, fitted.variables, scorer, data, task, loss)


def batches(histories: SeenItems, rating: np.ndarray | None = None) -> Iterator[tuple[np.ndarray, Histories]]:
    """Cut histories into batches of few shapes, so that few programs serve all of them.

    Args:
      histories: of n users, each item once.
      rating: float32 [E], of the same pairs, or None.

    Yields:
      (int32 [b], which users; their histories, padded to 8 or 64 users and to 64, 128, 256, ... places).

    >>> histories = SeenItems(np.array([0, 2, 2, 5]), np.array([7, 8, 1, 2, 3]))
    >>> [(users.tolist(), padded.item.shape) for users, padded in batches(histories)]
    [([0, 1, 2], (8, 64))]
    """
    indptr, items = np.asarray(histories.indptr), np.asarray(histories.items)
    lengths = np.diff(indptr)
    padded = np.maximum(_SHORT, 2 ** np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64))
    for places in np.unique(padded).tolist():
        group = np.flatnonzero(padded == places).astype(np.int32)
        rows = max(min(8 if len(lengths) <= FEW else 64, _PLACES // places), 1)
        for start in range(0, len(group), rows):
            users = group[start : start + rows]
            where = np.zeros((rows, places), bool)
            where[: len(users)] = np.arange(places)[None] < lengths[users][:, None]
            at = (indptr[users][:, None] + np.arange(places)[None])[where[: len(users)]]
            item = np.zeros((rows, places), np.int32)
            item[where] = items[at]
            values = None
            if rating is not None:
                values = np.zeros((rows, places), np.float32)
                values[where] = rating[at]
            yield users, Histories(item, where, values)


@dataclasses.dataclass(frozen=True, eq=False)
class ShownUsers:
    """Users who are held out of training, and what they show of themselves.

    Attributes:
      users: int32 [n], their indices.
      histories: of these n users.
      rating: float32 [E], or None.
      num_users: U, of the whole catalog.

    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1], [0, 1, 1])
    >>> shown = shown_users([data.select([2])], data.select([0, 1]))
    >>> shown.users.tolist(), shown.histories.of(0).tolist()
    ([1], [1])
    """

    users: np.ndarray
    histories: SeenItems
    rating: np.ndarray | None
    num_users: int


def shown_users(shown: Sequence[Interactions], part: Interactions) -> ShownUsers | None:
    """The users who show something and have nothing in the part that is fitted on.

    Args:
      shown: of held-out users, each pair once: one part, or none.
      part: what is fitted on.

    Returns:
      None where nothing is shown.
    """
    if not shown:
        return None
    fitted = np.bincount(part.user, minlength=part.num_users) > 0
    rows = shown[0].select(~fitted[shown[0].user])
    rows = rows.select(np.lexsort((rows.item, rows.user)))
    users, counts = np.unique(rows.user, return_counts=True)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return ShownUsers(users.astype(np.int32), SeenItems(indptr, rows.item), rows.rating, part.num_users)


def served(scorer: Any, make: Callable[[], FoldIn], shown: ShownUsers | None) -> Any:
    """The scorer, in which held-out users have what their shown items make of them.

    A scorer that asks for items only is left as it is: `with_history` gives it those of all users.

    Args:
      scorer: of the fitted model, adjusted.
      make: gives the fold-in of the model; it is called where there is need of it.
      shown: the held-out users, or None.

    Raises:
      JaxrecError: a model that cannot serve new users, or that needs ratings where there are none.

    >>> from jaxrec.scorers import TableScorer
    >>> served(TableScorer(jnp.ones((1, 1))), lambda: None, None).num_users
    1
    """
    if shown is None or not len(shown.users) or isinstance(scorer, HistoryScorer):
        return scorer
    if not isinstance(scorer, UserRows):
        raise JaxrecError(
            f"the scorer {type(scorer).__name__} has no method `replaced`, so the model cannot serve users who are "
            "held out of training; use a split that leaves every user some training data, such as user_temporal"
        )
    fold_in = make()
    check_ratings(fold_in, shown.rating, "the model")
    for rows, histories in batches(shown.histories, shown.rating):
        # Padded users go to a row past the end, which is dropped.
        at = np.full(histories.item.shape[0], shown.num_users, np.int32)
        at[: len(rows)] = shown.users[rows]
        scorer = scorer.replaced(jnp.asarray(at), fold_in(histories))
    return scorer


def check_ratings(fold_in: FoldIn, rating: object, name: str) -> None:
    """Refuse histories without ratings for a model that needs them.

    >>> from jaxrec.models._fold_in import OfHistory
    >>> from jaxrec.scorers import PopularityScorer
    >>> check_ratings(OfHistory(PopularityScorer(jnp.ones(3), num_users=9)), None, "popularity")
    """
    if fold_in.needs_ratings and rating is None:
        raise JaxrecError(
            f"{name} predicts ratings, and so needs those of new users; give Interactions with ratings, or a mapping "
            "from items to ratings"
        )
