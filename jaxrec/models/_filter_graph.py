"""What graph filters are made of: interactions with degrees and vectors, and the parts of a scorer by their scales."""

from __future__ import annotations

import dataclasses
import functools
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxrec._checks import check_kinds
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.models._sizes import history_of, user_item_block
from jaxrec.parallel import Layout, MeshStep, ShardedMatrix, matrix_shapes, sharded_matrix
from jaxrec.parallel._mesh import on_host
from jaxrec.scorers import Band, FilterScorer, Lane, Series
from jaxrec.sparse import SparseOperator, from_entries, operator, spmm
from jaxrec.spectral import singular_triplets
from jaxrec.spectral._triplets import OVERSAMPLING, product_and_ritz

_GATHERED = 64  # columns of a block that a device gathers at a time: a block of all would be as large as one device's


@dataclasses.dataclass(frozen=True)
class InteractionGraph:
    """The interactions that a filter is made of.

    Attributes:
      history: the items of each user.
      interactions: R [U, I], binary.
      user_degrees: float32 [U], at least 1.
      item_degrees: float32 [I], at least 1.
      values: [k], the leading singular values of D_U^(-1/2) R D_I^(-1/2), or None.
      vectors: [I, k], the right singular vectors, or None.
      shared: D_U^(-1/2) R D_I^(-1/2) on several devices, or None.

    >>> from jaxrec.sparse import from_dense, operator
    >>> adjacency = operator(from_dense(jnp.array([[0, 0.7, 0.7], [0.7, 0, 0], [0.7, 0, 0]])), symmetric=True)
    >>> InteractionGraph.of(adjacency, 1).user_degrees.tolist()
    [2.0]
    """

    history: SeenItems
    interactions: SparseOperator
    user_degrees: jax.Array
    item_degrees: jax.Array
    values: jax.Array | None = None
    vectors: jax.Array | None = None
    shared: ShardedMatrix | None = None

    @staticmethod
    def of(adjacency: SparseOperator, num_users: int) -> InteractionGraph:
        """The graph of a normalized adjacency [N, N] of users and items, users first; without vectors."""
        block = user_item_block(adjacency, num_users, binary=True)
        return InteractionGraph(history_of(adjacency, num_users), block, *degrees_of(block))

    @staticmethod
    def of_pairs(user: np.ndarray, item: np.ndarray, shape: tuple[int, int]) -> InteractionGraph:
        """The graph of distinct pairs, int32 [E] each, sorted by user and item; without vectors."""
        block = operator(from_entries(np.ones(len(user), np.float32), user, item, shape))
        return InteractionGraph(SeenItems(block.indptr, block.columns), block, *degrees_of(block))

    def with_vectors(
        self, rank: int, tolerance: float, start: jax.Array | None = None, mesh: Mesh | None = None
    ) -> InteractionGraph:
        """The graph with `rank` singular vectors, or as many as there are; 0 for none.

        Args:
          rank: k.
          tolerance: see `jaxrec.spectral.singular_triplets`.
          start: [I, s], vectors to start from.
          mesh: of devices that share the rows of the matrix and of all blocks; the vectors come back as a whole.
        """
        if not rank:
            return self
        rank = min(rank, *self.interactions.shape)
        several = mesh is not None and mesh.size > 1
        with on_host(several):
            normalized = scaled(self.interactions, self.user_degrees**-0.5, self.item_degrees**-0.5)
        if start is not None and normalized.shape[0] < normalized.shape[1]:
            start = spmm(normalized, start)  # the iteration works on the smaller side
        # The vectors do not depend on the key of the fit, so neither does the model.
        key = jax.random.key(0)
        if mesh is None or not several:
            found = singular_triplets(normalized, rank, key, tolerance=tolerance, start=start)
            return dataclasses.replace(self, values=found.values, vectors=found.right)
        shared = sharded_matrix(normalized, _gathering(mesh, rank, min(normalized.shape)), mesh=mesh)
        del normalized
        found = singular_triplets(shared, rank, key, tolerance=tolerance, start=start)
        values, vectors = jnp.asarray(np.asarray(found.values)), jnp.asarray(shared.T.original(found.right))
        return dataclasses.replace(self, values=values, vectors=vectors, shared=shared)

    @functools.cached_property
    def left(self) -> jax.Array:
        """W [U, k], the left singular vectors; 0 for a singular value of 0."""
        assert self.vectors is not None
        assert self.values is not None
        if self.shared is not None:
            left = self._product(self.shared, self.vectors)
        else:
            left = spmm(self.interactions, self.vectors * (self.item_degrees**-0.5)[:, None])
            left = left * (self.user_degrees**-0.5)[:, None]
        return left * reciprocals(self.values)[None, :]

    def of_items(self, table: jax.Array) -> jax.Array:
        """R^T x [I, k] of a table x [U, k] of users."""
        if self.shared is None:
            return spmm(self.interactions.T, table)
        made = self._product(self.shared.T, table * (self.user_degrees**0.5)[:, None])
        return made * (self.item_degrees**0.5)[:, None]

    @staticmethod
    def _product(shared: ShardedMatrix, table: jax.Array) -> jax.Array:
        """A product on several devices, from a table as a whole to another one."""
        return jnp.asarray(shared.original(spmm(shared, shared.T.spread(table))))


def decomposition_step(users: int, items: int, entries: int, rank: int, mesh: Mesh) -> MeshStep | None:
    """What the singular vectors of a graph take on each device of a mesh; None for none.

    Args:
      users: U.
      items: I.
      entries: E, the interactions.
      rank: k.
      mesh: of the devices.

    >>> decomposition_step(100, 200, 1_000, 0, Layout().mesh()) is None
    True
    """
    if not rank:
        return None
    smaller = min(users, items)
    rank = min(rank, smaller)
    layout = _gathering(mesh, rank, smaller)
    matrix = matrix_shapes(users, items, entries, layout, mesh)
    near = matrix if users <= items else matrix.T
    block = near.table_shape(min(rank + OVERSAMPLING, smaller))
    what = "a step: one product of the block of vectors with the interactions and their transpose, and its Ritz vectors"
    return MeshStep(product_and_ritz, (near, block, block), what)


def _gathering(mesh: Mesh, rank: int, smaller: int) -> Layout:
    """The layout of a mesh, with as many blocks of columns as the vectors of a decomposition are gathered in."""
    width = min(rank + OVERSAMPLING, smaller)
    return Layout(rows=mesh.shape["rows"], columns=mesh.shape["columns"], blocks=-(-width // _GATHERED))


def degrees_of(block: SparseOperator) -> tuple[jax.Array, jax.Array]:
    """The numbers of entries of the rows and of the columns, float32, at least 1.

    >>> from jaxrec.sparse import from_dense, operator
    >>> [degrees.tolist() for degrees in degrees_of(operator(from_dense(jnp.array([[1.0, 1.0]]))))]
    [[2.0], [1.0, 1.0]]
    """
    rows, columns = (jnp.maximum(jnp.diff(one.indptr), 1).astype(jnp.float32) for one in (block, block.T))
    return rows, columns


def scaled(block: SparseOperator, rows: jax.Array, columns: jax.Array) -> SparseOperator:
    """The operator with each entry times the numbers of its row and of its column.

    >>> from jaxrec.sparse import from_dense, operator
    >>> scaled(operator(from_dense(jnp.array([[1.0, 1.0]]))), jnp.array([2.0]), jnp.array([3.0, 5.0])).data.tolist()
    [6.0, 10.0]
    """
    other = block.T
    back = (other.data * columns[other.rows] * rows[other.columns], other.stored_rows, other.columns, other.indptr)
    data = block.data * rows[block.rows] * columns[block.columns]
    return block.with_data(data, back)


def reciprocals(values: jax.Array) -> jax.Array:
    """1 / value, and 0 for values that are 0 but for rounding.

    >>> reciprocals(jnp.array([2.0, 1e-9])).tolist()
    [0.5, 0.0]
    """
    kept = values > 1e-4 * values[0]
    return jnp.where(kept, 1 / jnp.where(kept, values, 1), 0)


class FilterParts:
    """The parts of a `FilterScorer`, gathered from terms; equal scales are stored and multiplied once.

    >>> from jaxrec.sparse import from_dense, operator
    >>> adjacency = operator(from_dense(jnp.array([[0, 0.7, 0.7], [0.7, 0, 0], [0.7, 0, 0]])), symmetric=True)
    >>> parts = FilterParts(InteractionGraph.of(adjacency, 1))
    >>> parts.own(0.5), parts.own(0.0), parts.own(0.5)
    (0, 1, 0)
    """

    def __init__(self, graph: InteractionGraph) -> None:
        self.graph = graph
        self.lanes: list[Lane] = []
        self.bands: list[Band] = []
        self.series: list[Series] = []
        self._owns: dict[float, int] = {}
        self._scoreds: dict[float, int] = {}
        self._tables: list[jax.Array] = [] if graph.vectors is None else [graph.vectors]

    def own(self, exponent: float) -> int:
        """The place of the scale degree^-exponent of the items of a history."""
        return self._owns.setdefault(float(exponent), len(self._owns))

    def scored(self, exponent: float) -> int:
        """The place of the scale degree^-exponent of the scored items."""
        return self._scoreds.setdefault(float(exponent), len(self._scoreds))

    def table(self, vectors: jax.Array) -> int:
        """The place of a table [I, k]; 0 is that of the eigenvectors."""
        self._tables.append(vectors)
        return len(self._tables) - 1

    def gains(self, gains: jax.Array) -> jax.Array:
        """Gains of the first vectors, with 0 for the others; those that the graph does not have are left out."""
        assert self.graph.vectors is not None
        rank = self.graph.vectors.shape[1]
        gains = jnp.asarray(gains, jnp.float32)[:rank]
        return jnp.pad(gains, (0, rank - gains.shape[0]))

    def scorer(self) -> FilterScorer:
        """The scorer of the users of the graph."""
        scale = lambda exponent: self.graph.item_degrees ** jnp.float32(-exponent)  # noqa: E731
        return FilterScorer(
            self.graph.history,
            self.graph.interactions,
            tuple(map(scale, self._owns)),
            tuple(map(scale, self._scoreds)),
            tuple(self.lanes),
            tuple(self._tables) if self.bands else (),
            tuple(self.bands),
            tuple(self.series),
        )


@runtime_checkable
class FilterTerm(Protocol):
    """A term of a graph filter, hashable: how many vectors it needs, and how it becomes parts of a scorer.

    >>> from jaxrec.models import OneHop
    >>> isinstance(OneHop(), FilterTerm), isinstance("one hop", FilterTerm)
    (True, False)
    """

    @property
    def rank(self) -> int:
        """How many eigenvectors it needs; 0 for none."""
        ...

    def put(self, parts: FilterParts) -> None:
        """Add what the term is to the parts of a scorer."""
        ...


def filter_scorer(terms: tuple[FilterTerm, ...], graph: InteractionGraph) -> FilterScorer:
    """The scorer of the sum of the terms.

    >>> from jaxrec.models import OneHop
    >>> from jaxrec.sparse import from_dense, operator
    >>> adjacency = operator(from_dense(jnp.array([[0, 0.7, 0.7], [0.7, 0, 0], [0.7, 0, 0]])), symmetric=True)
    >>> filter_scorer((OneHop(), OneHop(scored=0.5)), InteractionGraph.of(adjacency, 1)).num_items
    2
    """
    parts = FilterParts(graph)
    for term in terms:
        term.put(parts)
    return parts.scorer()


def check_terms(terms: object, name: str = "terms") -> None:
    """Refuse what is no tuple of terms.

    Raises:
      JaxrecError: no term, or something else among them.

    >>> check_terms(())
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: terms is (); pass a tuple of at least one term, such as (OneHop(), LowPass())
    """
    if not isinstance(terms, tuple) or not terms:
        raise JaxrecError(f"{name} is {terms!r}; pass a tuple of at least one term, such as (OneHop(), LowPass())")
    for term in terms:
        if isinstance(term, type) or not isinstance(term, FilterTerm):
            raise JaxrecError(f"{name} has {term!r}, which is no term of a filter; see jaxrec.models.OneHop")
        check_kinds(term)
