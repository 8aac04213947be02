"""A fitted model: what it takes to recommend, in the caller's own ids, without the training data."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrec import registry
from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems
from jaxrec.errors import MismatchError

if TYPE_CHECKING:
    from jaxrec.fitting._options import TrainingOptions
    from jaxrec.protocols import FoldIn


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class FittedModel:
    """A model with what it learnt, the ids and titles of its data, and the items that each user had.

    Attributes:
      model: with its sizes set.
      variables: its parameters, as `model.apply` takes them; empty for models without any.
      scorer: what ranking needs; see `jaxrec.scorers`.
      users: the ids of the U users.
      items: the ids of the I items.
      titles: unicode [I] or None.
      item_columns: further columns, each [I].
      seen: the items of each user among the interactions that it was fitted on.
      options: how it was trained; None for models that need no training.
      info: what is known of the fit, as plain JSON values: `fitted_on`, `best_epoch`, `valid`, `seconds`, `records`,
        `task`, `rating_scale`, `split`, `notes`, `data`, `key`, `versions`, of NMF `objective`, and of a model that was
        trained in one program with others `together`, how many they were; the seconds are then those of all. Also
        `shown_users`, the indices of users who were held out of training, and `warm_start`, what it started from.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "u", "v"], ["a", "b", "b"])
    >>> fitted = jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0))
    >>> fitted.name, fitted.num_users
    ('popularity', 2)
    """

    model: Any
    variables: Mapping[str, Any]
    scorer: Any
    users: IdMap
    items: IdMap
    titles: np.ndarray | None
    item_columns: Mapping[str, np.ndarray]
    seen: SeenItems
    options: TrainingOptions | None
    info: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The model's name in the registry, or the place of its class, "package.module:Class"."""
        return registry.name_of("model", self.model)

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.users)

    @property
    def num_items(self) -> int:
        """I."""
        return len(self.items)

    @functools.cached_property
    def fold_in(self) -> FoldIn:
        """What makes lists for users who were not fitted on; made once, where it is asked for.

        Raises:
          JaxrecError: a model that cannot.

        >>> import jax, jaxrec
        >>> data = jaxrec.from_arrays(["u", "v"], ["a", "b"])
        >>> jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0)).fold_in.needs_ratings
        False
        """
        from jaxrec.fitting._folding import fold_in_of_fitted

        return fold_in_of_fitted(self)

    def check_catalogue(self, data: Interactions, what: str) -> None:
        """Refuse data whose users or items are not the model's.

        Raises:
          MismatchError: other ids, or the same in another order.

        >>> import jax, jaxrec
        >>> data = jaxrec.from_arrays(["u", "v"], ["a", "b"])
        >>> jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0)).check_catalogue(data, "data")
        """
        for side, mine, theirs in (("users", self.users, data.users), ("items", self.items, data.items)):
            if not np.array_equal(mine.ids, theirs.ids):
                raise MismatchError(
                    f"{what} has {len(theirs):,} {side} and the model was fitted with {len(mine):,}"
                    f"{'' if len(mine) != len(theirs) else ' others'}; use the split that the model was fitted on"
                )

    def __repr__(self) -> str:
        return f"<{self}>"

    def __str__(self) -> str:
        counts = f"{self.num_users:,} users, {self.num_items:,} items"
        name = type(self.model).__name__
        if "objective" in self.info:  # of NMF, which has two
            name += f" ({self.info['objective']} entries)"
        return f"{name} fitted on {self.info.get('fitted_on', 'data')}: {counts}"
