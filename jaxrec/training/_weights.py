"""Weights of interactions in the loss: rules that make them of times and ratings, and what makes them fit."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from jaxrec._checks import number
from jaxrec.data._interactions import Interactions
from jaxrec.data._times import UNITS
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.protocols import Weights
from jaxrec.pytrees import is_number, options, static

_DAY = 86_400  # seconds

TimeUnit = Literal["s", "ms", "us", "ns"]


@options
class TimeDecay(Weights):
    """Older interactions weigh less: w = 2^(-(t_last - t) / half_life), with t_last the newest time that is trained on.

    Attributes:
      half_life: the days after which the weight has halved.
      time_unit: of the timestamps, "s", "ms", "us" or "ns"; None takes what the data say.

    Raises:
      JaxrecError: a half-life that is not positive, an unknown unit.

    References:
      Ding and Li, Time Weight Collaborative Filtering, CIKM 2005, equation 5.

    >>> data = Interactions.from_arrays([0, 0], [0, 1], timestamp=[0, 10 * 86_400])
    >>> TimeDecay(half_life=5, time_unit="s")(data)
    array([0.25, 1.  ])
    """

    half_life: float = 180.0
    time_unit: TimeUnit | None = static(default=None)

    def __post_init__(self) -> None:
        if is_number(self.half_life):
            number("half_life", self.half_life, 0, above=True)
        if self.time_unit not in (None, *UNITS):
            raise JaxrecError(f"time_unit must be one of {', '.join(UNITS)}, got {self.time_unit!r}")

    def __call__(self, part: Interactions) -> np.ndarray:
        """The weights, float64 [E].

        Raises:
          JaxrecError: no timestamps, or of a unit that nobody says.
        """
        if part.timestamp is None:
            raise JaxrecError("TimeDecay weighs by time, and the data have no timestamps; leave weights out")
        unit = self.time_unit or part.time_unit
        if unit is None:
            raise JaxrecError(
                "TimeDecay has a half-life in days, and the data do not say the unit of their timestamps; pass "
                "time_unit='s' for seconds"
            )
        days = (part.timestamp.max() - part.timestamp) / (UNITS[unit] * _DAY)
        return np.exp2(-days / float(self.half_life))


@options
class RatingConfidence(Weights):
    """Higher ratings or counts weigh more: w = 1 + alpha r.

    Attributes:
      alpha: how fast the confidence grows with the rating.

    Raises:
      JaxrecError: an alpha that is negative or not finite.

    References:
      Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008, section 4.

    >>> RatingConfidence(alpha=2.0)(Interactions.from_arrays([0, 0], [0, 1], [1, 3]))
    array([3., 7.])
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        if is_number(self.alpha):
            number("alpha", self.alpha, 0)

    def __call__(self, part: Interactions) -> np.ndarray:
        """The weights, float64 [E].

        Raises:
          JaxrecError: no ratings, or negative ones.
        """
        if part.rating is None:
            raise JaxrecError("RatingConfidence weighs by rating, and the data have none; leave weights out")
        if (part.rating < 0).any():
            raise JaxrecError(
                f"RatingConfidence takes ratings of 0 and more, and the lowest is {part.rating.min():g}; leave those "
                "out, for example with jaxrec.prepare(data, min_rating=0)"
            )
        return 1 + float(self.alpha) * part.rating.astype(np.float64)


@dataclasses.dataclass(frozen=True)
class Weighed:
    """Weights that were checked and divided by their mean, with the sentence that says what was done.

    Attributes:
      values: float32 [E], 1 on average.
      note: the sentence.

    >>> Weighed(np.ones(2, np.float32), "weights given").values.tolist()
    [1.0, 1.0]
    """

    values: np.ndarray
    note: str


def weights_of(values: object, size: int, what: str) -> Weighed:
    """Check weights, and divide them by their mean, so that learning rate and penalty mean what they mean without.

    Args:
      values: [E], finite, not negative, not all 0.
      size: E.
      what: they are, such as a rule, for messages and the note.

    Raises:
      MismatchError: another number of weights.
      JaxrecError: no numbers, or values out of range.

    >>> weights_of([1, 3], 2, "weights given").values.tolist()
    [0.5, 1.5]
    """
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise JaxrecError(f"{what}: weights must be numbers, got {type(values).__name__}") from None
    if array.shape != (size,):
        raise MismatchError(f"{what}: weights have shape {array.shape}, expected ({size},), one for each interaction")
    bad = ~np.isfinite(array) | (array < 0)
    if bad.any():
        at = int(np.argmax(bad))
        raise JaxrecError(f"{what}: weights must be finite and not negative, and weights[{at}] is {array[at]}")
    if not array.any():
        raise JaxrecError(f"{what}: all weights are 0, so there is nothing to learn from")
    # By the largest first: the sum of very large ones is infinite.
    scaled = array / array.max()
    scaled = (scaled / scaled.mean()).astype(np.float32)
    spread = f"{scaled.min():.4g} to {scaled.max():.4g}"
    return Weighed(scaled, f"{what}: {spread} after division by their mean")
