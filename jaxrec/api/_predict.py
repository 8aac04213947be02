"""Scores of pairs of users and items, in the caller's own ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrec.api._lookup import check_model, item_indices, tell_untrained
from jaxrec.errors import MismatchError
from jaxrec.evaluation._ratings import predict_pairs

if TYPE_CHECKING:
    from jaxrec.fitting._fitted import FittedModel


def predict(model: FittedModel, users: Any, items: Any) -> np.ndarray:
    """Score pairs of users and items.

    Args:
      model: a fitted or restored model.
      users: n user ids, or one; a list, an array or a column.
      items: n item ids or titles, likewise.

    Returns:
      float32 [n]: for a model trained with "mse" ratings, clipped to the scale of the training part; otherwise scores
      without a unit.

    Raises:
      MismatchError: other numbers of users and items.
      UnknownIdError: an unknown user or item.

    Warns:
      UserWarning: users or items without an interaction in the fitted part, of whom nothing was learned.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "u", "v"], ["a", "b", "b"])
    >>> predict(jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0)), ["u"], ["b"]).tolist()
    [2.0]
    """
    check_model(model)
    user_index, item_index = model.users.index(users), item_indices(model, items)
    if len(user_index) != len(item_index):
        raise MismatchError(f"users has {len(user_index)} entries and items has {len(item_index)}; give one pair each")
    tell_untrained(model, user_index, item_index)
    scale = model.info.get("rating_scale")
    return predict_pairs(model.scorer, user_index, item_index, scale and (scale[0], scale[1]))
