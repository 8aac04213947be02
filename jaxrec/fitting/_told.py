"""What is told of data that can be fitted and may not mean what the caller thinks."""

from __future__ import annotations

import warnings

from jaxrec.data._interactions import Interactions
from jaxrec.protocols import Task


def tell_dislikes(part: Interactions, task: Task) -> None:
    """Warn where a model that ranks takes ratings of 0 or less for likings.

    A thumb down is often written as 0 or -1, and each interaction is a liking to a model that ranks.

    Args:
      part: what is fitted.
      task: what the model predicts.

    Warns:
      UserWarning: a rating of 0 or less, with a task of ranking.

    >>> tell_dislikes(Interactions.from_arrays([0], [0], [5.0]), "ranking")
    """
    if task != "ranking" or part.rating is None:
        return
    low = int((part.rating <= 0).sum())
    if low:
        warnings.warn(
            f"{low:,} of {len(part):,} interactions have a rating of 0 or less, and a model that ranks takes each for "
            "a liking; leave them out, for example with jaxrec.prepare(data, min_rating=1)",
            UserWarning,
            stacklevel=4,
        )
