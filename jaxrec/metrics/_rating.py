"""Error of predicted ratings: RMSE and MAE over the pairs of a mask."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Real

from jaxrec.errors import MismatchError
from jaxrec.types import Array


def rmse(
    predicted: Real[Array, " n"], actual: Real[Array, " n"], *, where: Bool[Array, " n"] | None = None
) -> Float[Array, ""]:
    r"""Root mean squared error, in the units of the rating.

    .. math:: \sqrt{\frac{1}{n} \sum_j (\hat{r}_j - r_j)^2}

    Over all pairs of a test set this is the RMSE of Surprise and of the Netflix prize. The mean over users of their own
    RMSE is another number; get it with `jax.vmap` and a mask.

    Args:
      predicted: float [n].
      actual: float [n].
      where: bool [n], the pairs that count; all by default.

    Returns:
      float32 []; 0 where no pair counts. The value and its gradient are finite also then, and where the error is 0.

    Raises:
      MismatchError: the arguments are not of one shape [n].

    >>> rmse(jnp.array([3.0, 5.0]), jnp.array([4.0, 4.0]))
    Array(1., dtype=float32)
    """
    mean = _masked_mean(jnp.square(_error(predicted, actual, where)), where)
    # The square root has no slope at 0, so it never sees one.
    return jnp.where(mean > 0, jnp.sqrt(jnp.where(mean > 0, mean, np.float32(1))), np.float32(0))


def mae(
    predicted: Real[Array, " n"], actual: Real[Array, " n"], *, where: Bool[Array, " n"] | None = None
) -> Float[Array, ""]:
    r"""Mean absolute error, in the units of the rating.

    .. math:: \frac{1}{n} \sum_j |\hat{r}_j - r_j|

    Args, Returns, Raises: as `rmse`.

    >>> mae(jnp.array([3.0, 5.0, 1.0]), jnp.array([4.0, 4.0, 9.0]), where=jnp.array([True, True, False]))
    Array(1., dtype=float32)
    """
    return _masked_mean(jnp.abs(_error(predicted, actual, where)), where)


def _error(predicted: jax.Array, actual: jax.Array, where: jax.Array | None) -> jax.Array:
    predicted, actual = jnp.asarray(predicted).astype(jnp.float32), jnp.asarray(actual).astype(jnp.float32)
    shapes = {"predicted": predicted.shape, "actual": actual.shape}
    if where is not None:
        shapes["where"] = jnp.shape(where)
    if predicted.ndim != 1 or len(set(shapes.values())) != 1:
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise MismatchError(f"the shapes differ or are not [n]: {told}; pass one prediction for each rating")
    if where is None:
        return predicted - actual
    # Both are replaced before the difference, so that a masked NaN reaches neither the value nor the gradient.
    return jnp.where(where, predicted, np.float32(0)) - jnp.where(where, actual, np.float32(0))


def _masked_mean(values: jax.Array, where: jax.Array | None) -> jax.Array:
    if where is None:
        return jnp.sum(values) / np.float32(max(values.size, 1))
    count = jnp.sum(where, dtype=jnp.float32)
    return jnp.sum(jnp.where(where, values, np.float32(0))) / jnp.maximum(count, np.float32(1))
