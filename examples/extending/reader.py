"""A reader of one's own: reviews as lines of JSON, as the Amazon data sets have them.

jaxrec fit reviews.jsonl --format examples.extending.reader:ReviewLines --model mf
"""

import dataclasses
import json

import jaxrec
from jaxrec.errors import DataError
from jaxrec.protocols import Reader


@dataclasses.dataclass(frozen=True)
class ReviewLines(Reader):
    """One JSON object a line, with a user, an item, a rating, and a time in seconds.

    Attributes:
      user: the key of the user; by default this and the others are those of the Amazon reviews of 2023.
      item: the key of the item.
      rating: the key of the rating.
      time: the key of the time.
    """

    user: str = "user_id"
    item: str = "parent_asin"
    rating: str = "rating"
    time: str = "timestamp"

    def reads(self, name, start):
        """Whether the name ends in .jsonl and the first line has the key of the user."""
        return name.endswith(".jsonl") and f'"{self.user}"'.encode() in start.partition(b"\n")[0]

    def __call__(self, path):
        """The interactions, in the order of the file."""
        rows = []
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    review = json.loads(line)
                    rows.append([review[key] for key in (self.user, self.item, self.rating, self.time)])
                except (ValueError, KeyError, TypeError) as error:
                    raise DataError(f"{path}, line {number}: no review ({error!r}); correct or remove it") from None
        return jaxrec.from_arrays(*zip(*rows, strict=True))
