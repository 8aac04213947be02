"""Candidate rules in the caller's own ids: what is recommended to nobody, what not to some, and what alone may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrec.api._lookup import item_indices
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_from_pairs, seen_items
from jaxrec.errors import JaxrecError
from jaxrec.ranking._candidate_rule import CandidateRule

if TYPE_CHECKING:
    from jaxrec.fitting._fitted import FittedModel


def candidate_rule(
    model: FittedModel,
    exclude: Iterable[Any] | None = None,
    exclude_for: Mapping[Any, Iterable[Any]] | Interactions | None = None,
    candidates: Iterable[Any] | None = None,
) -> CandidateRule:
    """Make a candidate rule in indices of a model's users and items.

    Args:
      model: a fitted or restored model.
      exclude: items, by id or title, that are recommended to nobody; None for none.
      exclude_for: from a user's id to the items that are not recommended to them; or interactions, whose pairs are
        left out.
      candidates: items, by id or title, that alone may be recommended; None for all.

    Raises:
      UnknownIdError: a user or an item that the model does not know.
      JaxrecError: another form of `exclude_for`.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "u", "v"], ["a", "b", "b"])
    >>> model = jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0))
    >>> rule = candidate_rule(model, exclude=["b"], exclude_for={"v": ["a"]})
    >>> rule.exclude.tolist(), rule.exclude_for.of(1).tolist()
    ([1], [0])
    """
    excluded = item_indices(model, () if exclude is None else exclude, "exclude")
    return CandidateRule(
        exclude=excluded if len(excluded) else None,
        exclude_for=None if exclude_for is None else _rows(model, exclude_for),
        candidates=None if candidates is None else item_indices(model, candidates, "candidates"),
    )


def _rows(model: FittedModel, exclude_for: Mapping[Any, Iterable[Any]] | Interactions) -> SeenItems:
    if isinstance(exclude_for, Interactions):
        if np.array_equal(exclude_for.users.ids, model.users.ids) and np.array_equal(
            exclude_for.items.ids, model.items.ids
        ):
            return seen_items(exclude_for)
        used = exclude_for.compact()  # only what occurs must be known
        users, items = model.users.index(used.users.ids.tolist()), model.items.index(used.items.ids.tolist())
        return seen_from_pairs(users[used.user], items[used.item], model.num_users, model.num_items)
    if not isinstance(exclude_for, Mapping):
        raise JaxrecError(
            f"exclude_for is a {type(exclude_for).__name__}; pass a mapping from a user to items, or Interactions"
        )
    users = model.users.index(list(exclude_for))
    rows = [item_indices(model, items, f"exclude_for[{user!r}]") for user, items in exclude_for.items()]
    return seen_from_pairs(
        np.repeat(users, [len(row) for row in rows]),
        np.concatenate([np.zeros(0, np.int32), *rows]),
        model.num_users,
        model.num_items,
    )
