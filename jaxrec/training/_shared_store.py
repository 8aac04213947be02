"""The store of checkpoints of several processes: the first has the files, and the others get what it reads."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrec.parallel._processes import from_writer, several, spread, writes
from jaxrec.training._checkpoint import Checkpoints, Leaf, Store


def store_of(folder: pathlib.Path, keep: int) -> Checkpoints:
    """The store of a folder, for this process alone or together with the others.

    >>> store_of(pathlib.Path("/nowhere"), 2).steps()
    []
    """
    return SharedStore(folder, keep) if several() else Store(folder, keep)


class SharedStore:
    """The checkpoints of a folder that only the process that writes looks at. All processes call the same methods.

    An error of that process is raised in all of them.

    Args:
      folder: of the first process; for the others it is a name.
      keep: see `Store`.
    """

    def __init__(self, folder: pathlib.Path, keep: int = 2) -> None:
        self.folder = folder
        self._store = Store(folder, keep)

    def steps(self) -> list[int]:
        """See `Store`."""
        return from_writer(self._store.steps)

    def save(
        self, step: int, items: Mapping[str, Sequence[tuple[str, np.ndarray]]], document: Mapping[str, Any], best: int
    ) -> None:
        """See `Store`; the items of the other processes are not read."""
        from_writer(lambda: self._store.save(step, items, document, best))

    def document(self, step: int) -> dict[str, Any]:
        """See `Store`."""
        return from_writer(lambda: self._store.document(step))

    def arrays(self, step: int, item: str, document: Mapping[str, Any]) -> list[tuple[str, np.ndarray]]:
        """See `Store`; the arrays are sent one by one."""
        read: list[tuple[str, np.ndarray]] = []

        def reading() -> None:
            read.extend(self._store.arrays(step, item, document))

        from_writer(reading)
        leaves = [Leaf(**{**each, "shape": tuple(each["shape"])}) for each in document["leaves"][item]]
        found = []
        for at, leaf in enumerate(leaves):
            array = read[at][1] if writes() else None
            found.append((leaf.path, spread(array, like=_Shape(leaf))))
        return found

    def drop_after(self, step: int) -> None:
        """See `Store`."""
        from_writer(lambda: self._store.drop_after(step))

    def close(self) -> None:
        """See `Store`. No process waits for another one here, since this also follows an error."""
        self._store.close()


class _Shape:
    """The shape and dtype of an array, without one."""

    def __init__(self, leaf: Leaf) -> None:
        self.shape, self.dtype = leaf.shape, np.dtype(leaf.dtype)
