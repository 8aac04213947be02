"""Finding peers at run time: they are of an extra that neither the linters nor the tests install."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any


def find(name: str) -> Any:
    """The module of a name, or None where its package is not installed.

    A package that is there but cannot be imported raises as it would elsewhere: that is no missing peer.

    >>> find("a_package_that_nobody_has") is None
    True
    """
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        return None
    return importlib.import_module(name)
