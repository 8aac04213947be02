"""What a request may take at the most, and how it is refused."""

from __future__ import annotations

import dataclasses

from jaxrec.errors import JaxrecError
from jaxrec.ranking._topk import SHORT_LIST


class Refused(JaxrecError):
    """A request that gets no answer but one sentence.

    Attributes:
      status: of the response, 4xx or 503.

    >>> Refused("unknown run 'a'; the runs are mf", 404).status
    404
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Limits:
    """The largest requests that are answered.

    Attributes:
      body_bytes: of a body, by its Content-Length and as it comes.
      query_bytes: of the part of an address after the question mark.
      header_bytes: of all headers together.
      body_seconds: until a body is whole.
      history: items of a basket.
      exclude: items that are excluded.
      candidates: items that alone may be recommended.
      found: users or items that a search gives.
      search: letters that are searched for.
      k: places of a list; longer ones would go through another program.
      waiting: requests that wait for the models; more are told to come again.

    >>> Limits().k
    64
    """

    body_bytes: int = 256 * 1024
    query_bytes: int = 8192
    header_bytes: int = 16 * 1024
    body_seconds: float = 10.0
    history: int = 256
    exclude: int = 1000
    candidates: int = 10_000
    found: int = 50
    search: int = 200
    k: int = SHORT_LIST
    waiting: int = 1024

    def __post_init__(self) -> None:
        if not 1 <= self.k <= SHORT_LIST:
            raise JaxrecError(
                f"k must lie in 1..{SHORT_LIST}, the longest list of the program of few users, got {self.k}"
            )
        for field in dataclasses.fields(self):
            if not getattr(self, field.name) > 0:
                raise JaxrecError(f"{field.name} must be above 0, got {getattr(self, field.name)!r}")
