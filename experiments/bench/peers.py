"""Import of peers at run time; they belong to an extra that linters and tests do not install."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any


def find(name: str) -> Any:
    """Import a module, or return None if its package is not installed.

    A package that is installed but fails to import raises as usual.

    >>> find("a_package_that_nobody_has") is None
    True
    """
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        return None
    return importlib.import_module(name)
