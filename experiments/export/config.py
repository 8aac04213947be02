"""What is measured."""

from __future__ import annotations

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class Options:
    """Export a model, serve it in fresh processes without jaxrec, and compare its lists with those of `recommend`.

    Attributes:
      dataset: a data set with a published split.
      model: a name of the registry.
      dim: the width of the vectors of a trained model.
      epochs: of a trained model, so that the norms of the items differ as those of a trained model do.
      k: the length of the lists.
      users: lists that are compared.
      calls: calls for one user each that are timed, after as many that are not.
      index: whether an approximate index is exported and served too.
      out: the JSON file, or None.
    """

    dataset: str = "gowalla"
    model: str = "mf"
    dim: int = 64
    epochs: int = 1
    k: int = 20
    users: int = 3000
    calls: int = 300
    index: bool = False
    out: pathlib.Path | None = None
