"""JSON files of ranked lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxrec.api._list_order import orders
from jaxrec.api._lists import Rows, rows_of_lists
from jaxrec.errors import DataError


def rows_of_json(path: Path) -> Rows:
    """Rows of a mapping from each user to items, or to scores by item, or of what `jaxrec recommend --out` writes.

    Raises:
      DataError: no JSON, another form, a user or item twice, or keys that may order the items and are no score.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "lists.json")
    ...     _ = path.write_text('{"ann": ["x", "y"]}')
    ...     rows_of_json(path).item_ids.tolist()
    ['x', 'y']
    """
    document = _json(path)
    if isinstance(document, dict) and isinstance(document.get("lists"), list):
        lists: dict[Any, Any] = {}
        try:
            for one in document["lists"]:
                if one["user"] in lists:
                    raise DataError(f"{path}: `lists` has the user {one['user']!r} twice; pass one list for each")
                lists[one["user"]] = list(map(_item, one["items"]))
        except DataError as error:
            raise DataError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: each of `lists` needs `user` and `items`, {error!r} is missing") from None
        return _told_in(path, lambda: rows_of_lists(lists, in_order=True))
    if not isinstance(document, dict) or not all(isinstance(items, (list, dict)) for items in document.values()):
        raise DataError(f"{path}: expected an object from each user to a list of items, or to an object of scores")
    return _told_in(path, lambda: rows_of_lists(document))


def _item(item: Any) -> Any:
    """An item of a list: its id, or a pair of its id and its score."""
    if not isinstance(item, dict):
        return item
    if "score" in item:
        return item["item"], item["score"]
    for name, value in item.items():
        if name != "item" and (orders(name) or (isinstance(value, (int, float)) and not isinstance(value, bool))):
            raise DataError(
                f"item {item['item']!r} of `lists` has {name!r}, which may order it, and no `score`; call it score, or "
                "leave it out where the items stand in order"
            )
    return item["item"]


def _told_in(path: Path, make: Callable[[], Rows]) -> Rows:
    try:
        return make()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _json(path: Path) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for at, name in enumerate(names) if name in names[:at])
            raise DataError(f"{path}: {twice!r} is twice in one object; pass each user and item once")
        return made

    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    except DataError:
        raise
    except RecursionError:
        raise DataError(f"{path}: JSON that is nested too deep; pass an object from each user to a list") from None
    except ValueError as error:
        raise DataError(f"{path}: no JSON: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
