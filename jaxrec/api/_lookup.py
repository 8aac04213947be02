"""Finding users and items by what callers call them: ids, or titles."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrec.data._ids import id_list
from jaxrec.errors import JaxrecError, UnknownIdError

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

    An id is tried first, then the whole title, then the title without its year; case does not count in titles.

    Args:
      model: a fitted model.
      items: n ids or titles, or one; a list, an array or a column.
      name: of the argument, for messages.

    Returns:
      int32 [n].

    Raises:
      DataError: no list of ids.
      UnknownIdError: no item of that name (the nearest are listed), or several (all are listed, with their ids).

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
    return np.array([_item_index(model, item) for item in id_list(items, name)], dtype=np.int32)


def _item_index(model: FittedModel, item: Any) -> int:
    by_id = model.items.find(item)
    if by_id >= 0:
        return by_id
    if model.titles is None or not isinstance(item, str) or not item.strip():
        return int(model.items.index([item])[0])
    titles = np.char.lower(model.titles)
    wanted = item.strip().lower()
    found = np.flatnonzero(titles == wanted)
    if len(found) == 0:
        found = np.flatnonzero(np.array([_without_year(title) == wanted for title in titles.tolist()], bool))
    if len(found) == 1:
        return int(found[0])
    if len(found) > 1:
        some = [f"{model.items.ids[at].item()} ({model.titles[at]})" for at in found[:10]]
        more = ", ..." if len(found) > 10 else ""
        raise UnknownIdError(f"{len(found)} items are titled {item!r}: {', '.join(some)}{more}; name one by its id")
    # A title is compared without its year too: few type the year, and a short title differs from it by little else.
    lowered = {form: title for title in model.titles.tolist() if title for form in _forms(title)}
    near = [lowered[form] for form in lowered if wanted in form]
    near += [lowered[form] for form in difflib.get_close_matches(wanted, list(lowered), n=3, cutoff=0.6)]
    hint = f"; did you mean {', '.join(list(dict.fromkeys(near))[:5])}?" if near else ""
    raise UnknownIdError(f"unknown item {item!r}: neither an id nor a title of the {model.num_items:,} items{hint}")


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
