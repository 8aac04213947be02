"""The scorer of graph filters: products with the Gram matrix of the interactions, for a tile of users at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxrec.data._seen import SeenItems
from jaxrec.pytrees import register, static
from jaxrec.scorers._histories import unit_columns, unit_sums
from jaxrec.scorers._likeness import Lane, lanes_at, likeness_for, vectors_at, weighed
from jaxrec.sparse import SparseOperator, spmm
from jaxrec.spectral._chebyshev import series

_TILE = 64  # users at a time


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

        if self.lanes:
            for scored, part in gram_products(self.interactions, history, users, self.owns, self.lanes).items():
                add(scored, part)
        if self.series:
            columns = unit_columns(history, users, self.num_items)
            for part in self.series:
                add(part.scored, _filtered(self.interactions, part, self.owns[part.own][:, None] * columns))
        for (scored, target), part in self._of_vectors(history, users).items():
            add(scored, self.tables[target] @ part.T)
        parts = [self.scoreds[scored][:, None] * part for scored, part in sorted(out.items())]
        return jax.tree.reduce(jnp.add, parts, jnp.zeros((self.num_items, users.shape[0]), jnp.float32))

    def at_items(
        self,
        history: SeenItems,
        users: jax.Array,
        items: jax.Array,
        alike: tuple[jax.Array, Sequence[tuple[int, Lane]]] | None = None,
    ) -> jax.Array:
        """Score chosen items (int32 [B, C]) of each user (int32 [B]) of a table of histories, [B, C].

        Args:
          history: the items of each user.
          users: int32 [B].
          items: int32 [B, C].
          alike: what `likeness_for` makes of the lanes, where that is known already.
        """
        if self.series:
            return jnp.take_along_axis(self.by_item(history, users).T, items, axis=1)
        scores = jnp.zeros(items.shape, jnp.float32)
        if self.lanes:
            made = alike or likeness_for(self.lanes, self.interactions, history, users, self.owns)
            for lane, part in zip(self.lanes, lanes_at(self.interactions, *made, items), strict=True):
                scores += self.scoreds[lane.scored][items] * part
        for (scored, target), part in self._of_vectors(history, users).items():
            at_items = vectors_at(self.tables[target], part[:, :, None], items)[:, :, 0]
            scores += self.scoreds[scored][items] * at_items
        return scores

    def _of_vectors(self, history: SeenItems, users: jax.Array) -> dict[tuple[int, int], jax.Array]:
        """What each table of vectors is multiplied with, [B, k], by (scale of scored items, table)."""
        used = sorted({band.own for band in self.bands})
        if not used:
            return {}
        sums = unit_sums(history, users, self.tables[0], tuple(self.owns[own] for own in used))
        out: dict[tuple[int, int], jax.Array] = {}
        for band in self.bands:
            place, part = (band.scored, band.target), sums[used.index(band.own)] * band.gains[None, :]
            out[place] = out[place] + part if place in out else part
        return out

    def factors(self) -> tuple[jax.Array, jax.Array]:
        """Vectors (users [U, w], items [I, w]) whose inner products are what the bands score."""
        tiles = -(-self.num_users // _TILE)
        everyone = jnp.minimum(jnp.arange(tiles * _TILE, dtype=jnp.int32), self.num_users - 1)
        made = jax.lax.map(lambda users: self._of_vectors(self.history, users), everyone.reshape(tiles, _TILE))
        parts = sorted(made.items())
        users = [part.reshape(tiles * _TILE, -1)[: self.num_users] for _, part in parts]
        items = [self.scoreds[scored][:, None] * self.tables[target] for (scored, target), _ in parts]
        return jnp.concatenate(users, axis=1), jnp.concatenate(items, axis=1)

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
    interactions: SparseOperator,
    history: SeenItems,
    users: jax.Array,
    owns: tuple[jax.Array, ...],
    lanes: tuple[Lane, ...],
) -> dict[int, jax.Array]:
    """The sums of the lanes [I, B] of users (int32 [B]) by their scale of scored items.

    >>> import numpy as np
    >>> from jaxrec.sparse import from_dense, operator
    >>> r, history = operator(from_dense(jnp.array([[1.0, 1.0]]))), SeenItems(np.array([0, 1]), np.array([0]))
    >>> gram_products(r, history, jnp.array([0]), (jnp.ones(2),), (Lane(jnp.ones(1), 0, 0, 2.0),))[0].tolist()
    [[1.0], [1.0]]
    """
    alike, placed = likeness_for(lanes, interactions, history, users, owns)
    together: dict[int, jax.Array] = {}
    for place, lane in placed:
        part = weighed(alike[:, :, place], lane)
        together[lane.scored] = together[lane.scored] + part if lane.scored in together else part
    return {scored: spmm(interactions.T, part.T) for scored, part in together.items()}


def _filtered(interactions: SparseOperator, part: Series, columns: jax.Array) -> jax.Array:
    def product(x: jax.Array) -> jax.Array:
        near = spmm(interactions, part.items[:, None] * x)
        smooth = part.items[:, None] * spmm(interactions.T, part.users[:, None] * near)
        return smooth + smooth - x

    return series(product, part.coefficients, columns)
