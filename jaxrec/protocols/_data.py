"""Readers of files, processes that read one together, splitters, and recipes of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import jax
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from jaxrec.data import Interactions
    from jaxrec.data.splitting import Split


class Reader(Protocol):
    """A file format: an object that turns a file into interactions.

    >>> import pathlib, tempfile
    >>> import jaxrec
    >>> class Arrows(Reader):
    ...     def reads(self, name, start):
    ...         return name.endswith(".arrows")
    ...
    ...     def __call__(self, path):
    ...         return jaxrec.from_arrays(*zip(*(line.split(" -> ") for line in path.read_text().splitlines())))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "likes.arrows")
    ...     _ = path.write_text("ann -> heat\\nbo -> jaws\\n")
    ...     jaxrec.read(path, format=Arrows()).counts()
    {'users': 2, 'items': 2, 'interactions': 2}
    """

    def reads(self, name: str, start: bytes) -> bool:
        """Whether a file is of this format, for `format="auto"` once the reader has a name; by default no.

        Args:
          name: of the file, without its folder.
          start: its first bytes, at most 65,536, after gzip.
        """
        return False

    def __call__(self, path: Path) -> Interactions:
        """Read a file that exists.

        Raises:
          DataError: the file is not of this format.
        """
        ...


class ProcessGroup(Protocol):
    """Processes that make the same calls in the same order: `jaxrec.parallel.Processes()` is those of one mesh.

    >>> import numpy as np
    >>> class Alone(ProcessGroup):
    ...     process, count = 0, 1
    ...
    ...     def gather(self, arrays):
    ...         return [dict(arrays)]
    >>> Alone().gather({"user": np.array([7])})
    [{'user': array([7])}]
    """

    @property
    def process(self) -> int:
        """The number of this process, from 0."""
        ...

    @property
    def count(self) -> int:
        """How many processes there are."""
        ...

    def gather(self, arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        """The arrays of every process, in the order of the processes; all must ask.

        Args:
          arrays: of one dimension, of any length, of numbers or NumPy texts.
        """
        ...


class Recipe(Protocol):
    """What chooses a model for a split and fits it, by a word of `jaxrec fit --model`: a frozen dataclass of options.

    `jaxrec.fitting.Auto` is one; an entry point of the group "jaxrec.recipe" adds others.

    >>> import dataclasses
    >>> import jaxrec
    >>> @dataclasses.dataclass(frozen=True)
    ... class ByCatalog(Recipe):
    ...     most: int = 10_000
    ...
    ...     def __call__(self, split, *, key, refit=True, on_try=None):
    ...         model = jaxrec.EASE(l2=5.0) if split.train.num_items <= self.most else jaxrec.ItemKNN()
    ...         return jaxrec.fit(model, split, refit=refit, key=key)
    >>> data = jaxrec.from_arrays([0] * 10 + [1] * 10, [*range(10), *range(5, 15)])
    >>> split = jaxrec.split(data, "user_random", key=jax.random.key(0))
    >>> ByCatalog()(split, key=jax.random.key(0)).name
    'ease'
    """

    def __call__(self, split: Split, *, key: jax.Array, refit: Any = True, on_try: Any = None) -> Any:
        """Choose and fit.

        Args:
          split: that decides.
          key: consumed.
          refit: as in `jaxrec.fit`.
          on_try: told of each model that is tried, as an object whose `str` is shown; or None.

        Returns:
          A `jaxrec.fitting.FittedModel`.
        """
        ...


class Splitter(Protocol):
    """A rule for the held-out interactions. A frozen dataclass with its options.

    >>> import dataclasses
    >>> import jaxrec
    >>> from jaxrec.data.splitting import Split
    >>> @dataclasses.dataclass(frozen=True)
    ... class LastRows(Splitter):
    ...     test: int = 1
    ...
    ...     def __call__(self, data, key):
    ...         train, test = data.select(slice(None, -self.test)), data.select(slice(-self.test, None))
    ...         return Split(train, data.select([]), test, "last_rows")
    >>> parts = jaxrec.split(jaxrec.from_arrays([1, 1, 2], [5, 6, 5]), LastRows(test=1))
    >>> {name: len(part) for name, part in parts.parts().items()}
    {'train': 2, 'valid': 0, 'test': 1}
    """

    def __call__(self, data: Interactions, key: jax.Array | None) -> Split:
        """Split interactions.

        Args:
          data: E interactions.
          key: consumed; None for `jax.random.key(0)`.
        """
        ...

    def rounds(self) -> tuple[Splitter, ...]:
        """The splits of a cross-validation, one splitter each; by default this one alone."""
        return (self,)
