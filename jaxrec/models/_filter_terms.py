"""The terms that a graph filter is the sum of, as objects of options, and the responses of a series."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.models._filter_graph import FilterParts, reciprocals
from jaxrec.pytrees import is_number, options, static
from jaxrec.scorers import Band, Lane, Series
from jaxrec.spectral import chebyshev_coefficients, chebyshev_response

__all__ = ["Bands", "ChebyshevSeries", "LowPass", "OneHop", "Plateau", "Sharpened", "UserLowPass"]


@options
class OneHop:
    """A product with the Gram matrix: weight D_I^-scored R^T D_U^-users (R D_I^-own h)^power.

    h is the history of the user as a vector of length 1, and D_U and D_I hold the degrees, the numbers of interactions
    of users and items. With power 1 it is the linear filter, from items to items by way of the users who have both. It
    is then the same whether one calls it item-based or user-based. The power acts on the likeness of the user to every
    other, so 2 makes it neighbors by the squared likeness, all of them.

    Attributes:
      weight: of the term.
      users: exponent of the degrees of users; 1 divides what a user hands on by the number of items.
      own: exponent of the degrees of the items that the user has.
      scored: exponent of the degrees of the items that are scored; with 0.5, and the others as they are, it is the
        normalized Gram matrix P, and less ranks popular items higher.
      power: of the likeness of two users; another one is another program.

    >>> OneHop(scored=0.5)
    OneHop(weight=1.0, users=1.0, own=0.5, scored=0.5, power=1.0)
    """

    weight: float = 1.0
    users: float = 1.0
    own: float = 0.5
    scored: float = 0.2
    power: float = static(default=1.0)

    def __post_init__(self) -> None:
        _check_finite(self, ("weight", "users", "own", "scored", "power"))
        if not self.power > 0:
            raise JaxrecError(f"power must be above 0, got {self.power}")

    @property
    def rank(self) -> int:
        """It needs no vectors."""
        return 0

    def gain_of(self, eigenvalues: jax.Array) -> jax.Array:
        """The gains of eigenvalues [n] of P, descending, up to the exponents of degrees.

        Raises:
          JaxrecError: another power than 1, which no gains describe.
        """
        if self.power != 1:
            raise JaxrecError(f"OneHop with power {self.power:g} is no linear filter and has no response")
        return self.weight * eigenvalues

    def put(self, parts: FilterParts) -> None:
        """One lane."""
        users = self.weight * parts.graph.user_degrees ** jnp.float32(-self.users)
        parts.lanes.append(Lane(users, parts.own(self.own), parts.scored(self.scored), self.power))


@options
class LowPass:
    """The ideal low-pass filter: weight D_I^-scored V V^T D_I^-own h, with V the leading eigenvectors of P.

    P = D_I^(-1/2) R^T D_U^(-1) R D_I^(-1/2), and its leading eigenvectors are the right singular vectors of
    D_U^(-1/2) R D_I^(-1/2). With own 0.5 and scored -0.5 it is that of GF-CF.

    Attributes:
      weight: of the term.
      rank: k, how many vectors pass.
      own: exponent of the degrees of the items that the user has.
      scored: exponent of the degrees of the items that are scored; less than 0 ranks popular items higher.

    >>> LowPass(rank=64).scored
    -0.2
    """

    weight: float = 0.4
    rank: int = static(default=512)
    own: float = 0.5
    scored: float = -0.2

    def __post_init__(self) -> None:
        _check_finite(self, ("weight", "own", "scored"))
        _check_rank(self.rank)

    def gain_of(self, eigenvalues: jax.Array) -> jax.Array:
        """The gains of eigenvalues [n] of P, descending, up to the exponents of degrees."""
        return _first(eigenvalues, self.rank) * self.weight

    def put(self, parts: FilterParts) -> None:
        """One band, of equal gains."""
        gains = parts.gains(jnp.full(self.rank, self.weight, jnp.float32))
        parts.bands.append(Band(gains, parts.own(self.own), parts.scored(self.scored)))


@options
class UserLowPass:
    """The ideal low-pass filter of the graph of users: weight D_I^-scored R^T D_U^-users W W^T r.

    W are the left singular vectors of D_U^(-1/2) R D_I^(-1/2), and W^T r the coordinates of the user, which follow from
    the history. With users 0.5 and scored 0.5 it is `LowPass` with own 0.5 and scored 0; other exponents differ.

    Attributes:
      weight: of the term.
      rank: k, how many vectors pass.
      users: exponent of the degrees of the users whose items are summed.
      scored: exponent of the degrees of the items that are scored.

    >>> UserLowPass(rank=64).users
    0.5
    """

    weight: float = 0.4
    rank: int = static(default=512)
    users: float = 0.5
    scored: float = 0.3

    def __post_init__(self) -> None:
        _check_finite(self, ("weight", "users", "scored"))
        _check_rank(self.rank)

    def gain_of(self, eigenvalues: jax.Array) -> jax.Array:
        """The gains of eigenvalues [n] of P, descending, up to the exponents of degrees."""
        return _first(eigenvalues, self.rank) * self.weight

    def put(self, parts: FilterParts) -> None:
        """One band, whose items have what their users' vectors sum to."""
        graph = parts.graph
        assert graph.values is not None
        weighted = graph.left * (graph.user_degrees ** jnp.float32(-self.users))[:, None]
        table = parts.table(graph.of_items(weighted))
        # The coordinates of a history: its vector of length 1 is n^(-1/2) h, as is the row of the matrix.
        gains = parts.gains(jnp.full(self.rank, self.weight, jnp.float32)) * reciprocals(graph.values)
        parts.bands.append(Band(gains, parts.own(0.5), parts.scored(self.scored), table))


@options
class Bands:
    """A response in steps: D_I^-scored V diag(g) V^T D_I^-own h, with a gain for each band of eigenvectors of P.

    Attributes:
      gains: one for each band.
      ends: where each band ends, ascending: band b has the vectors from ends[b - 1] to ends[b] - 1, counted from 0.
      own: exponent of the degrees of the items that the user has.
      scored: exponent of the degrees of the items that are scored.

    Raises:
      JaxrecError: no band, ends that do not ascend, or another number of gains.

    >>> Bands(gains=(1.0, 0.5), ends=(16, 64)).rank
    64
    """

    gains: tuple[float, ...] = (1.0,)
    ends: tuple[int, ...] = static(default=(512,))
    own: float = 0.5
    scored: float = -0.2

    def __post_init__(self) -> None:
        _check_finite(self, ("own", "scored"))
        ends = self.ends
        if not ends or any(type(end) is not int or end < 1 for end in ends) or list(ends) != sorted(set(ends)):
            raise JaxrecError(f"ends is {ends}; pass whole numbers of at least 1 that ascend, such as (16, 64)")
        if isinstance(self.gains, (tuple, list)) and len(self.gains) != len(ends):
            raise JaxrecError(f"gains has {len(self.gains)} numbers and ends {len(ends)}; pass one gain for each band")
        for gain in self.gains if isinstance(self.gains, (tuple, list)) else ():
            if isinstance(gain, str) or (is_number(gain) and not math.isfinite(gain)):
                raise JaxrecError(f"gains has {gain!r}; pass a finite number for each band")

    @property
    def rank(self) -> int:
        """How many vectors have a gain."""
        return self.ends[-1]

    def gain_of(self, eigenvalues: jax.Array) -> jax.Array:
        """The gains of eigenvalues [n] of P, descending, up to the exponents of degrees."""
        band = jnp.searchsorted(jnp.asarray(self.ends), jnp.arange(eigenvalues.shape[0]), side="right")
        return jnp.asarray((*self.gains, 0.0), eigenvalues.dtype)[band]

    def put(self, parts: FilterParts) -> None:
        """One band of a scorer, with a gain for each vector."""
        widths = np.diff(self.ends, prepend=0)
        gains = jnp.repeat(jnp.asarray(self.gains, jnp.float32), widths, total_repeat_length=self.rank)
        parts.bands.append(Band(parts.gains(gains), parts.own(self.own), parts.scored(self.scored)))


@options
class Plateau:
    """The response of ChebyCF: h(s) = (1 + t^f) / 2 for t = 2 s - 1 >= 0, and (1 - (-t)^f) / 2 below.

    s in 0..1 is the eigenvalue of P, 1 the smoothest. The greater f, the wider is the plateau at 1/2.

    Attributes:
      flatness: f.

    >>> Plateau(2.0)(jnp.array([0.0, 0.5, 1.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    flatness: float = 2.0

    def __post_init__(self) -> None:
        if is_number(self.flatness) and not self.flatness > 0:
            raise JaxrecError(f"flatness must be above 0, got {self.flatness}")

    def __call__(self, eigenvalues: jax.Array) -> jax.Array:
        """The gains of eigenvalues [n] in 0..1."""
        t = 2 * eigenvalues - 1
        size = jnp.abs(t)
        # A power of 0 has no finite gradient in the exponent.
        raised = jnp.where(size > 0, jnp.where(size > 0, size, 1) ** self.flatness, 0)
        return (1 + jnp.sign(t) * raised) / 2


@options
class Sharpened:
    """Blurring and then sharpening, as in BSPM: h(s) = s (1 - a s), one Euler step of each.

    s in 0..1 is the eigenvalue of P. Sharpening takes off what is smoothest, so that the middle gains.

    Attributes:
      amount: a, of the sharpening.

    >>> Sharpened(0.5)(jnp.array([0.0, 0.5, 1.0])).tolist()
    [0.0, 0.375, 0.5]
    """

    amount: float = 0.3

    def __call__(self, eigenvalues: jax.Array) -> jax.Array:
        """The gains of eigenvalues [n] in 0..1."""
        return eigenvalues * (1 - self.amount * eigenvalues)


@options
class ChebyshevSeries:
    """A polynomial of P without its eigenvectors: weight D_I^-scored h(P) D_I^-own h, h as a Chebyshev series.

    It takes two products with the interactions for each order, so it costs as much as that many `OneHop`.

    Attributes:
      weight: of the term.
      response: from eigenvalues [n] of P, in 0..1, to gains [n]: `Plateau`, `Sharpened`, or a pytree of your own.
      order: degree of the polynomial; static.
      own: exponent of the degrees of the items that the user has.
      scored: exponent of the degrees of the items that are scored.

    >>> ChebyshevSeries(response=Sharpened(0.3), order=2).order
    2
    """

    weight: float = 1.0
    response: Any = dataclasses.field(default=Plateau(), metadata={"object": "response"})
    order: int = static(default=8)
    own: float = 0.5
    scored: float = 0.2

    def __post_init__(self) -> None:
        _check_finite(self, ("weight", "own", "scored"))
        if self.order < 1:
            raise JaxrecError(f"order must be at least 1, got {self.order}")
        if not callable(self.response):
            raise JaxrecError(f"response is {self.response!r}; pass a function of eigenvalues, such as Plateau(2.0)")

    @property
    def rank(self) -> int:
        """It needs no vectors."""
        return 0

    def gain_of(self, eigenvalues: jax.Array) -> jax.Array:
        """The gains of eigenvalues [n] of P, descending, up to the exponents of degrees: those of the series."""
        coefficients = self.weight * chebyshev_coefficients(self.response, self.order, (0.0, 1.0))
        return chebyshev_response(coefficients, eigenvalues, (0.0, 1.0))

    def put(self, parts: FilterParts) -> None:
        """One series; the eigenvalues of P lie in 0..1."""
        coefficients = self.weight * chebyshev_coefficients(self.response, self.order, (0.0, 1.0))
        graph = parts.graph
        scales = 1 / graph.user_degrees, graph.item_degrees**-0.5
        parts.series.append(Series(coefficients, *scales, parts.own(self.own), parts.scored(self.scored)))


def _first(eigenvalues: jax.Array, rank: int) -> jax.Array:
    """1 for the first eigenvalues, and 0 for the others."""
    return (jnp.arange(eigenvalues.shape[0]) < rank).astype(eigenvalues.dtype)


def _check_finite(term: Any, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(term, name)
        if is_number(value) and not math.isfinite(value):
            raise JaxrecError(f"{type(term).__name__}: {name} must be finite, got {value}")


def _check_rank(rank: int) -> None:
    if rank < 1:
        raise JaxrecError(f"rank must be at least 1, got {rank}")
