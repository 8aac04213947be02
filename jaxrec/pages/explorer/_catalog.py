"""What the explorer knows of users and items on the host: ids, titles, searches, histories, categories."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from jaxrec.api._lookup import Titles, title_of
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_items
from jaxrec.data.splitting._parts import Split
from jaxrec.evaluation._training_statistics import Categories
from jaxrec.fitting._fitted import FittedModel
from jaxrec.pages._evidence import categories_of, interactions_of
from jaxrec.pages.explorer._limits import Refused
from jaxrec.pages.explorer._parameters import shown
from jaxrec.pages.explorer._search import Found, Index, folded

_NEAR = 3  # that a message asks after
_MOST_NAMED = 10  # of equal titles


@dataclasses.dataclass(frozen=True, eq=False)
class Catalog:
    """Users and items, and what is known of them without asking a model; `catalog_of` makes it.

    Attributes:
      model: whose users and items these are.
      user_ids: the id of each user, as text.
      item_ids: the id of each item, as text.
      titles: the title of each item, or its id.
      popularity: int64 [I], the fitted interactions of each item.
      indptr, items: the history of user u is `items[indptr[u]:indptr[u + 1]]`, the latest first.
      relevant: the test items of each user; None without the data.
      labels: of the categories, empty where there are none.
      category: bool [I, C], which categories each item has.
      left_out: what is not known, sentences.
    """

    model: FittedModel
    user_ids: list[str]
    item_ids: list[str]
    titles: list[str]
    popularity: np.ndarray
    indptr: np.ndarray
    items: np.ndarray
    relevant: SeenItems | None
    labels: tuple[str, ...]
    category: np.ndarray
    left_out: tuple[str, ...]

    @functools.cached_property
    def _users(self) -> Index:
        """The ids of users, ordered by their letters."""
        order = sorted(range(len(self.user_ids)), key=lambda at: (folded(self.user_ids[at]), at))
        return Index([self.user_ids], _ranks(np.array(order, np.int64)))

    @functools.cached_property
    def _items(self) -> Index:
        """The titles and ids of items, the popular first."""
        fields = [self.titles] if self.titles == self.item_ids else [self.titles, self.item_ids]
        return Index(fields, _ranks(np.argsort(-self.popularity, kind="stable")))

    @functools.cached_property
    def _titled(self) -> Titles | None:
        """Which items have a title, as `jaxrec.recommend` knows them."""
        return None if self.model.titles is None else Titles(self.model.titles)

    def warm(self) -> Catalog:
        """Make the tables of searches, which several threads may ask afterwards."""
        self.find_users("", 1)
        self.find_items("", 1)
        self.model.users.find("")
        self.model.items.find("")
        return self

    def user(self, name: str) -> int:
        """The place of a user.

        Raises:
          Refused: no such user.
        """
        at = self.model.users.find(name)
        if at < 0:
            near = [shown(self.user_ids[one]) for one in self._users.nearest(name, _NEAR)]
            raise Refused(f"there is no user {shown(name)}{_hint(near)}", 404)
        return at

    def item(self, name: str) -> int:
        """The place of an item, by its id or its title, as `jaxrec.recommend` takes them.

        An id is tried first, then the whole title, then the title without its year; case does not count in titles.

        Raises:
          Refused: no such item, or several of that title.
        """
        at = self.model.items.find(name)
        if at >= 0:
            return at
        titled = [] if self._titled is None else self._titled.find(name)
        if len(titled) == 1:
            return titled[0]
        if titled:
            some = ", ".join(self._shown(one) for one in titled[:_MOST_NAMED])
            more = ", ..." if len(titled) > _MOST_NAMED else ""
            raise Refused(f"{len(titled)} items are titled {shown(name)}: {some}{more}; name one by its id", 404)
        near = [self._shown(one) for one in self._items.nearest(name, _NEAR)]
        raise Refused(f"there is no item with the id or title {shown(name)}{_hint(near)}", 404)

    def places(self, names: Sequence[str]) -> np.ndarray:
        """The places of several items, each once, in the order given."""
        return np.array(list(dict.fromkeys(map(self.item, names))), np.int32)

    def history(self, user: int) -> np.ndarray:
        """The items of a user, the latest first where there are times, each once."""
        items = self.items[self.indptr[user] : self.indptr[user + 1]]
        _, first = np.unique(items, return_index=True)
        return items[np.sort(first)]

    def tested(self, user: int) -> np.ndarray | None:
        """The test items of a user; None without the data."""
        return None if self.relevant is None else np.asarray(self.relevant.of(user))

    def find_users(self, words: str, most: int) -> Found:
        """The users with some text in their id: the whole id first, then beginnings, in the order of the ids."""
        return self._users.find(words, most)

    def find_items(self, words: str, most: int) -> Found:
        """The items with some text in their title or id: a whole match first, then beginnings; popular ones first."""
        return self._items.find(words, most)

    def among(self, exclude: np.ndarray, candidates: np.ndarray | None, categories: Sequence[str]) -> np.ndarray | None:
        """The items that a rule leaves, bool [I]; None where there is no rule.

        Args:
          exclude: items that are left out.
          candidates: items that alone may stand, or None.
          categories: labels of which an item must have at least one; none for all items.

        Raises:
          Refused: an unknown category, or no item left.
        """
        if not len(exclude) and candidates is None and not categories:
            return None
        left = np.full(len(self.item_ids), candidates is None)
        if candidates is not None:
            left[candidates] = True
        if categories:
            columns = [self._category(label) for label in categories]
            left &= self.category[:, columns].any(axis=1)
        left[exclude] = False
        if not left.any():
            raise Refused("exclude, candidates and categories leave no item that could be recommended; name fewer")
        return left

    def named(self, item: int) -> dict[str, str]:
        """The id and the title of an item, for JSON."""
        return {"id": self.item_ids[item], "title": self.titles[item]}

    def _shown(self, item: int) -> str:
        """An item in a message."""
        name, title = self.item_ids[item], self.titles[item]
        return shown(title) if name == title else f"{shown(title)} [{name}]"

    def _category(self, label: str) -> int:
        if label not in self.labels:
            what = f"the categories are {', '.join(self.labels[:20])}" if self.labels else "these items have none"
            raise Refused(f"there is no category {shown(label)}; {what}{', ...' if len(self.labels) > 20 else ''}", 404)
        return self.labels.index(label)


def catalog_of(
    models: Mapping[str, FittedModel],
    split: Split | None,
    item_categories: Categories | None = None,
    left_out: Sequence[str] = (),
) -> Catalog:
    """Make the catalog of models with the same users and items.

    Args:
      models: label to fitted model.
      split: the data in their parts, or None; then what the models know of them is all there is.
      item_categories: see `categories_of`.
      left_out: sentences on what is missing, to which those of the data are added.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "v"], [7, 8], titles={7: "Heat (1995)", 8: "Alien"})
    >>> catalog = catalog_of({"all": jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0))}, None)
    >>> catalog.find_items("heat", 5), catalog.find_users("", 5).total
    (Found(places=[0], total=1), 2)
    """
    first = next(iter(models.values()))
    if split is not None:
        first.check_catalogue(split.train, "the split")
    data = interactions_of(first) if split is None else split.fitted
    shown_parts = [] if split is None or split.fold_in is None else [split.fold_in]
    rows = [_history_rows(part) for part in (*shown_parts, data)]
    user, item = (np.concatenate([row[at] for row in rows]) for at in range(2))
    order = np.argsort(user, kind="stable")
    found = categories_of(data, item_categories)
    told = list(left_out)
    if split is None:
        told.append("test items, so hits are not marked, and times, so histories are in the order of the items")
    elif data.timestamp is None:
        told.append("times: the data have none, so histories are in the order of the items")
    if found is None:
        told.append("categories: the items have no column of labels")
    labels, table = ((), np.zeros((first.num_items, 0), bool)) if found is None else found
    return Catalog(
        model=first,
        user_ids=list(map(str, first.users.ids.tolist())),
        item_ids=list(map(str, first.items.ids.tolist())),
        titles=[title_of(first, at) for at in range(first.num_items)],
        popularity=np.bincount(data.item, minlength=data.num_items),
        indptr=np.searchsorted(user[order], np.arange(first.num_users + 1)),
        items=item[order].astype(np.int32),
        relevant=None if split is None else seen_items(split.test),
        labels=labels,
        category=np.asarray(table) > 0,
        left_out=tuple(told),
    ).warm()


def _ranks(order: np.ndarray) -> np.ndarray:
    """The place of each in an order."""
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def _hint(near: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _history_rows(data: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """Users and items of interactions, by user and then the latest first, or by item where there are no times."""
    time = np.zeros(len(data), np.int64) if data.timestamp is None else -data.timestamp
    order = np.lexsort((data.item, time, data.user))
    return data.user[order], data.item[order]
