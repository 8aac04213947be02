"""Vectors of new users by regularized least squares: the default of every model whose scores are inner products."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError
from jaxrec.models._fold_in import summed
from jaxrec.models._sizes import user_item_block
from jaxrec.protocols import Histories, Task, VectorScorer
from jaxrec.pytrees import register, static
from jaxrec.scorers import FactorScorer
from jaxrec.sparse import SparseOperator, spmm

NOISE, UNOBSERVED = 0.1, 0.3


@register
@dataclasses.dataclass(frozen=True)
class LeastSquaresUsers:
    r"""Users whose vector is the best guess from their items, given how the vectors of the fitted users are spread.

    .. math:: \min_p \sum_{i \in N} (t_i - s_i)^2 + w \sum_{i} (t_0 - s_i)^2 + \sigma^2 (p - m)^T C^{-1} (p - m)

    with s_i = <p, q_i> plus the biases of the item. m and C are the mean and the covariance of the fitted users'
    vectors. To rank, t is the mean score of the fitted pairs, t_0 that of all pairs, and sigma^2 is the noise times
    (t - t_0)^2, so nothing depends on the scale of the scores. For ratings, t_i is the rating, w is 0, and sigma^2 is
    the noise times the variance of the scores of all pairs.

    Attributes:
      items: [I, w], the vectors of the items.
      implicit: [I, m], or None; (n)^(-1/2) times their sum over the items is added to the mean, as in SVD++.
      mean: [m], of the fitted users' vectors, but for the columns that are 1 for all.
      root: [m, m], the symmetric root of C. What is solved for is z with p = m + root z, so C may be singular.
      gram: [m, m], sigma^2 I, and w times the sum over all items of x_i x_i^T with x_i = root q_i.
      cross: [m, m], w times the sum over all items of x_i q_i^T.
      pull: [m], w times the sum over all items of (t_0 - b_i) x_i.
      target: scalar, t.
      dim: d, static.
      needs_ratings: static.
      rated: whether ratings are the targets where there are some; static.

    References:
      Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM 2008, equation 4, for the
      users' step with the unobserved items; Salakhutdinov and Mnih, Bayesian Probabilistic Matrix Factorization, ICML
      2008, for the Gaussian prior of the vectors.
    """

    items: jax.Array
    implicit: jax.Array | None
    mean: jax.Array
    root: jax.Array
    gram: jax.Array
    cross: jax.Array
    pull: jax.Array
    target: jax.Array
    dim: int = static()
    needs_ratings: bool = static(default=False)
    rated: bool = static(default=False)

    def __call__(self, histories: Histories) -> FactorScorer:
        """The scorer of the B users."""
        if not self.rated:
            histories = histories._replace(rating=None)
        return _solved(self, histories)


@jax.jit
def _solved(fold_in: LeastSquaresUsers, histories: Histories) -> FactorScorer:
    free = fold_in.mean.shape[0]
    where = histories.where.astype(jnp.float32)
    vectors = fold_in.items[histories.item]
    q, bias = vectors[:, :, :free] * where[:, :, None], jnp.sum(vectors[:, :, free:], axis=2)
    mean = jnp.broadcast_to(fold_in.mean[None], (where.shape[0], free))
    if fold_in.implicit is not None:
        count = jnp.maximum(jnp.sum(where, axis=1, keepdims=True), 1)
        mean = mean + jax.lax.rsqrt(count) * summed(fold_in.implicit, histories)
    users = mean
    if not fold_in.rated or histories.rating is not None:
        sums = functools.partial(jnp.einsum, precision="highest")
        value = fold_in.target if histories.rating is None else histories.rating
        residual = (value - bias) * where - sums("blf,bf->bl", q, mean)
        x = sums("blf,fg->blg", q, fold_in.root)
        right = sums("blf,bl->bf", x, residual) + fold_in.pull[None] - sums("fg,bg->bf", fold_in.cross, mean)
        factor = jax.scipy.linalg.cho_factor(sums("blf,blg->bfg", x, x) + fold_in.gram[None])
        solved = jax.scipy.linalg.cho_solve(factor, right[:, :, None])[:, :, 0]
        users = mean + sums("bf,fg->bg", solved, fold_in.root)
    ones = jnp.ones((users.shape[0], vectors.shape[2] - free), users.dtype)
    return FactorScorer(jnp.concatenate([users, ones], axis=1), fold_in.items, dim=fold_in.dim)


def least_squares(
    name: str,
    scorer: object,
    adjacency: SparseOperator,
    task: Task,
    *,
    fixed: int = 0,
    implicit: jax.Array | None = None,
    centered: bool = True,
    noise: float = NOISE,
    unobserved: float = UNOBSERVED,
) -> LeastSquaresUsers:
    """Prepare least squares for a fitted scorer.

    Args:
      name: of the model, for the message.
      scorer: of the fitted model, with vectors.
      adjacency: A~ [N, N] of what was fitted on.
      task: what the model predicts.
      fixed: how many of the last columns are 1 for every user, and hold biases of the items.
      implicit: see the class; it is taken from the fitted users' vectors before their mean and covariance.
      centered: False takes 0 for m, whatever the mean of the fitted users.
      noise: see the class.
      unobserved: w, the weight of an item that the user does not have, where the model ranks.

    Raises:
      JaxrecError: a scorer without vectors.

    >>> import jaxrec
    >>> from jaxrec.training import train_data
    >>> data = train_data(jaxrec.from_arrays([0, 0, 1], [0, 1, 1]))
    >>> scorer = FactorScorer(jnp.array([[1.0], [3.0]]), jnp.array([[1.0], [2.0]]), dim=1)
    >>> least_squares("MF", scorer, data.adjacency, "ranking").target.item()  # of the scores 1, 2 and 6
    3.0
    """
    if not isinstance(scorer, VectorScorer):
        raise JaxrecError(
            f"{name} cannot serve new users: its scores are no inner products of vectors, and it has no fold_in of its "
            "own; fit it again with these users, or use lightgcn, mf, ease or itemknn"
        )
    plain = FactorScorer(scorer.users, scorer.items, dim=scorer.dim)
    if not noise > 0 or not unobserved >= 0:
        raise JaxrecError(
            f"fold_in_noise must be positive and fold_in_unobserved not negative, got {noise}, {unobserved}"
        )
    made = _prepared(plain, adjacency, implicit, noise, unobserved, fixed=fixed, rated=task == "rating")
    made = made if centered else dataclasses.replace(made, mean=jnp.zeros_like(made.mean))
    return made if implicit is None else dataclasses.replace(made, needs_ratings=False)


@functools.partial(jax.jit, static_argnames=("fixed", "rated"))
def _prepared(
    scorer: FactorScorer,
    adjacency: SparseOperator,
    implicit: jax.Array | None,
    noise: jax.Array,
    unobserved: jax.Array,
    *,
    fixed: int,
    rated: bool,
) -> LeastSquaresUsers:
    num_users, width = scorer.num_users, scorer.items.shape[1]
    free = width - fixed
    block = user_item_block(adjacency, num_users, binary=True)
    degrees = jnp.diff(block.indptr).astype(jnp.float32)
    fitted = (degrees > 0).astype(jnp.float32)[:, None]
    had = (jnp.diff(block.T.indptr) > 0).astype(jnp.float32)[:, None]
    q, bias = scorer.items[:, :free], jnp.sum(scorer.items[:, free:], axis=1)
    num_fitted, num_had = jnp.maximum(jnp.sum(fitted), 1), jnp.maximum(jnp.sum(had), 1)
    # The mean score of the fitted pairs, from one sparse product.
    pairs = jnp.sum(scorer.users * spmm(block, scorer.items)) / jnp.maximum(jnp.sum(degrees), 1)
    users_mean = jnp.sum(scorer.users * fitted, axis=0) / num_fitted
    items_mean = jnp.sum(scorer.items * had, axis=0) / num_had
    overall = jnp.sum(users_mean * items_mean)
    product = lambda a, b: jnp.matmul(a, b, precision="highest")  # noqa: E731
    if rated:
        second = product(scorer.users.T, scorer.users * fitted) / num_fitted
        variance = jnp.sum(second * product(scorer.items.T, scorer.items * had)) / num_had - jnp.square(overall)
        unobserved = jnp.zeros(())
    else:
        variance = jnp.square(pairs - overall)
    own = scorer.users[:, :free]
    if implicit is not None:
        own = own - jax.lax.rsqrt(jnp.maximum(degrees, 1))[:, None] * spmm(block, implicit)
    mean = jnp.sum(own * fitted, axis=0) / num_fitted
    around = (own - mean[None]) * fitted
    spread = product(around.T, around) / num_fitted
    values, directions = jnp.linalg.eigh(spread)
    root = product(directions * jnp.sqrt(jnp.maximum(values, 0))[None, :], directions.T)
    x = product(q, root) * had
    # Where all scores are equal nothing can be learnt from them, and the prior alone counts.
    sigma = noise * jnp.maximum(variance, 1e-6 * jnp.mean(jnp.sum(jnp.square(x), axis=1)) + 1e-12)
    return LeastSquaresUsers(
        scorer.items,
        implicit,
        mean,
        root,
        unobserved * product(x.T, x) + sigma * jnp.eye(free, dtype=q.dtype),
        unobserved * product(x.T, q),
        unobserved * jnp.sum((overall - bias)[:, None] * x, axis=0),
        pairs,
        dim=scorer.dim,
        needs_ratings=rated,
        rated=rated,
    )
