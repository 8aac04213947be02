"""The versions that a result depends on."""

from __future__ import annotations

import importlib.metadata
import sys


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that results depend on.

    >>> sorted(versions())
    ['flax', 'jax', 'jaxlib', 'jaxrec', 'numpy', 'optax', 'python']
    """
    import jaxrec

    found = {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy")}
    return {"python": ".".join(map(str, sys.version_info[:3])), "jaxrec": jaxrec.__version__, **found}
