"""The files of a published split as one: parts joined in one catalog, and pairs that are in two of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxrec.data._ids import IdMap, factorize
from jaxrec.data._interactions import Interactions
from jaxrec.data._notes import mixed_units
from jaxrec.data._pairs import is_among, pair_codes
from jaxrec.data._texts import as_texts, text_array
from jaxrec.data._times import common_unit
from jaxrec.data.reading._labels import look_alike
from jaxrec.errors import DataError


def join_parts(parts: Mapping[str, Interactions]) -> Interactions:
    """The parts of a split one after the other, in the union of their catalogs."""
    each = list(parts.values())
    notes = [note for data in each for note in data.notes]
    maps = {}
    for side in ("user", "item"):
        ids = [(data.users if side == "user" else data.items).ids for data in each]
        if len({array.dtype.kind == "i" for array in ids}) > 1:
            ids = [as_texts(array) for array in ids]
            notes.append(f"{side} ids: not whole numbers in every part, so all are strings")
        _refuse_look_alikes(side, dict(zip(parts, ids, strict=True)))
        union, index = factorize(np.concatenate(ids))
        places = np.split(index, np.cumsum([len(array) for array in ids])[:-1])
        maps[side] = IdMap(union, side), places
    columns: dict[str, np.ndarray | None] = {}
    unit = None
    for name in ("rating", "timestamp"):
        have = {part: getattr(data, name) for part, data in parts.items()}
        without = [part for part, column in have.items() if column is None]
        if without and len(without) < len(have):
            some = " and ".join(without)
            raise DataError(f"{name}: missing in {some} only; leave it out with columns={{{name!r}: None}}")
        if name == "timestamp" and not without:
            times, unit = common_unit({part: (have[part], parts[part].time_unit) for part in parts})
            have = {part: times[part] for part in parts}
            if unit is None and not any(mixed_units([column]) for column in have.values()):
                notes += mixed_units(have.values())
        columns[name] = None if without else np.concatenate(list(have.values()))
    (users, user_places), (items, item_places) = maps["user"], maps["item"]
    titles = None
    for data, places in zip(each, item_places, strict=True):
        if data.titles is not None:
            own = np.full(len(items), "", dtype=object)
            own[places] = data.titles
            titles = own if titles is None else np.where(titles == "", own, titles)
    code = {"train": 0, "valid": 1, "test": 2}
    return Interactions(
        np.concatenate([places[data.user] for data, places in zip(each, user_places, strict=True)]),
        np.concatenate([places[data.item] for data, places in zip(each, item_places, strict=True)]),
        users,
        items,
        columns["rating"],
        columns["timestamp"],
        titles=None if titles is None else text_array(titles.tolist()),
        time_unit=unit,
        part=np.repeat([code[name] for name in parts], [len(data) for data in each]),
        notes=tuple(notes),
    )


def _refuse_look_alikes(side: str, parts: Mapping[str, np.ndarray]) -> None:
    """Refuse one number that is written in two ways in two parts."""
    if any(array.dtype.kind == "i" for array in parts.values()):
        return
    twice = look_alike(text for array in parts.values() for text in array.tolist())
    if twice:
        where = [next(part for part, array in parts.items() if text in array) for text in twice]
        raise DataError(
            f"the {side}s {twice[0]!r} in {where[0]} and {twice[1]!r} in {where[1]} are of one number; write it in one "
            "way in every file"
        )


def separate_parts(data: Interactions, overlap: str, paths: Mapping[str, Path]) -> Interactions:
    """Refuse, drop or count the pairs of user and item that are in more than one part."""
    assert data.part is not None
    pair = pair_codes(data)
    again = np.zeros(len(data), dtype=bool)
    for part in (1, 2):
        here = data.part == part
        again[here] = is_among(pair[here], np.sort(pair[data.part < part]))
    if not again.any():
        return data
    count = int(again.sum())
    at = int(np.flatnonzero(again)[0])
    if overlap == "raise":
        user, item = data.users.ids[data.user[at]].item(), data.items.ids[data.item[at]].item()
        files = ", ".join(str(path) for path in paths.values())
        raise DataError(
            f"{files}: {count:,} interactions are of a user and item that an earlier part has too (the first: user "
            f"{user!r}, item {item!r}), so the parts leak into each other; pass overlap='drop' to leave them out of "
            "the later part"
        )
    if overlap == "keep":
        return data.with_note(f"{count:,} interactions repeat a user and item of an earlier part; they are kept")
    return data.select(~again, f"{count:,} interactions left out, whose user and item an earlier part has too")
