"""Finding users and items by what callers call them: ids, or titles."""

from __future__ import annotations

import difflib
import functools
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrec.data._ids import id_list
from jaxrec.errors import JaxrecError, UnknownIdError
from jaxrec.text import printable

if TYPE_CHECKING:
    from jaxrec.fitting._fitted import FittedModel


def check_model(model: Any) -> None:
    """Refuse anything but a fitted model.

    Raises:
      JaxrecError: another kind of object.
    """
    if not all(hasattr(model, name) for name in ("scorer", "users", "items", "seen", "info")):
        raise JaxrecError(
            f"model is of type {type(model).__name__}; pass a fitted model, as jaxrec.fit and jaxrec.restore give it"
        )


def item_indices(model: FittedModel, items: Any, name: str = "items") -> np.ndarray:
    """Find items by id or by title.

    An id is tried first, then the whole title, then the title without its year; case does not count in titles, and
    neither do blanks around a text that is no id as it stands. A text that is the id of one item and the title of
    another is taken for the id, and told.

    Args:
      model: a fitted model.
      items: n ids or titles, or one; a list, an array or a column.
      name: of the argument, for messages.

    Returns:
      int32 [n].

    Raises:
      DataError: no list of ids.
      UnknownIdError: no item of that name (the nearest are listed), or several (all are listed, with their ids).

    Warns:
      UserWarning: a text is the id of one item and the title of another.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "v"], [1, 2], titles={1: "Heat (1995)", 2: "Heat (1986)"})
    >>> model = jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0))
    >>> item_indices(model, [2, "heat (1995)"]).tolist()
    [1, 0]
    >>> item_indices(model, ["Heat"])
    Traceback (most recent call last):
        ...
    jaxrec.errors.UnknownIdError: 2 items are titled 'Heat': 1 (Heat (1995)), 2 (Heat (1986)); name one by its id
    """
    titles = None if model.titles is None else Titles(model.titles)
    listed = id_list(items, name)
    found = np.array([_item_index(model, item, titles) for item in listed], dtype=np.int32)
    if titles is not None:
        _tell_doubles(model, listed, found, titles, name)
    return found


class Titles:
    """Which items have a title: in lower case, with its year and without; made once, when a text is first asked for."""

    def __init__(self, titles: np.ndarray) -> None:
        self._titles = titles

    @functools.cached_property
    def lowered(self) -> list[str]:
        return [title.lower() for title in self._titles.tolist()]

    @functools.cached_property
    def whole(self) -> dict[str, list[int]]:
        return _places(self.lowered)

    @functools.cached_property
    def without_year(self) -> dict[str, list[int]]:
        return _places([_without_year(title) for title in self.lowered])

    def find(self, text: str) -> list[int]:
        """The items of this title, or else of this title and some year."""
        wanted = text.strip().lower()
        return self.whole.get(wanted) or self.without_year.get(wanted, []) if wanted else []


def _places(texts: Sequence[str]) -> dict[str, list[int]]:
    out: dict[str, list[int]] = {}
    for at, text in enumerate(texts):
        out.setdefault(text, []).append(at)
    return out


def _item_index(model: FittedModel, item: Any, titles: Titles | None) -> int:
    by_id = _by_id(model, item)
    if by_id >= 0:
        return by_id
    if titles is None or not isinstance(item, str) or not item.strip():
        return int(model.items.index([item])[0])
    found = titles.find(item)
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        some = [_named(model, at) for at in found[:10]]
        more = ", ..." if len(found) > 10 else ""
        raise UnknownIdError(f"{len(found)} items are titled {item!r}: {', '.join(some)}{more}; name one by its id")
    # A title is compared without its year too: few type the year, and a short title differs from it by little else.
    wanted, every = item.strip().lower(), model.titles.tolist()  # pyright: ignore[reportOptionalMemberAccess]
    lowered = {form: title for title in every if title for form in _forms(title)}
    near = [lowered[form] for form in lowered if wanted in form]
    near += [lowered[form] for form in difflib.get_close_matches(wanted, list(lowered), n=3, cutoff=0.6)]
    hint = f"; did you mean {', '.join(map(printable, list(dict.fromkeys(near))[:5]))}?" if near else ""
    raise UnknownIdError(f"unknown item {item!r}: neither an id nor a title of the {model.num_items:,} items{hint}")


def _by_id(model: FittedModel, item: Any) -> int:
    """The item with this id, as it stands or without blanks around it; -1 without one."""
    found = model.items.find(item)
    return model.items.find(item.strip()) if found < 0 and isinstance(item, str) and item.strip() else found


def _tell_doubles(model: FittedModel, listed: Sequence[Any], found: np.ndarray, titles: Titles, name: str) -> None:
    """Warn of texts that were taken for an id and are the title of another item."""
    doubles = []
    for item, at in zip(listed, found.tolist(), strict=True):
        if isinstance(item, str) and _by_id(model, item) == at:
            doubles += [(item, at, other) for other in titles.find(item)[:1] if other != at]
    if doubles:
        item, at, other = doubles[0]
        more = f" (and {len(doubles) - 1:,} more such)" if len(doubles) > 1 else ""
        warnings.warn(
            f"{name}: {item!r} is taken for the id of {_named(model, at)}, and is also the title of "
            f"{_named(model, other)}{more}; name that one by its id",
            UserWarning,
            stacklevel=4,
        )


def _named(model: FittedModel, at: int) -> str:
    """The id of an item, with its title."""
    return f"{printable(str(model.items.ids[at]))} ({printable(title_of(model, at))})"


def _forms(title: str) -> tuple[str, str]:
    lowered = title.lower()
    return lowered, _without_year(lowered)


def _without_year(title: str) -> str:
    head, separator, tail = title.rpartition(" (")
    return head if separator and tail[:4].isdigit() and tail.endswith(")") else title


def title_of(model: FittedModel, item: int) -> str:
    """Give the title of an item, or its id as text without one.

    >>> import jax, jaxrec
    >>> model = jaxrec.fit(jaxrec.Popularity(), jaxrec.from_arrays(["u"], [7]), key=jax.random.key(0))
    >>> title_of(model, 0)
    '7'
    """
    title = "" if model.titles is None else str(model.titles[item])
    return title or str(model.items.ids[item])


def tell_untrained(model: FittedModel, users: np.ndarray, items: np.ndarray) -> None:
    """Warn of users and items without an interaction in the fitted part, whose scores say little.

    Args:
      model: a fitted model.
      users: int32 [n], indices.
      items: int32 [n], indices.

    Warns:
      UserWarning: there are such users or items.

    >>> import jax, jaxrec
    >>> model = jaxrec.fit(jaxrec.Popularity(), jaxrec.from_arrays(["u"], [7]), key=jax.random.key(0))
    >>> tell_untrained(model, np.array([0]), np.array([0]))
    """
    idle_users = np.diff(np.asarray(model.seen.indptr)) == 0
    idle_items = np.bincount(np.asarray(model.seen.items), minlength=model.num_items) == 0
    for ids, idle, asked in ((model.users, idle_users, users), (model.items, idle_items, items)):
        some = np.unique(asked[idle[asked]]) if len(asked) else asked
        if len(some):
            first = ids.ids[some[0]].item()
            warnings.warn(
                f"{len(some):,} {ids.name}{'s have' if len(some) > 1 else ' has'} no interaction in the fitted part, "
                f"such as {first!r}: nothing was learned of {'them' if len(some) > 1 else 'it'}, and scores say little",
                UserWarning,
                stacklevel=3,
            )
