"""The scorer of graph filters: products with the Gram matrix of the interactions, for a tile of users at a time."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxrec.data._seen import SeenItems
from jaxrec.pytrees import register, static
from jaxrec.scorers._histories import unit_columns, unit_sums
from jaxrec.sparse import SparseOperator, spmm
from jaxrec.spectral._chebyshev import series

_TILE = 64  # users at a time


@register
@dataclasses.dataclass(frozen=True)
class Lane:
    """One product R^T W (R D h)^power of a history with the interactions; D is `owns[own]`, W the weights of users.

    Attributes:
      users: [V], what each fitted user counts.
      own: which scale of the user's own items; static.
      scored: which scale of the scored items; static.
      power: of the likeness of two users; static.

    >>> Lane(jnp.ones(3), own=0, scored=0).power
    1.0
    """

    users: jax.Array
    own: int = static()
    scored: int = static()
    power: float = static(default=1.0)


@register
@dataclasses.dataclass(frozen=True)
class Band:
    """One product A diag(gains) B^T D h with vectors of the spectrum.

    Attributes:
      gains: [k], of each vector.
      own: which scale of the user's own items; static.
      scored: which scale of the scored items; static.
      target: which table of vectors A is; static. B is the first one.

    >>> Band(jnp.ones(2), own=0, scored=0).target
    0
    """

    gains: jax.Array
    own: int = static()
    scored: int = static()
    target: int = static(default=0)


@register
@dataclasses.dataclass(frozen=True)
class Series:
    """A Chebyshev series of 2 P - I, with P = D^(-1/2) R^T W R D^(-1/2), applied to D' h.

    Attributes:
      coefficients: [order + 1].
      users: [V], the diagonal of W, the reciprocals of the degrees.
      items: [I], the diagonal of D^(-1/2).
      own: which scale of the user's own items; static.
      scored: which scale of the scored items; static.

    >>> Series(jnp.ones(2), jnp.ones(3), jnp.ones(4), own=0, scored=0).scored
    0
    """

    coefficients: jax.Array
    users: jax.Array
    items: jax.Array
    own: int = static()
    scored: int = static()


@register
@dataclasses.dataclass(frozen=True)
class FilterScorer:
    """Scores as a filtered history: the sum of lanes, bands and series, each with a scale of the scored items.

    h is the history of the user as a vector of length 1. What the parts share is computed once: the products R D h by
    their scale of own items, and all that goes to items by their scale of scored items.

    Attributes:
      history: the items of each user who is scored.
      interactions: R [V, I], binary, of the users that were fitted on.
      owns: scales of the items of a history, each [I].
      scoreds: scales of the scored items, each [I].
      lanes: products with the Gram matrix.
      tables: vectors, each [I, k]; none where there are no bands.
      bands: products with them.
      series: polynomials of P.

    >>> from jaxrec.sparse import from_dense, operator
    >>> r = operator(from_dense(jnp.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])))
    >>> ones = (jnp.ones(3),)
    >>> scorer = FilterScorer(SeenItems(jnp.array([0, 1]), jnp.array([1])), r, ones, ones, (Lane(jnp.ones(2), 0, 0),))
    >>> scorer.scores(jnp.array([0])).tolist()
    [[1.0, 2.0, 1.0]]
    """

    history: SeenItems
    interactions: SparseOperator
    owns: tuple[jax.Array, ...]
    scoreds: tuple[jax.Array, ...]
    lanes: tuple[Lane, ...] = ()
    tables: tuple[jax.Array, ...] = ()
    bands: tuple[Band, ...] = ()
    series: tuple[Series, ...] = ()

    @property
    def num_users(self) -> int:
        """The number of users of `history`."""
        return self.history.num_users

    @property
    def num_items(self) -> int:
        """I."""
        return self.interactions.shape[1]

    def scores(self, users: jax.Array) -> jax.Array:
        """Score all items for users (int32 [B]), [B, I]."""
        return self.by_item(self.history, users).T

    def by_item(self, history: SeenItems, users: jax.Array) -> jax.Array:
        """Score all items for users (int32 [B]) of a table of histories, [I, B]."""
        out: dict[int, jax.Array] = {}

        def add(scored: int, part: jax.Array) -> None:
            out[scored] = out[scored] + part if scored in out else part

        if self.lanes or self.series:
            columns = unit_columns(history, users, self.num_items)
            for scored, part in gram_products(self.interactions, columns, self.owns, self.lanes).items():
                add(scored, part)
            for part in self.series:
                add(part.scored, _filtered(self.interactions, part, self.owns[part.own][:, None] * columns))
        if self.bands:
            sums = unit_sums(history, users, self.tables[0], self.owns)
            for (scored, target), part in _by_target(self.bands, sums).items():
                add(scored, self.tables[target] @ part.T)
        parts = [self.scoreds[scored][:, None] * part for scored, part in sorted(out.items())]
        return jax.tree.reduce(jnp.add, parts, jnp.zeros((self.num_items, users.shape[0]), jnp.float32))

    def factors(self) -> tuple[jax.Array, jax.Array]:
        """Vectors (users [U, w], items [I, w]) whose inner products are what the bands score."""
        tiles = -(-self.num_users // _TILE)
        everyone = jnp.minimum(jnp.arange(tiles * _TILE, dtype=jnp.int32), self.num_users - 1)
        by_tile = lambda users: unit_sums(self.history, users, self.tables[0], self.owns)  # noqa: E731
        sums = jnp.moveaxis(jax.lax.map(by_tile, everyone.reshape(tiles, _TILE)), 1, 0)
        sums = sums.reshape(len(self.owns), tiles * _TILE, -1)[:, : self.num_users]
        parts = sorted(_by_target(self.bands, sums).items())
        items = [self.scoreds[scored][:, None] * self.tables[target] for (scored, target), _ in parts]
        return jnp.concatenate([part for _, part in parts], axis=1), jnp.concatenate(items, axis=1)

    def pair_scores(self, users: jax.Array, items: jax.Array) -> jax.Array:
        """Score the pairs of users (int32 [B]) and items (int32 [B]), [B]."""
        return jnp.take_along_axis(self.scores(users), items[:, None], axis=1)[:, 0]

    def with_history(self, history: SeenItems) -> FilterScorer:
        """The scorer for users with these items, also for those who were not fitted on."""
        return dataclasses.replace(self, history=jax.tree.map(jnp.asarray, history))

    def similarities(self, items: jax.Array) -> jax.Array:
        """Score all items for a user who has one of the items (int32 [B]) alone, [B, I]."""
        alone = SeenItems(jnp.arange(items.shape[0] + 1, dtype=jnp.int32), items)
        return self.by_item(alone, jnp.arange(items.shape[0], dtype=jnp.int32)).T


def gram_products(
    interactions: SparseOperator, columns: jax.Array, owns: tuple[jax.Array, ...], lanes: tuple[Lane, ...]
) -> dict[int, jax.Array]:
    """The sums of the lanes [I, B] by their scale of scored items, from histories [I, B].

    >>> from jaxrec.sparse import from_dense, operator
    >>> r = operator(from_dense(jnp.array([[1.0, 1.0]])))
    >>> gram_products(r, jnp.array([[1.0], [0.0]]), (jnp.ones(2),), (Lane(jnp.ones(1), 0, 0, 2.0),))[0].tolist()
    [[1.0], [1.0]]
    """
    alike = {own: spmm(interactions, owns[own][:, None] * columns) for own in sorted({lane.own for lane in lanes})}
    together: dict[int, jax.Array] = {}
    for lane in lanes:
        part = lane.users[:, None] * raised(alike[lane.own], lane.power)
        together[lane.scored] = together[lane.scored] + part if lane.scored in together else part
    return {scored: spmm(interactions.T, part) for scored, part in together.items()}


def raised(likeness: jax.Array, power: float) -> jax.Array:
    """A power of numbers that are not negative; the first and the second are products.

    >>> raised(jnp.array([3.0]), 2.0).tolist()
    [9.0]
    """
    if power == 1:
        return likeness
    return jnp.square(likeness) if power == 2 else likeness ** jnp.float32(power)


def _by_target(bands: tuple[Band, ...], sums: jax.Array) -> dict[tuple[int, int], jax.Array]:
    """What each table of vectors is multiplied with, [B, k], by (scale of scored items, table)."""
    out: dict[tuple[int, int], jax.Array] = {}
    for band in bands:
        place, part = (band.scored, band.target), sums[band.own] * band.gains[None, :]
        out[place] = out[place] + part if place in out else part
    return out


def _filtered(interactions: SparseOperator, part: Series, columns: jax.Array) -> jax.Array:
    def product(x: jax.Array) -> jax.Array:
        near = spmm(interactions, part.items[:, None] * x)
        smooth = part.items[:, None] * spmm(interactions.T, part.users[:, None] * near)
        return smooth + smooth - x

    return series(product, part.coefficients, columns)
