"""Faces of rooms whose names are imported when they are first used, so that a command loads only what it needs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

from jaxrec._moved import old_name


def lazy_names(module: str, homes: Mapping[str, str], old_rooms: tuple[str, ...] = ()) -> Callable[[str], Any]:
    """The `__getattr__` of a face.

    Args:
      module: the name of the face's module.
      homes: file to the names of it, separated by spaces.
      old_rooms: where the names are that the face had in 0.1.

    >>> lazy_names("jaxrec.text", {"jaxrec.data": "IdMap"})("IdMap").__name__
    'IdMap'
    """
    places = {name: file for file, names in homes.items() for name in names.split()}

    def get(name: str) -> Any:
        if name not in places:
            if old_rooms and not name.startswith("_"):
                return old_name(module, name, old_rooms)
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(places[name]), name)
        setattr(sys.modules[module], name, value)
        return value

    return get
