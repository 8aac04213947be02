"""Many small systems of equations at once: solutions for batches of positive definite matrices."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

_WHOLE = 192  # rows of a matrix that LAPACK factors in one piece, without threads of its own
_PANEL = 64  # rows of the panels of a larger one; a power of 2


def positive_solve(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """Solve (I + M) x = r for B matrices that are positive semidefinite.

    Args:
      matrix: M [B, n, n].
      right: r [B, n].

    Returns:
      x [B, n].

    >>> f"{positive_solve(jnp.array([[[1.0]]]), jnp.array([[3.0]])).item():.3f}"  # 3 / (1 + 1)
    '1.500'
    """
    size = matrix.shape[1]
    rest = matrix + jnp.eye(size, dtype=matrix.dtype)[None]
    # LAPACK factors small matrices alone, with vectors on the right. Its larger calls have threads that wait in a loop,
    # which costs up to a hundred times the work where other threads want the cores; matrix products do not.
    width = size if size <= _WHOLE else _PANEL
    sums = functools.partial(jnp.einsum, precision="highest")
    panels = []
    for start in range(0, size, width):
        wide = min(width, size - start)
        factor = jax.lax.linalg.cholesky(rest[:, :wide, :wide], symmetrize_input=False)
        solved = _substituted(factor, right[:, :wide], transpose=False)
        below = None
        if start + wide < size:
            below = sums("bmw,bvw->bmv", rest[:, wide:, :wide], _inverse_of_lower(factor))
            rest = rest[:, wide:, wide:] - sums("bmw,bnw->bmn", below, below)
            right = right[:, wide:] - sums("bmw,bw->bm", below, solved)
        panels.append((factor, below, solved))
    out = jnp.zeros((matrix.shape[0], 0), matrix.dtype)
    for factor, below, solved in reversed(panels):
        left = solved if below is None else solved - sums("bmw,bm->bw", below, out)
        out = jnp.concatenate([_substituted(factor, left, transpose=True), out], axis=1)
    return out


def _substituted(factor: jax.Array, right: jax.Array, *, transpose: bool) -> jax.Array:
    solve = functools.partial(jax.lax.linalg.triangular_solve, left_side=True, lower=True, transpose_a=transpose)
    return solve(factor, right[:, :, None])[:, :, 0]


def _inverse_of_lower(factor: jax.Array) -> jax.Array:
    """The inverses of lower triangular matrices [B, n, n], n a power of 2, from blocks of 1, 2, 4, ... rows."""
    batch, size = factor.shape[:2]
    product = functools.partial(jnp.matmul, precision="highest")
    inverse = 1 / jnp.diagonal(factor, axis1=1, axis2=2)[:, :, None, None]
    while inverse.shape[1] > 1:
        pairs, rows = inverse.shape[1] // 2, inverse.shape[2]
        upper, lower = inverse[:, 0::2], inverse[:, 1::2]
        which = jnp.arange(pairs, dtype=jnp.int32)
        between = factor.reshape(batch, pairs, 2, rows, pairs, 2, rows)[:, which, 1, :, which, 0]
        low = -product(product(lower, jnp.moveaxis(between, 0, 1)), upper)
        top = jnp.concatenate([upper, jnp.zeros_like(upper)], axis=3)
        inverse = jnp.concatenate([top, jnp.concatenate([low, lower], axis=3)], axis=2)
    return inverse.reshape(batch, size, size)
