"""DirectAU: alignment of users with their items, and uniformity of users and of items on the sphere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.losses._means import counted, masked_mean, same_shape
from jaxrec.losses._rows import ChunkedLoss, by_cosine, check_chunks, check_division, check_number, chunks_of
from jaxrec.protocols import Batch, Encoded, Negatives
from jaxrec.pytrees import options, static
from jaxrec.types import Array
from jaxrec.vectors import unit

if TYPE_CHECKING:
    from jaxrec.training import TrainData


def alignment(
    users: Float[Array, "B d"],
    items: Float[Array, "B d"],
    *,
    weights: Float[Array, " B"] | None = None,
    where: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    """Alignment: the mean squared distance |u - i|^2 of users and their items, as vectors of length 1.

    Args:
      users: [B, d].
      items: [B, d].
      weights: [B], not negative, or None for ones.
      where: bool [B], the rows that count, or None for all.

    Returns:
      A scalar in [0, 4].

    Raises:
      MismatchError: shapes that do not fit each other.

    Source: Wang and Isola, Understanding Contrastive Representation Learning through Alignment and Uniformity on the
    Hypersphere, ICML 2020.

    >>> alignment(jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 5.0]])).item()
    2.0
    """
    same_shape(users, items, "items")
    if users.ndim != 2:
        raise MismatchError(f"users and items must have shape (B, d), got {users.shape}")
    gap = unit(counted(users, where)) - unit(counted(items, where))
    return masked_mean(jnp.sum(jnp.square(gap), axis=1), weights, where)


def uniformity(
    vectors: Float[Array, "B d"],
    *,
    chunks: int = 1,
    weights: Float[Array, " B"] | None = None,
    where: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    """Uniformity: the log of the mean of e^(-2 |x - y|^2) over the pairs of rows, as vectors of length 1.

    A pair is of two different rows; where one user has two of them, the pair has distance 0 and counts.

    Args:
      vectors: [B, d].
      chunks: how many runs of rows the batch is cut into, which divides B; the pairs are those within a run, B / chunks
        of each row in place of B; static.
      weights: [B], not negative, or None for ones; a pair weighs the product.
      where: bool [B], the rows that count, or None for all.

    Returns:
      A scalar in [-8, 0]; 0, with a gradient of 0, where there is no pair.

    Raises:
      MismatchError: shapes that do not fit each other.
      JaxrecError: chunks that do not divide B.

    Source: Wang and Isola, ICML 2020, with t = 2.

    >>> uniformity(jnp.array([[1.0, 0.0], [-2.0, 0.0]])).item()  # one pair, at distance 2
    -8.0
    """
    check_chunks(chunks)
    if vectors.ndim != 2:
        raise MismatchError(f"vectors must have shape (B, d), got {vectors.shape}")
    size, x = vectors.shape[0], unit(counted(vectors, where))
    weight = jnp.ones(size, x.dtype) if weights is None else weights
    same_shape(x[:, 0], weight, "weights")
    if where is not None:
        same_shape(weight, where, "where")
        weight = jnp.where(where, weight, 0)
    check_division(chunks, size)
    run = size // chunks
    x, weight = x.reshape(chunks, run, -1), weight.reshape(chunks, run)
    pairs = weight[:, :, None] * weight[:, None, :] * (1 - jnp.eye(run, dtype=x.dtype))[None]
    total = jnp.sum(pairs)
    # |x - y|^2 = 2 - 2 <x, y>; a zero vector has length 0 and no direction, and counts as orthogonal to all.
    products = jnp.einsum("gbd,gcd->gbc", x, x)
    mean = jnp.sum(pairs * jnp.exp(4 * products - 4)) / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, jnp.log(jnp.where(total > 0, mean, 1)), 0)


@options
class DirectAU(ChunkedLoss):
    """Alignment and uniformity (DirectAU): mean |u - i|^2 + gamma / 2 (uniformity of the users + of the items).

    All are vectors of length 1, of the rows of the batch; no negatives are drawn. B x B / chunks distances a step.

    Attributes:
      gamma: the weight of the uniformity; the paper takes .2 to 10 by data set and model.
      ranking: rank by the inner product, "dot", as the authors' code does, or by the "cosine" that is trained.
      chunks: cut the batch into so many runs of rows, within which the pairs of the uniformity are; None as in
        `InBatchSoftmax`.

    References:
      Wang et al., Towards Representation Alignment and Uniformity in Collaborative Filtering, KDD 2022, equations 5 and
      6.

    >>> DirectAU(gamma=0.5).default_negatives() is None
    True
    """

    takes_weights: ClassVar[bool] = True
    compares_rows: ClassVar[bool] = True

    gamma: float = 1.0
    ranking: Literal["dot", "cosine"] = static(default="dot")
    chunks: int | None = static(default=None)

    def __post_init__(self) -> None:
        check_number(self, "gamma", above=False)
        check_chunks(self.chunks)
        if self.ranking not in ("dot", "cosine"):
            raise JaxrecError(f'ranking must be "dot" or "cosine", got {self.ranking!r}')

    def __call__(self, rows: Encoded, batch: Batch, data: TrainData, key: jax.Array) -> jax.Array:
        """The loss of a batch; see `jaxrec.losses.alignment` and `jaxrec.losses.uniformity`."""
        how: dict[str, Any] = {"weights": batch.weight, "where": batch.where}
        runs = chunks_of(self.chunks, rows.user.shape[0])
        apart = uniformity(rows.user, chunks=runs, **how) + uniformity(rows.positive, chunks=runs, **how)
        return alignment(rows.user, rows.positive, **how) + self.gamma / 2 * apart

    def default_negatives(self) -> Negatives | None:
        """None: it compares with none."""
        return None

    def check(self, *, batch_size: int, negatives: Negatives | None) -> None:
        """Refuse drawn negatives, and chunks of unequal size."""
        if negatives is not None:
            raise JaxrecError(f"DirectAU has no use for negatives, got negatives={negatives}; leave them out")
        check_division(self.chunks, batch_size)

    def adjust(self, scorer: Any, data: TrainData) -> Any:
        """The scorer that ranks as `ranking` says."""
        return scorer if self.ranking == "dot" else by_cosine(scorer, data)
