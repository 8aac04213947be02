"""One file read by several processes: each its share of the rows, and then the whole in all of them."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.data._notes import absent_ids, mixed_units
from jaxrec.data._texts import text_array
from jaxrec.data.reading._arrow_ids import Ids, python_texts
from jaxrec.data.reading._growing import InMemory
from jaxrec.errors import DataError
from jaxrec.protocols import ProcessGroup, Reader
from jaxrec.registry import options_of

_COLUMNS = ("user", "item", "rating", "timestamp")


def read_shared(reader: Reader, path: Path, group: ProcessGroup) -> Interactions:
    """Read a file together: what the reader gives of the whole file, where each process has read its share.

    A reader without a `share` reads the whole in every process, and so does any without pyarrow, which joins the
    shares. So does one with it where a share has something to tell: a mistake, which may be of several rows, or a note
    that counts. So all that is told is told of the file.

    Args:
      reader: a frozen dataclass.
      path: a file that every process can read.
      group: of the processes, all of which make this call.

    Raises:
      DataError: a reader that writes columns to a folder, which several processes would share.
    """
    mapped = getattr(reader, "mapped", None)
    if mapped is not None and group.count > 1:
        raise DataError(
            f"{path}: {type(reader).__name__} has mapped={str(mapped)!r}, and {group.count} processes that read it "
            "together would write the same files; pass mapped to jaxrec.read, which gives each a folder of its own"
        )
    if mapped is not None or "share" not in options_of(type(reader)) or importlib.util.find_spec("pyarrow") is None:
        return reader(path)
    part = _share(reader, path, group)
    parts = group.gather({"told": np.zeros(0, np.uint8)} if part is None else _arrays(part))
    told = [json.loads(each["told"].tobytes() or "null") for each in parts]
    if any(each is None or each != told[0] for each in told):
        return reader(path)
    joined = _joined(parts, told[0], getattr(reader, "in_one_share", ()))
    return reader(path) if joined is None else joined


def _share(reader: Any, path: Path, group: ProcessGroup) -> Interactions | None:
    """The rows of this process; None where they are not to be read apart."""
    try:
        part = dataclasses.replace(reader, share=(group.process, group.count))(path)
    except DataError:
        return None
    # What is said of all rows is said in every share; a number in it would be of a share. The first are of the layout.
    of_layout = getattr(reader, "layout_notes", 1)
    return part if not any(any(map(str.isdigit, note)) for note in part.notes[of_layout:]) else None


def _arrays(part: Interactions) -> dict[str, np.ndarray]:
    """A share as arrays of numbers, and under "told" what must be the same in all, as JSON."""
    arrays = {name: getattr(part, name) for name in _COLUMNS if getattr(part, name) is not None}
    arrays |= _sent("user_ids", part.users.ids) | _sent("item_ids", part.items.ids)
    if part.titles is not None:
        arrays |= _sent("titles", part.titles)
    told = {"arrays": sorted(arrays), "unit": part.time_unit, "notes": list(part.notes)}
    return {**arrays, "told": np.frombuffer(json.dumps(told).encode(), np.uint8)}


def _sent(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """Whole numbers as they are; texts as the bytes of all, and where each ends."""
    if values.dtype.kind not in "UO":
        return {name: values}
    import pyarrow

    texts = pyarrow.array(values, pyarrow.large_string())
    _, ends, content = texts.buffers()
    content = np.zeros(0, np.uint8) if content is None else np.frombuffer(content, np.uint8)
    return {f"{name} text": content, f"{name} ends": np.frombuffer(ends, np.int64)[: len(texts) + 1]}


def _received(name: str, part: Mapping[str, np.ndarray]) -> Any:
    """What was sent, as an Arrow array."""
    import pyarrow

    if name in part:
        return pyarrow.array(part[name])
    content, ends = (pyarrow.py_buffer(np.ascontiguousarray(part[f"{name} {what}"])) for what in ("text", "ends"))
    return pyarrow.LargeStringArray.from_buffers(len(part[f"{name} ends"]) - 1, ends, content)


def _joined(
    parts: list[dict[str, np.ndarray]], told: Mapping[str, Any], in_one_share: Sequence[str]
) -> Interactions | None:
    """The shares one after the other, in the union of their catalogs.

    None where they differ in a title, or an id of a side that should be in one share is in several.
    """
    (users, user_places), (items, item_places) = sides = [_union(side, parts) for side in ("user", "item")]
    for side, (ids, places) in zip(("user", "item"), sides, strict=True):
        if side in in_one_share and len(ids) < sum(map(len, places)):
            return None
    columns: dict[str, Any] = {
        name: np.concatenate([part[name] for part in parts]) if name in parts[0] else None
        for name in ("rating", "timestamp")
    }
    titles = None
    if "titles ends" in parts[0]:
        titles = np.full(len(items), "", object)
        for part, places in zip(parts, item_places, strict=True):
            own = np.array(python_texts(_received("titles", part), "title", "title"), object)
            before = titles[places]
            if ((own != "") & (before != "") & (own != before)).any():
                return None
            titles[places] = np.where(before == "", own, before)
    notes = [*told["notes"], *absent_ids(users.ids, "user"), *absent_ids(items.ids, "item")]
    if columns["timestamp"] is not None and told["unit"] is None:
        notes += mixed_units([columns["timestamp"]])
    return Interactions(
        np.concatenate([places[part["user"]] for part, places in zip(parts, user_places, strict=True)]),
        np.concatenate([places[part["item"]] for part, places in zip(parts, item_places, strict=True)]),
        users,
        items,
        **columns,
        titles=None if titles is None else text_array(titles.tolist()),
        time_unit=told["unit"],
        notes=tuple(notes),
    )


def _union(side: str, parts: list[dict[str, np.ndarray]]) -> tuple[IdMap, list[np.ndarray]]:
    """The ids of all shares, sorted, and for each share the places of its own among them."""
    own = [_received(f"{side}_ids", part) for part in parts]
    ends = np.cumsum([0, *map(len, own)])
    column = InMemory(np.int32, int(ends[-1]))
    ids = Ids(side, side, column)
    for values, start in zip(own, ends, strict=False):
        ids.add(values, int(start))
    return IdMap(ids.finish(), side), np.split(column.array(), ends[1:-1])
