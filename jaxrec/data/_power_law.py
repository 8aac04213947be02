"""Power laws with communities: who is how active, and which item is how popular with whom."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from jaxrec._checks import number, whole

_STEEPNESS = 1000.0
_DIGITS = 8  # of a text id at least


@dataclasses.dataclass(frozen=True)
class PowerLaw:
    """The degree-corrected block model of two sides, with power laws within each community.

    Of the n users, or items, of a community the j-th most active has the share

        theta_j = integral of g from j/n to (j+1)/n,    g(x) proportional to (1 + 1000 x)^(-1 / (exponent - 1)),

    so the number of nodes with d interactions falls as d^(-exponent), up to about 30 times (exponent 2.5) or 50 times
    (2.2) the mean, as on MovieLens and Gowalla. A user of community r and an item of community s meet by

        omega[r, s] = ((1 - mixing) [r = s] + mixing / C) / C.

    Node k is of community k mod C, before the ids are shuffled. With one community it is Chung and Lu's graph.

    Attributes:
      communities: C, each with a share of the users and of the items.
      mixing: the share of interactions whose item is of any community: 0 keeps to the user's own, 1 has no communities.
      user_exponent: of the users' power law, above 1.
      item_exponent: of the items' power law, above 1.

    References:
      Karrer and Newman, Stochastic blockmodels and community structure in networks, Physical Review E 83, 2011,
      equation 2. Chung and Lu, The average distances in random graphs with given expected degrees, PNAS 99, 2002.

    >>> PowerLaw(communities=4).mixing
    0.3
    """

    communities: int = 16
    mixing: float = 0.3
    user_exponent: float = 2.5
    item_exponent: float = 2.2

    def __post_init__(self) -> None:
        whole("communities", self.communities, 1)
        number("mixing", self.mixing, 0, 1)
        for name in ("user_exponent", "item_exponent"):
            number(name, getattr(self, name), 1, above=True)


@dataclasses.dataclass(frozen=True)
class Side:
    """The users or the items.

    Attributes:
      name: "user" or "item".
      nodes: how many.
      communities: C.
      exponent: of the power law.
      shift: a number from the key, which shuffles the ids.

    >>> side = Side("user", 10, 2, 2.5, 7)
    >>> ids = side.drawn(np.array([1, 1]), np.array([0.0, 0.9999]))
    >>> side.communities_of(ids).tolist(), side.labels(ids, texts=False).tolist() == ids.tolist()
    ([1, 1], True)
    """

    name: str
    nodes: int
    communities: int
    exponent: float
    shift: int

    @property
    def _factor(self) -> int:
        """A number that shares no divisor with `nodes`, so that a product modulo `nodes` shuffles the ids."""
        factor = int(self.nodes * 0.618) | 1
        while math.gcd(factor, self.nodes) != 1:
            factor += 1
        return factor

    def drawn(self, community: np.ndarray, share: np.ndarray) -> np.ndarray:
        """The id of a node of each community, by a share of its interactions in [0, 1); int32 [n]."""
        power = 1 - 1 / (self.exponent - 1)
        top = math.log1p(_STEEPNESS)  # of the logarithm, the limit where the power is 0
        if abs(power) < 1e-9:
            place = np.expm1(share * top) / _STEEPNESS
        else:
            place = ((1 + share * math.expm1(power * top)) ** (1 / power) - 1) / _STEEPNESS
        size = (self.nodes - 1 - community) // self.communities + 1
        rank = np.minimum((place * size).astype(np.int64), size - 1)
        node = rank * self.communities + community
        return ((node * self._factor + self.shift) % self.nodes).astype(np.int32)

    def communities_of(self, ids: np.ndarray) -> np.ndarray:
        """The community of each id, int32 [n]."""
        back = pow(self._factor, -1, self.nodes)
        return ((ids.astype(np.int64) - self.shift) % self.nodes * back % self.nodes % self.communities).astype(
            np.int32
        )

    def texts(self, ids: np.ndarray) -> np.ndarray:
        """The characters of "user-00000007", uint8 [n, length]: the texts sort as the numbers do."""
        digits, start = max(_DIGITS, len(str(self.nodes - 1))), len(self.name) + 1
        out = np.empty((len(ids), start + digits), np.uint8)
        out[:, :start] = np.frombuffer(f"{self.name}-".encode(), np.uint8)
        rest = ids.astype(np.int64)
        for place in range(digits - 1, -1, -1):
            out[:, start + place] = rest % 10 + ord("0")
            rest = rest // 10
        return out

    def labels(self, ids: np.ndarray, texts: bool) -> np.ndarray:
        """The ids as a caller has them: int64 [n], or texts."""
        if not texts:
            return ids.astype(np.int64)
        characters = self.texts(ids)
        return characters.astype(np.uint32).view(f"U{characters.shape[1]}")[:, 0]
