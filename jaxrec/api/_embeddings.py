"""The vectors of users and items in the caller's own ids, for use outside of the library."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxrec.api._lookup import check_model, item_indices
from jaxrec.errors import JaxrecError
from jaxrec.protocols import VectorScorer

if TYPE_CHECKING:
    from jaxrec.fitting._fitted import FittedModel


class Embeddings(NamedTuple):
    """Vectors whose inner products are the scores.

    Attributes:
      users: float32 [n, w].
      items: float32 [m, w].
      dim: d, the first columns, which are the embedding; the others carry biases.

    >>> Embeddings(np.ones((1, 2)), np.ones((3, 2)), 2).items.shape
    (3, 2)
    """

    users: np.ndarray
    items: np.ndarray
    dim: int


def embeddings(
    model: FittedModel, users: Iterable[Any] | None = None, items: Iterable[Any] | None = None
) -> Embeddings:
    """Look up the vectors of users and items, in the order asked.

    The inner product of a user and an item is the score that `recommend` shows. A user or an item without an
    interaction in the fitted part has what its start left, which says nothing.

    Args:
      model: a fitted or restored model whose scores are inner products, such as LightGCN or MF.
      users: n user ids, or one; None for all, in the order of `model.users.ids`.
      items: m item ids or titles, or one; None for all, in the order of `model.items.ids`.

    Raises:
      JaxrecError: a model without vectors, such as EASE.
      UnknownIdError: an unknown user or item.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "u", "v", "w"], ["a", "b", "b", "c"])
    >>> model = jaxrec.fit(jaxrec.MF(dim=4), data, loss="bpr", epochs=1, key=jax.random.key(0))
    >>> found = embeddings(model, users=["v"], items=["a", "b"])
    >>> found.users.shape, found.items.shape
    ((1, 4), (2, 4))
    >>> bool(np.allclose(found.users @ found.items.T, jaxrec.predict(model, ["v", "v"], ["a", "b"]), atol=1e-6))
    True
    """
    check_model(model)
    scorer = model.scorer
    if not isinstance(scorer, VectorScorer):
        raise JaxrecError(f"{model.name} has no vectors of users and items; use lightgcn, mf, gcn, svdpp or nmf")
    user = slice(None) if users is None else model.users.index(users)
    item = slice(None) if items is None else item_indices(model, items)
    return Embeddings(np.asarray(scorer.users)[user], np.asarray(scorer.items)[item], int(scorer.dim))
