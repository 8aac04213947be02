"""Beyond accuracy, from lists that are there already: novelty, popularity, exposure and categories."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.metrics._categories import calibration, category_coverage, category_shares
from jaxrec.metrics._exposure import exposure, exposure_entropy, gini, personalisation
from jaxrec.metrics._novelty import average_popularity, long_tail, long_tail_share, novelty

PER_USER = ("novelty", "popularity", "long_tail", "calibration", "category_coverage")
OF_ALL_LISTS = ("gini", "entropy", "personalisation")
NAMES = (*PER_USER, *OF_ALL_LISTS)
"""The names that `metrics` takes besides those of `RANKING_METRICS`."""

_OF_CATEGORIES = ("calibration", "category_coverage")
_TILE = 512  # users at a time


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingFacts:
    """What these metrics need to know of the training data.

    Attributes:
      popularity: int32 [I], in how many training interactions each item is.
      num_users: users with training data.
      item_categories: float32 [I, C], above 0 where the item is of the category, or None.
      history: float32 [U, C], the mean category distribution of what each user had in training, or None.

    >>> TrainingFacts(np.array([2, 1]), 2).item_categories is None
    True
    """

    popularity: np.ndarray
    num_users: int
    item_categories: np.ndarray | None = None
    history: np.ndarray | None = None


def training_facts(train: Interactions, item_categories: np.ndarray | None = None) -> TrainingFacts:
    """Count popularity, and with categories what each user's history is made of.

    A user's history is the mean over their training items that have a category; an item of several counts in equal
    shares.

    Args:
      train: what was trained on.
      item_categories: [I, C], above 0 where the item is of the category.

    Raises:
      MismatchError: categories of another number of items.

    >>> facts = training_facts(Interactions.from_arrays([0, 0, 1], [0, 1, 1]), np.eye(2))
    >>> facts.popularity.tolist(), facts.history.tolist()
    ([1, 2], [[0.5, 0.5], [0.0, 1.0]])
    """
    popularity = np.bincount(train.item, minlength=train.num_items).astype(np.int32)
    num_users = len(np.unique(train.user))
    if item_categories is None:
        return TrainingFacts(popularity, num_users)
    categories = np.asarray(item_categories, np.float32)
    if categories.ndim != 2 or len(categories) != train.num_items:
        raise MismatchError(
            f"item_categories has shape {categories.shape}, expected [{train.num_items}, C]: one row for each item"
        )
    shares = np.asarray(category_shares(jnp.asarray(categories)))
    history = np.zeros((train.num_users, shares.shape[1]), np.float64)
    for column in range(shares.shape[1]):  # a column at a time, so that no [E, C] array is made
        history[:, column] = np.bincount(train.user, weights=shares[train.item, column], minlength=train.num_users)
    whole = history.sum(axis=1, keepdims=True)
    history = np.where(whole > 0, history / np.where(whole > 0, whole, 1), 0)
    return TrainingFacts(popularity, num_users, categories, history.astype(np.float32))


def check_names(names: Sequence[str], facts: TrainingFacts | None) -> None:
    """Check that what the named metrics need is there.

    Raises:
      JaxrecError: no training data, or no categories, for a metric that needs them.

    >>> check_names(["gini"], None)
    """
    for name in names:
        if name in PER_USER and facts is None:
            raise JaxrecError(f"the metric {name!r} needs the training data; pass train")
        if name in _OF_CATEGORIES and (facts is None or facts.item_categories is None):
            raise JaxrecError(f"the metric {name!r} needs item_categories, [I, C]; pass them, or leave the metric out")


def check_facts(facts: TrainingFacts, num_users: int, num_items: int) -> None:
    """Check that the facts are of the same users and items as what is measured.

    Raises:
      MismatchError: they are not.

    >>> check_facts(TrainingFacts(np.array([2, 1]), 2), num_users=5, num_items=2)
    """
    shapes = {"popularity": (facts.popularity, num_items), "item_categories": (facts.item_categories, num_items),
              "history": (facts.history, num_users)}  # fmt: skip
    for name, (array, size) in shapes.items():
        if array is not None and len(array) != size:
            raise MismatchError(
                f"facts.{name} has {len(array):,} rows and truth {size:,} {'users' if name == 'history' else 'items'}; "
                "make the facts from the same split"
            )


def measure_beyond(
    names: Sequence[str],
    lists: np.ndarray,
    users: np.ndarray,
    *,
    num_items: int,
    facts: TrainingFacts | None,
    cutoffs: Sequence[int],
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """The named metrics of lists: values of each user, and numbers of all lists together.

    - "novelty@k", "popularity@k", "long_tail@k": see `jaxrec.metrics`; the long tail is what lies outside of
      the most popular items that gather 80% of the training interactions. NaN, which means leave out, for an empty
      list.
    - "calibration@k" and "category_coverage@k": see `jaxrec.metrics`. Calibration is NaN for a user without
      a history.
    - "gini@k", "entropy@k" and "personalisation@k": see `jaxrec.metrics`, over the whole catalogue. They are
      functions of all lists together, so no interval over users belongs to them.

    Args:
      names: of `NAMES`.
      lists: int32 [n, K], best first, -1 for padding.
      users: int32 [n], the user of each list.
      num_items: I.
      facts: of the training data; "gini", "entropy" and "personalisation" do without.
      cutoffs: lengths.

    Returns:
      (name@k to float32 [n], name@k to a number).

    Raises:
      JaxrecError: see `check_names`.

    >>> per_user, overall = measure_beyond(
    ...     ["novelty", "gini"], np.array([[1]]), np.array([0]), num_items=2,
    ...     facts=TrainingFacts(np.array([3, 1]), 4), cutoffs=[1])
    >>> per_user["novelty@1"].tolist(), overall["gini@1"]
    ([2.0], 0.5)
    """
    check_names(names, facts)
    overall: dict[str, float] = {}
    if any(name in OF_ALL_LISTS for name in names):
        for cut in cutoffs:
            counts = exposure(jnp.asarray(lists[:, :cut]), num_items)
            values = {
                "gini": lambda counts=counts: gini(counts),
                "entropy": lambda counts=counts: exposure_entropy(counts),
                "personalisation": lambda counts=counts, cut=cut: personalisation(counts, len(lists), cut),
            }
            overall |= {f"{name}@{cut}": float(values[name]()) for name in names if name in OF_ALL_LISTS}
    wanted = tuple(name for name in names if name in PER_USER)
    if not wanted:
        return {}, overall
    assert facts is not None
    tables = {"popularity": jnp.asarray(facts.popularity), "long_tail": jnp.asarray(long_tail(facts.popularity))}
    history = np.zeros((len(lists), 0), np.float32)
    if facts.item_categories is not None and facts.history is not None:
        tables["categories"] = jnp.asarray(facts.item_categories)
        history = facts.history[users]
    parts = []
    for start in range(0, len(lists), _TILE):
        missing = max(start + _TILE - len(lists), 0)
        pad = ((0, missing), (0, 0))
        some = np.pad(lists[start : start + _TILE], pad, constant_values=-1)
        values = _per_user(
            some, np.pad(history[start : start + _TILE], pad), tables, np.int32(facts.num_users),
            names=wanted, cutoffs=tuple(cutoffs),
        )  # fmt: skip
        parts.append({name: np.asarray(array)[: _TILE - missing] for name, array in values.items()})
    return {f"{name}@{cut}": np.concatenate([part[f"{name}@{cut}"] for part in parts]) for name in wanted
            for cut in cutoffs}, overall  # fmt: skip


@functools.partial(jax.jit, static_argnames=("names", "cutoffs"))
def _per_user(
    lists: jax.Array,
    history: jax.Array,
    tables: dict[str, jax.Array],
    num_users: jax.Array,
    *,
    names: tuple[str, ...],
    cutoffs: tuple[int, ...],
) -> dict[str, jax.Array]:
    def one_user(listed: jax.Array, past: jax.Array) -> dict[str, jax.Array]:
        out = {}
        for cut in cutoffs:
            items = listed[:cut]
            empty = listed[0] < 0
            for name in names:
                if name == "novelty":
                    value = jnp.where(empty, jnp.nan, novelty(items, tables["popularity"], num_users))
                elif name == "popularity":
                    value = jnp.where(empty, jnp.nan, average_popularity(items, tables["popularity"]))
                elif name == "long_tail":
                    value = jnp.where(empty, jnp.nan, long_tail_share(items, tables["long_tail"]))
                elif name == "calibration":
                    value = calibration(items, past, tables["categories"])
                    value = jnp.where(jnp.sum(past) > 0, value, jnp.nan)
                else:
                    value = category_coverage(items, tables["categories"])
                out[f"{name}@{cut}"] = value
        return out

    return jax.vmap(one_user)(lists, history)


def popularity_of(seen: SeenItems, num_items: int) -> TrainingFacts:
    """The facts without categories, from each user's seen items.

    >>> popularity_of(SeenItems(np.array([0, 1, 2]), np.array([1, 1])), 2).popularity.tolist()
    [0, 2]
    """
    indptr, items = np.asarray(seen.indptr), np.asarray(seen.items)
    return TrainingFacts(np.bincount(items, minlength=num_items).astype(np.int32), int((np.diff(indptr) > 0).sum()))
