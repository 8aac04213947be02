"""A callback of one's own: the lengths of the embeddings after every epoch, in a file, and a stop when they explode.

jaxrec fit movielens-small --model mf --callbacks examples.extending.callback:EmbeddingNorms
"""

import dataclasses
import json
import pathlib

import numpy as np

from jaxrec.protocols import Callback


@dataclasses.dataclass(frozen=True)
class EmbeddingNorms(Callback):
    """Write a line of JSON for each epoch and member, with the mean length of the rows of each table.

    Vectors that grow without end say that the penalty is too small; vectors that shrink to 0, that it is too large.

    Attributes:
      path: the file; an old one is replaced when a stage of training starts.
      limit: a member stops when the mean length of a table exceeds it.
    """

    path: str = "norms.jsonl"
    limit: float = 100.0

    def start(self, stage):
        """Begin an empty file."""
        pathlib.Path(self.path).write_text("", encoding="utf-8")

    def __call__(self, event):
        """Measure, write, and say whether to stop."""
        tables = {name: np.asarray(table) for name, table in event.params().items() if table.ndim == 2}
        norms = {name: float(np.linalg.norm(table, axis=1).mean()) for name, table in tables.items()}
        with open(self.path, "a", encoding="utf-8") as file:
            print(json.dumps({"epoch": event.record.epoch, "member": event.member, **norms}), file=file)
        return max(norms.values(), default=0.0) > self.limit
