"""Graph filters: a user's history, filtered by the graph of interactions, in closed form."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxrec._checks import check_kinds
from jaxrec.errors import JaxrecError
from jaxrec.models._base import SolvedModel
from jaxrec.models._filter_graph import (
    FilterTerm,
    InteractionGraph,
    check_terms,
    decomposition_step,
    filter_scorer,
)
from jaxrec.models._filter_terms import LowPass, OneHop
from jaxrec.models._sizes import bound_sizes
from jaxrec.parallel import MeshStep
from jaxrec.protocols import Solution
from jaxrec.scorers import FilterScorer
from jaxrec.sparse import SparseOperator

if TYPE_CHECKING:
    from jaxrec.training import TrainData


class GraphFilter(SolvedModel, nn.Module):
    """A filter of the graph of interactions: score(u, .) = sum over the terms of term(h_u), with h_u the history of u.

    Nothing is trained. The default is a product with the Gram matrix plus an ideal low-pass filter, as in GF-CF, with
    exponents of the degrees of its own. Scores are computed for a tile of users at a time from their histories, so no
    array of users times items is made, and a new user gets lists from what the history says.

    On several devices (`jaxrec.fit(..., mesh=4)`) these share the rows of the interactions and of the singular vectors
    while these are computed; filters without vectors have nothing to share. The scorer is of no mesh.

    | filter | terms |
    |---|---|
    | linear | `OneHop()` |
    | ideal low-pass | `LowPass()` |
    | GF-CF | `OneHop(scored=0.5)`, `LowPass(weight=0.3, rank=256, scored=-0.5)` |
    | ChebyCF | `ChebyshevSeries(response=Plateau(2.0))`, and `LowPass` |
    | like BSPM | `ChebyshevSeries(response=Sharpened(0.3), order=2)`, and `LowPass` |
    | all users, by squared cosine | `OneHop(own=0.0, power=2.0)` |
    | both sides | `LowPass()`, `UserLowPass()` |

    Attributes:
      terms: what the filter is the sum of; see `OneHop`, `LowPass`, `Bands`, `UserLowPass`, `ChebyshevSeries`.
      tolerance: of the singular vectors, see `jaxrec.spectral.singular_triplets`; ranking needs two or three digits.
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: no term, something else among the terms, a tolerance that is not positive.

    References:
      Shen et al., How powerful is graph convolution for recommendation?, CIKM 2021 (GF-CF).
      Choi et al., Blurring-sharpening process models for collaborative filtering, SIGIR 2023.
      Kim et al., Graph spectral filtering with Chebyshev interpolation for recommendation, SIGIR 2025 (ChebyCF).

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1, 1, 2], ["a", "b", "b", "c", "c"])
    >>> fitted = jaxrec.fit(GraphFilter(terms=(OneHop(), LowPass(rank=2))), data, key=jax.random.key(0))
    >>> jaxrec.recommend(fitted, history=["a"], k=1)["new"][0].item
    'b'
    """

    serves_new_users: ClassVar[bool] = True
    mesh_axes: ClassVar[tuple[str, ...]] = ("rows",)

    terms: tuple[FilterTerm, ...] = dataclasses.field(default=(OneHop(), LowPass()), metadata={"objects": "term"})
    tolerance: float = 3e-3
    num_users: int | None = None
    num_items: int | None = None

    def __post_init__(self) -> None:
        check_kinds(self, finite=False)
        check_terms(self.terms)
        if not self.tolerance > 0:
            raise JaxrecError(f"tolerance must be positive, got {self.tolerance}")
        super().__post_init__()

    def response(self, eigenvalues: jax.Array) -> jax.Array:
        """The gain of each frequency, the sum of those of the terms, which filter P and so do not see the sign.

        Args:
          eigenvalues: [n] of A~, descending, with each its negative.

        Raises:
          JaxrecError: a term that is no linear filter, or has no `gain_of`.

        >>> model = GraphFilter(terms=(OneHop(), LowPass(rank=1, weight=0.5)))
        >>> model.response(jnp.array([1.0, 0.5, -0.5, -1.0])).tolist()
        [1.5, 0.25, 0.25, 1.5]
        """
        size = eigenvalues.shape[0]
        smooth = eigenvalues[: -(-size // 2)] ** 2
        total = jnp.zeros_like(smooth)
        for term in self.terms:
            gain_of: Any = getattr(term, "gain_of", None)
            if not callable(gain_of):
                raise JaxrecError(f"the term {term!r} has no gain_of, so the filter has no response to show")
            total += jnp.asarray(gain_of(smooth))
        place = np.arange(size)
        return total[np.minimum(place, size - 1 - place)]

    def solve(self, data: TrainData, key: jax.Array, mesh: Mesh | None = None) -> Solution:
        """The solution, see `jaxrec.protocols.Solved`; the devices of a mesh share the rows of the decomposition."""
        return Solution(self.apply({}, data.adjacency, mesh, method="scorer"), {})

    def mesh_step(self, entries: int, mesh: Mesh) -> MeshStep | None:
        """What the decomposition repeats on a mesh, see `jaxrec.models.SolvedModel`."""
        return decomposition_step(*bound_sizes(self), entries, self._rank, mesh)

    @property
    def _rank(self) -> int:
        return max(term.rank for term in self.terms)

    def scorer(self, adjacency: SparseOperator, mesh: Mesh | None = None) -> FilterScorer:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What ranking needs of the model."""
        return self(adjacency) if mesh is None else self(adjacency, mesh)

    def __call__(self, adjacency: SparseOperator, mesh: Mesh | None = None) -> FilterScorer:
        """The scorer, from a normalized adjacency [N, N]."""
        num_users, _ = bound_sizes(self, adjacency)
        graph = InteractionGraph.of(adjacency, num_users).with_vectors(self._rank, self.tolerance, mesh=mesh)
        return filter_scorer(self.terms, graph)
