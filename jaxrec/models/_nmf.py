"""Non-negative matrix factorization as a model: of who has what, for ranking, or of ratings, for predicting them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxrec._checks import check_kinds
from jaxrec._keys import key_from_data
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.factorization import masked_nmf, nmf, refit_scales
from jaxrec.factorization._common import Solver
from jaxrec.models._base import SolvedModel
from jaxrec.models._fold_in import NonNegativeUsers
from jaxrec.models._sizes import bound_sizes, user_item_block
from jaxrec.protocols import FoldIn, Loss, Solution, Task
from jaxrec.scorers import FactorScorer
from jaxrec.sparse import SparseOperator, from_entries, operator, spmm

if TYPE_CHECKING:
    from jaxrec.data import Interactions
    from jaxrec.training import TrainData

L2_OF_RATINGS = 0.14  # on a scale of 1 to 5


class NMF(SolvedModel, nn.Module):
    """Non-negative matrix factorization: score(u, i) = <w_u, h_i>, and no entry of w and h is negative.

    There are two objectives, and `objective_for` says which is used:

    - "all", for ranking: |X - W H|_F^2 + l2 (|W|_F^2 + |H|_F^2) over all U x I pairs, where X is R or R~. A pair that
      does not occur counts as 0. (The factorization of a whole adjacency has each component twice: once for the block
      of users and items, and once for its transpose.)
    - "observed", for ratings: sum over the rated pairs of (r - <w_u, h_i>)^2 + l2 (|w_u|^2 + |h_i|^2), then one number
      for each user and each item that takes the shrinkage of the scale back (`jaxrec.factorization.refit_scales`).
      Where the item has no rating, the score is the user's mean; where the user has none, it is the item's; where both
      have none, the mean of all. Scores are not clipped to the scale of the ratings.

    It has no parameters to train: `init` consumes a key for the random start, and the factors are solved when the
    scorer is made.

    Attributes:
      dim: d, the number of components, at most min(U, I).
      objective: "all", "observed", or "auto": "observed" where ratings are given, else "all".
      matrix: what "all" factorizes: "binary" for R, or "normalized" for R~, which counts active users and popular items
        less; R ranks better where popular items are often right.
      l2: the penalty; None for 0 with "all" and 0.14 with "observed", which is for ratings from 1 to 5. With "all" it
        acts like a threshold of the singular values of X: what is weaker than l2 vanishes, and width does no harm.
      iterations: at the most.
      tol: of the stopping rule, see `jaxrec.factorization`.
      solver: "cd" (coordinate descent) or "mu" (multiplicative updates, slower).
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: an option out of range, a width over min(U, I), a negative rating, "observed" without ratings.
      MismatchError: an adjacency or ratings of another size.

    Source: Lee and Seung, NIPS 2000; for ratings, Luo, Zhou, Xia and Zhu, IEEE Transactions on Industrial Informatics
    10(2), 2014.

    >>> from jaxrec.sparse import from_dense, operator
    >>> r = jnp.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> adjacency = operator(from_dense(jnp.block([[jnp.zeros((2, 2)), r], [r.T, jnp.zeros((3, 3))]])), symmetric=True)
    >>> model = NMF(dim=2, num_users=2, num_items=3)
    >>> scorer = model.apply(model.init(jax.random.key(0)), adjacency)
    >>> scorer.scores(jnp.array([0])).round(2).tolist()
    [[1.0, 1.0, 0.0]]
    """

    serves_new_users: ClassVar[bool] = True
    draws: ClassVar[bool] = True

    dim: int = 50
    objective: Literal["auto", "all", "observed"] = "auto"
    matrix: Literal["binary", "normalized"] = "binary"
    l2: float | None = None
    iterations: int = 50
    tol: float = 1e-4
    solver: Solver = "cd"
    num_users: int | None = None
    num_items: int | None = None

    def __post_init__(self) -> None:
        check_kinds(self, finite=False)
        for name in ("dim", "iterations"):
            if getattr(self, name) < 1:
                raise JaxrecError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("l2", "tol"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise JaxrecError(f"{name} must not be negative, got {value}")
        for name, choices in (
            ("objective", ("auto", "all", "observed")),
            ("matrix", ("binary", "normalized")),
            ("solver", ("cd", "mu")),
        ):
            if getattr(self, name) not in choices:
                raise JaxrecError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        super().__post_init__()

    def objective_for(self, *, rated: bool) -> Literal["all", "observed"]:
        """The objective that is used where ratings are given, or are not.

        >>> NMF().objective_for(rated=True), NMF().objective_for(rated=False)
        ('observed', 'all')
        """
        if self.objective == "observed" and not rated:
            raise JaxrecError('objective="observed" needs ratings, and none are given; use "all", or data with ratings')
        if self.objective == "auto":
            return "observed" if rated else "all"
        return self.objective

    def task(self, loss: Loss | None) -> Task:
        """Ratings where the objective says so, or where it is left open and the loss is of ratings."""
        rated = loss is not None and loss.task == "rating"
        return "rating" if self.objective == "observed" or (self.objective == "auto" and rated) else "ranking"

    def prepared(self, part: Interactions, task: Task) -> Any:
        """The model with its objective settled."""
        return self.clone(objective=self.objective_for(rated=task == "rating"))

    def solve(self, data: TrainData, key: jax.Array) -> Solution:
        """The solution for a settled objective; see `jaxrec.protocols.Solved`."""
        variables, ratings = self.init(key), None
        if self.objective == "observed":
            rating, user, item = (np.asarray(array) for array in (data.rating, data.user, data.item))
            ratings = operator(from_entries(rating, user, item, bound_sizes(self)))
        scorer = self.apply(variables, data.adjacency, ratings, method="scorer")
        return Solution(scorer, variables, {"objective": self.objective})

    def fold_in(self, variables: Any, scorer: Any, data: TrainData, task: Task) -> FoldIn:
        """The row w of a new user that minimizes the objective, with h as it was fitted; ratings need ratings."""
        rated = task == "rating"
        l2 = (L2_OF_RATINGS if rated else 0.0) if self.l2 is None else self.l2
        values, extra = _values(scorer, data.adjacency, normalized=not rated and self.matrix == "normalized")
        h = scorer.items[:, : self.dim]
        gram = None if rated else jnp.matmul(h.T, h, precision="highest")
        normalized = self.matrix == "normalized"
        return NonNegativeUsers(
            scorer.items, values, gram, jnp.float32(l2), extra, normalized, dim=self.dim, needs_ratings=rated
        )

    @nn.compact
    def __call__(self, adjacency: SparseOperator | None = None, ratings: SparseOperator | None = None) -> FactorScorer:
        """The scorer, from a normalized adjacency [N, N] and, for "observed", ratings [U, I].

        Without an adjacency only the start is drawn, as `init` does.
        """
        num_users, num_items = bound_sizes(self, adjacency)
        if self.dim > min(num_users, num_items):
            raise JaxrecError(
                f"dim must lie in 1..{min(num_users, num_items)} for {num_users} users and {num_items} items, "
                f"got {self.dim}"
            )
        key_data = self.variable("draw", "key", lambda: jax.random.key_data(self.make_rng("params")))
        if adjacency is None:
            if not self.is_initializing():
                raise MismatchError("NMF needs the adjacency [N, N] of the interactions, got None")
            zeros = jnp.zeros((num_users + num_items, self.dim), jnp.float32)
            return FactorScorer(zeros[:num_users], zeros[num_users:], dim=self.dim)
        key = key_from_data(key_data.value)
        objective = self.objective_for(rated=ratings is not None)
        if objective == "all":
            x = user_item_block(adjacency, num_users, binary=self.matrix == "binary")
            l2 = 0.0 if self.l2 is None else self.l2
            made = nmf(x, self.dim, key, solver=self.solver, max_iter=self.iterations, tol=self.tol, l2=l2)
            return FactorScorer(made.w, made.h.T, dim=self.dim)
        assert ratings is not None
        if tuple(ratings.shape) != (num_users, num_items):
            raise MismatchError(
                f"the ratings have shape {tuple(ratings.shape)}, but NMF has {num_users} users and {num_items} items"
            )
        l2 = L2_OF_RATINGS if self.l2 is None else self.l2
        made = masked_nmf(ratings, self.dim, key, solver=self.solver, max_iter=self.iterations, tol=self.tol, l2=l2)
        users, items = refit_scales(ratings, made.w, made.h)
        return FactorScorer(*_with_means(users, items.T, ratings), dim=self.dim)

    def scorer(self, adjacency: SparseOperator | None = None, ratings: SparseOperator | None = None) -> FactorScorer:
        """What ranking and prediction need of the model."""
        return self(adjacency, ratings)


@functools.partial(jax.jit, static_argnames="normalized")
def _values(scorer: FactorScorer, adjacency: SparseOperator, *, normalized: bool) -> tuple[jax.Array, jax.Array]:
    """The value of each item in a row of X [I], and the mean square of the products over the pairs of the data."""
    block = user_item_block(adjacency, scorer.num_users, binary=True)
    degrees = jnp.diff(block.T.indptr).astype(jnp.float32)
    values = jnp.where(degrees > 0, jax.lax.rsqrt(jnp.maximum(degrees, 1)), 0) if normalized else jnp.ones_like(degrees)
    w, h = scorer.users[:, : scorer.dim], scorer.items[:, : scorer.dim]
    # sum over pairs of <w_u, h_i>^2 = sum over components f, g of w_uf w_ug h_if h_ig, one sparse product for each f.
    squares = jax.lax.map(lambda one: jnp.sum(w * one[0][:, None] * spmm(block, h * one[1][:, None])), (w.T, h.T))
    return values, jnp.sum(squares) / jnp.maximum(jnp.sum(degrees), 1)


def _with_means(users: jax.Array, items: jax.Array, ratings: SparseOperator) -> tuple[jax.Array, jax.Array]:
    """The factors with two columns more: they give the mean where the user or the item has no rating.

    The factors of such users and items are 0. A user has the columns (0, own mean), or (1, 0) without ratings; an item
    has (own mean, 0), or (mean of all, 1) without ratings. So two that have ratings add 0 to their product.
    """
    overall = jnp.mean(ratings.data)

    def means(one: SparseOperator) -> tuple[jax.Array, jax.Array]:
        counts = jnp.diff(one.indptr).astype(one.data.dtype)
        sums = jax.ops.segment_sum(one.data, one.rows, one.shape[0], indices_are_sorted=True)
        return counts > 0, jnp.where(counts > 0, sums / jnp.maximum(counts, 1), overall)

    (user_known, user_mean), (item_known, item_mean) = means(ratings), means(ratings.T)
    user_unknown, item_unknown = (1 - known.astype(users.dtype) for known in (user_known, item_known))
    user_mean = jnp.where(user_known, user_mean, 0)  # else two unknown sides would get the mean twice
    return (
        jnp.concatenate([users, user_unknown[:, None], user_mean[:, None]], axis=1),
        jnp.concatenate([items, item_mean[:, None], item_unknown[:, None]], axis=1),
    )
