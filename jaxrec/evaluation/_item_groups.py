"""Groups of items in the lists: what is found of each group and how often it is shown; and tables over groups."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.data._pairs import is_among, pairs_of
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation._catalog import OF_GROUPS
from jaxrec.protocols import UserList
from jaxrec.reports._groups import Groups
from jaxrec.reports._values import ValueName

_TILE = 4096  # users at a time
_MOST_GROUPS = 100


def measure_item_groups(
    lists: np.ndarray,
    users: np.ndarray,
    relevant: SeenItems,
    groups: Groups,
    *,
    cutoffs: Sequence[int],
    popularity: np.ndarray | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    r"""Measure lists group by group, with the truth restricted to the items of the group.

    For a group g and a user with relevant items in it,

    .. math:: \mathrm{recall@}k\,[g] =
              \frac{|\mathrm{list}_k \cap \mathrm{relevant} \cap g|}{|\mathrm{relevant} \cap g|}

    "hits@k [g]" is the numerator, and "ndcg@k [g]" the nDCG where only the items of g are relevant; places keep their
    numbers, so an item of another group before a hit costs gain. A user without a relevant item in g has NaN, which
    means leave out: the mean is over the users who have one.

    Of all lists together: "exposure@k [g]" is the share of the places, padding not counted, that hold an item of g.
    "catalogue_share [g]" is its share of the items and "training_share [g]" that of the training interactions, to
    compare it with. The shares of all groups add up to 1.

    Args:
      lists: int32 [n, K], best first, -1 for padding.
      users: int32 [n], the user of each list.
      relevant: the test items of each user.
      groups: of the I items, by index.
      cutoffs: lengths, at most K.
      popularity: int [I], in how many training interactions each item is; without it there is no training share.

    Returns:
      (name to float32 [n], name to a number).

    Raises:
      MismatchError, JaxrecError: see `check_item_groups`.

    >>> rows = SeenItems(np.array([0, 2], np.int32), np.array([0, 2], np.int32))
    >>> head = Groups(("head", "tail"), np.array([0, 1, 1]))
    >>> values, of_all = measure_item_groups(np.array([[0, 1]]), np.array([0]), rows, head, cutoffs=[2])
    >>> values["recall@2 [head]"].tolist(), values["recall@2 [tail]"].tolist(), of_all["exposure@2 [tail]"]
    ([1.0], [0.0], 0.5)
    """
    num_items, num_groups = len(groups.of), len(groups.names)
    check_item_groups(groups, num_items)
    indptr, items = np.asarray(relevant.indptr), np.asarray(relevant.items)
    codes = pairs_of(relevant, num_items)  # ascending, since the rows are
    parts = []
    for start in range(0, len(users), _TILE):
        some, who = lists[start : start + _TILE], users[start : start + _TILE]
        asked = who[:, None].astype(np.int64) * num_items + some
        hits = (some >= 0) & is_among(asked, codes)
        missing = ((0, max(start + _TILE - len(users), 0)), (0, 0))
        truths = _truths(who, indptr, groups.of[items], num_groups)
        listed = np.where(some >= 0, groups.of[np.maximum(some, 0)], -1)
        padded = (np.pad(array, missing) for array in (hits, listed.astype(np.int32), truths))
        values = jax.device_get(_measure_tile(*padded, cutoffs=tuple(cutoffs)))
        parts.append({name: array[: len(who)] for name, array in values.items()})
    per_user = {
        str(ValueName(metric.name, cut, label)): np.concatenate([part[metric.name, cut][:, at] for part in parts])
        for at, label in enumerate(groups.names)
        for metric in OF_GROUPS
        for cut in cutoffs
    }
    overall = {}
    for cut in cutoffs:
        shown = lists[:, :cut]
        counts = np.bincount(groups.of[shown[shown >= 0]], minlength=num_groups)
        overall |= _shares(ValueName("exposure", cut), counts, groups)
    overall |= _shares(ValueName("catalogue_share"), groups.sizes(), groups)
    if popularity is not None:
        counts = np.bincount(groups.of, weights=np.asarray(popularity), minlength=num_groups)
        overall |= _shares(ValueName("training_share"), counts, groups)
    return per_user, overall


def check_item_groups(groups: Groups | None, num_items: int) -> None:
    """Check that there is a group for each item, and that there are not too many to measure each for every user.

    Raises:
      MismatchError: groups of another number of items.
      JaxrecError: more than 100 groups.

    >>> check_item_groups(Groups(("all",), np.zeros(3)), 3)
    """
    if groups is None:
        return
    if len(groups.of) != num_items:
        raise MismatchError(f"item_groups is of {len(groups.of):,} items, expected {num_items:,}; give each a group")
    if len(groups.names) > _MOST_GROUPS:
        raise JaxrecError(
            f"item_groups has {len(groups.names):,} groups, and each is measured for every user; pass at most "
            f"{_MOST_GROUPS}"
        )


def _truths(users: np.ndarray, indptr: np.ndarray, group_of_pair: np.ndarray, num_groups: int) -> np.ndarray:
    """How many relevant items of each group each user has, int32 [n, G]; the users ascend."""
    lengths = indptr[users + 1] - indptr[users]
    row = np.repeat(np.arange(len(users)), lengths)
    inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    pair = np.repeat(indptr[users], lengths) + inside
    codes = row * num_groups + group_of_pair[pair]
    return np.bincount(codes, minlength=len(users) * num_groups).reshape(-1, num_groups).astype(np.int32)


def _shares(name: ValueName, counts: np.ndarray, groups: Groups) -> dict[str, float]:
    whole = counts.sum()
    return {
        str(name._replace(group=label)): float(count / whole) if whole else float("nan")
        for label, count in zip(groups.names, counts, strict=True)
    }


@functools.partial(jax.jit, static_argnames=("cutoffs",))
def _measure_tile(
    hits: jax.Array, listed: jax.Array, truths: jax.Array, *, cutoffs: tuple[int, ...]
) -> dict[tuple[str, int], jax.Array]:
    """Values [n, G] by name and k, from hits bool [n, K], the group of each place [n, K], relevant items [n, G]."""

    def one(
        hits: jax.Array, listed: jax.Array, group: jax.Array, num_relevant: jax.Array
    ) -> dict[tuple[str, int], jax.Array]:
        view = UserList(hits & (listed == group), num_relevant)
        values = {
            (metric.name, cut): metric(view, k=cut).astype(jnp.float32) for metric in OF_GROUPS for cut in cutoffs
        }
        return {name: jnp.where(num_relevant > 0, value, jnp.nan) for name, value in values.items()}

    groups = jnp.arange(truths.shape[1], dtype=jnp.int32)
    of_groups = jax.vmap(one, in_axes=(None, None, 0, 0))
    return jax.vmap(of_groups, in_axes=(0, 0, None, 0))(hits, listed, groups, truths)
