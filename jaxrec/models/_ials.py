"""Implicit ALS: vectors by alternating exact least squares over all pairs, with weights of confidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxrec._checks import check_kinds
from jaxrec._keys import key_from_data
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.factorization import implicit_als
from jaxrec.factorization._implicit import check_penalties, refuse_penalties, solve_rows
from jaxrec.models._base import SolvedModel
from jaxrec.models._sizes import bound_sizes, user_item_block
from jaxrec.parallel import MeshStep
from jaxrec.protocols import FoldIn, Histories, Solution, Task
from jaxrec.pytrees import options, register
from jaxrec.scorers import FactorScorer
from jaxrec.sparse import SparseOperator, from_entries, operator

if TYPE_CHECKING:
    from jaxrec.training import TrainData


@options
class LinearConfidence:
    """Weights of confidence that grow with the rating or count r: c = base + slope r.

    Attributes:
      slope: per unit of r.
      base: the weight at r = 0.

    Source: Hu, Koren and Volinsky, ICDM 2008, section 4, where base is 1 and slope 40.

    >>> LinearConfidence(slope=0.5)(jnp.array([0.0, 4.0])).tolist()
    [1.0, 3.0]
    """

    slope: float = 1.0
    base: float = 1.0

    def __call__(self, rating: jax.Array) -> jax.Array:
        """The weights of pairs with these ratings, [E] to [E]."""
        return self.base + self.slope * rating


@options
class LogConfidence:
    """Weights of confidence that grow with the logarithm of the count r: c = base + slope log(1 + r / unit).

    Attributes:
      slope: of the logarithm.
      unit: the count from which the growth slows down.
      base: the weight at r = 0.

    Source: Hu, Koren and Volinsky, ICDM 2008, equation 6.

    >>> LogConfidence(slope=2.0, unit=1.0)(jnp.array([0.0, 1.0])).round(1).tolist()
    [1.0, 2.4000000953674316]
    """

    slope: float = 1.0
    unit: float = 1.0
    base: float = 1.0

    def __post_init__(self) -> None:
        if not self.unit > 0:
            raise JaxrecError(f"unit must be positive, got {self.unit}")

    def __call__(self, rating: jax.Array) -> jax.Array:
        """The weights of pairs with these counts, [E] to [E]."""
        return self.base + self.slope * jnp.log1p(rating / self.unit)


class IALS(SolvedModel, nn.Module):
    r"""Implicit ALS: score(u, i) = n_i^e <p_u, q_i>, with the p and q of the least squared error over all pairs.

    .. math:: \sum_{(u, i) \in S} c_{ui} (1 - \langle p_u, q_i \rangle)^2 + \alpha \sum_{u, i} \langle p_u, q_i
        \rangle^2 + \sum_u \lambda_u |p_u|^2 + \sum_i \lambda_i |q_i|^2, \qquad \lambda_u = \lambda (n_u + \alpha I)^\nu

    Each half of an iteration is solved exactly (`jaxrec.factorization.implicit_als`). A new user gets the p of the same
    equation. It has no parameters to train: `init` consumes a key for the random start, and the vectors are solved when
    the scorer is made.

    The larger the data, the lower the best alpha: with .1 on 40,000 items nothing but popularity is left. The wider the
    vectors, the lower the best l2. Settings for Gowalla and Yelp2018 are in `experiments/ials`.

    Attributes:
      dim: d.
      unobserved: alpha, the weight of every pair, whether it occurs or not; usually between .001 and 1. None for
        300 / sqrt(U I), at most .3, which `experiments/ials` has figures of.
      l2: lambda, above 0.
      frequency: nu; 0 penalizes all vectors alike, 1 those of active users and popular items more.
      iterations: how many.
      power_iterations: of the singular vectors that the users start near; 0 starts with random values.
      degree_exponent: e; above 0, popular items rank higher than the inner product says.
      confidence: c of a rating or count, such as `LinearConfidence()`, and any other frozen dataclass object that maps
        ratings to weights; None for 1 for all pairs that occur, whatever their ratings.
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: an option out of range, confidence without ratings, weights that are negative.

    Source: Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008; Rendle, Krichene,
    Zhang and Koren, Revisiting the Performance of iALS on Item Recommendation Benchmarks, RecSys 2022, for the form of
    the objective and the penalties.

    >>> from jaxrec.sparse import from_dense
    >>> r = jnp.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> adjacency = operator(from_dense(jnp.block([[jnp.zeros((2, 2)), r], [r.T, jnp.zeros((3, 3))]])), symmetric=True)
    >>> model = IALS(dim=2, unobserved=0.01, l2=0.001, num_users=2, num_items=3)
    >>> scorer = model.apply(model.init(jax.random.key(0)), adjacency)
    >>> jnp.abs(scorer.scores(jnp.array([0]))).round(1).tolist()
    [[1.0, 1.0, 0.0]]
    """

    serves_new_users: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    mesh_axes: ClassVar[tuple[str, ...]] = ("rows",)

    dim: int = 64
    unobserved: float | None = None
    l2: float = 0.01
    frequency: float = 1.0
    iterations: int = 10
    power_iterations: int = 1
    degree_exponent: float = 0.0
    confidence: Callable[[jax.Array], jax.Array] | None = dataclasses.field(
        default=None, metadata={"flag": None, "choice": "confidence"}
    )
    num_users: int | None = None
    num_items: int | None = None

    def __post_init__(self) -> None:
        check_kinds(self)
        for name in ("dim", "iterations"):
            if getattr(self, name) < 1:
                raise JaxrecError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.power_iterations < 0:
            raise JaxrecError(f"power_iterations must be at least 0, got {self.power_iterations}")
        if self.unobserved is None and self.num_users is not None and self.num_items is not None:
            object.__setattr__(self, "unobserved", unobserved_for(self.num_users, self.num_items))
        refuse_penalties(0.0 if self.unobserved is None else self.unobserved, self.l2, self.frequency)
        if self.confidence is not None and not (
            callable(self.confidence) and dataclasses.is_dataclass(self.confidence)
        ):
            raise JaxrecError(
                f"confidence must be None or a frozen dataclass object that maps ratings to weights, such as "
                f"jaxrec.models.LinearConfidence(), got {self.confidence!r}"
            )
        super().__post_init__()

    def solve(self, data: TrainData, key: jax.Array, mesh: Mesh | None = None) -> Solution:
        """The solution, see `jaxrec.protocols.Solved`; the devices of a mesh share the rows of users and items."""
        variables, weights = self.init(key), None
        if self.confidence is not None:
            if data.rating is None:
                raise JaxrecError(
                    "confidence needs ratings or counts, and the data has none; leave confidence out, or read the data "
                    "with the column of ratings or counts"
                )
            made = np.asarray(self.confidence(data.rating), np.float32)
            weights = operator(from_entries(made, np.asarray(data.user), np.asarray(data.item), bound_sizes(self)))
        return Solution(self.apply(variables, data.adjacency, weights, mesh, method="scorer"), variables)

    def mesh_step(self, entries: int, mesh: Mesh) -> MeshStep:
        """Half an iteration, see `jaxrec.models.SolvedModel`."""
        from jaxrec.factorization._implicit_mesh import half_iteration

        return half_iteration(*bound_sizes(self), entries, self.dim, mesh)

    def fold_in(self, variables: Any, scorer: Any, data: TrainData, task: Task) -> FoldIn:
        """The p of a new user that minimizes the objective, with q as it was fitted."""
        scale = _powers(data.adjacency, scorer.num_users, self.degree_exponent)
        vectors = scorer.items / scale[:, None]
        assert self.unobserved is not None
        penalties = check_penalties(self.unobserved, self.l2, self.frequency)
        return ImplicitUsers(scorer.items, vectors, jnp.sum(jnp.square(vectors), axis=0), penalties, self.confidence)

    @nn.compact
    def __call__(
        self,
        adjacency: SparseOperator | None = None,
        weights: SparseOperator | None = None,
        mesh: Mesh | None = None,
    ) -> FactorScorer:
        """The scorer, from a normalized adjacency [N, N] and, where pairs differ, their weights c [U, I].

        Without an adjacency only the start is drawn, as `init` does.
        """
        num_users, num_items = bound_sizes(self, adjacency)
        assert self.unobserved is not None
        key_data = self.variable("draw", "key", lambda: jax.random.key_data(self.make_rng("params")))
        if adjacency is None:
            if not self.is_initializing():
                raise MismatchError("IALS needs the adjacency [N, N] of the interactions, got None")
            zeros = jnp.zeros((num_users + num_items, self.dim), jnp.float32)
            return FactorScorer(zeros[:num_users], zeros[num_users:], dim=self.dim)
        if weights is not None and tuple(weights.shape) != (num_users, num_items):
            raise MismatchError(
                f"the weights have shape {tuple(weights.shape)}, but IALS has {num_users} users and {num_items} items"
            )
        made = implicit_als(
            user_item_block(adjacency, num_users, binary=True) if weights is None else weights,
            self.dim,
            key_from_data(key_data.value),
            unobserved=self.unobserved,
            l2=self.l2,
            frequency=self.frequency,
            iterations=self.iterations,
            power_iterations=self.power_iterations,
            mesh=mesh,
        )
        items = made.items * _powers(adjacency, num_users, self.degree_exponent)[:, None]
        return FactorScorer(made.users, items, dim=self.dim)

    def scorer(
        self,
        adjacency: SparseOperator | None = None,
        weights: SparseOperator | None = None,
        mesh: Mesh | None = None,
    ) -> FactorScorer:
        """What ranking and prediction need of the model."""
        return self(adjacency, weights, mesh)


def unobserved_for(num_users: int, num_items: int) -> float:
    """The weight alpha of every pair where none is given: 300 / sqrt(U I), at most .3.

    >>> unobserved_for(659, 2_078), round(unobserved_for(29_858, 40_981), 4)
    (0.2564, 0.0086)
    """
    return round(min(300 / max(num_users * num_items, 1) ** 0.5, 0.3), 4)


def _powers(adjacency: SparseOperator, num_users: int, exponent: float) -> jax.Array:
    """n_i^e for all items [I]; 1 for an item that nobody has."""
    counts = jnp.diff(adjacency.indptr[num_users:]).astype(jnp.float32)
    return jnp.maximum(counts, 1) ** exponent


@register
@dataclasses.dataclass(frozen=True)
class ImplicitUsers:
    """Users whose vector is the exact minimum of the objective of `IALS`, given what they have.

    Attributes:
      items: [I, d], as the scorer ranks them.
      vectors: [I, d], as they were fitted, in their eigenbasis.
      spectrum: [d], the eigenvalues of their Gram matrix.
      penalties: (alpha, lambda, nu), scalars.
      confidence: of a rating, or None; static.

    >>> one = jnp.ones((1, 1))
    >>> fold_in = ImplicitUsers(one, one, jnp.ones(1), check_penalties(0.0, 0.5, 0.0), None)
    >>> f"{fold_in(Histories(jnp.array([[0]]), jnp.array([[True]]))).users.item():.3f}"  # 1 / (1 + .5)
    '0.667'
    """

    items: jax.Array
    vectors: jax.Array
    spectrum: jax.Array
    penalties: tuple[jax.Array, ...]
    confidence: Any = dataclasses.field(metadata={"static": True})

    @property
    def needs_ratings(self) -> bool:
        """Whether histories must have ratings."""
        return self.confidence is not None

    def __call__(self, histories: Histories) -> FactorScorer:
        """The scorer of the B users."""
        return _folded(self, histories)


@jax.jit
def _folded(fold_in: ImplicitUsers, histories: Histories) -> FactorScorer:
    weight = histories.where.astype(jnp.float32)
    if fold_in.confidence is not None:
        weight = jnp.where(histories.where, fold_in.confidence(histories.rating), 0)
    count = jnp.sum(histories.where, axis=1, dtype=jnp.float32)
    others = jnp.float32(fold_in.items.shape[0])
    vectors = fold_in.vectors[histories.item]
    users = solve_rows(vectors, weight, fold_in.spectrum, count, others, fold_in.penalties)
    return FactorScorer(users, fold_in.items, dim=fold_in.items.shape[1])
