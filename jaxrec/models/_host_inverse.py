"""The dense inverse of a penalized Gram matrix on the host, in place, in as little memory as it takes."""

from __future__ import annotations

import pathlib
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxrec.errors import JaxrecError
from jaxrec.sparse import SparseOperator

HostRows = Any
"""A `scipy.sparse.csr_array`: compressed rows on the host."""

_ROWS = 512  # of a dense matrix that are made or moved at a time
_WORTH = 1e12  # multiplications that the detour over the users must save
_LAPACK = 16_384  # rows of the largest matrix that LAPACK inverts whole: 1 GB
_COLUMNS = 8192  # of the products that a sweep subtracts at a time


def host_rows(matrix: SparseOperator) -> HostRows:
    """The compressed rows of an operator as a SciPy array, for products of sparse matrices.

    >>> import jax.numpy as jnp
    >>> from jaxrec.sparse import from_dense, operator
    >>> host_rows(operator(from_dense(jnp.array([[0.0, 2.0]])))).toarray().tolist()
    [[0.0, 2.0]]
    """
    import scipy.sparse

    parts = (np.array(matrix.data), np.asarray(matrix.columns), np.asarray(matrix.indptr))
    return scipy.sparse.csr_array(parts, shape=matrix.shape)


def penalized_inverse(x: HostRows, ridge: Float[np.ndarray, " Q"]) -> Float[np.ndarray, "Q Q"]:
    """Compute P = (X^T X + diag(ridge))^(-1) in float32, in the array that is returned.

    With many more columns than rows it goes over the smaller side,

        P = R^(-1) - R^(-1) X^T (I + X R^(-1) X^T)^(-1) X R^(-1), with R = diag(ridge),

    where that saves more than 10^12 multiplications and the further matrix fits the memory. It costs min(P, Q)^3
    multiplications, besides sparse products. Both ways lose about as many digits: on 1,500 users and 3,000 items of
    Gowalla, EASE's weights of up to 0.1, 0.6 and 1 differ from float64 by at most 2e-7, 3e-5 and 3e-3 at l2 300, 1 and
    0.01.

    Args:
      x: X [P, Q], float32.
      ridge: float32 [Q], positive.

    Raises:
      JaxrecError: a matrix that is not positive definite in float32.

    References:
      Golub and Van Loan, Matrix Computations, 4th edition, section 2.1.4 (Woodbury).

    >>> import scipy.sparse
    >>> x = scipy.sparse.csr_array(np.array([[1.0, 1.0]], np.float32))
    >>> penalized_inverse(x, np.ones(2, np.float32)).round(3)
    array([[ 0.667, -0.333],
           [-0.333,  0.667]], dtype=float32)
    """
    rows, columns = x.shape
    if columns**3 - rows**3 > _WORTH and 4 * (columns**2 + rows**2) <= available_bytes():
        return inverse_over_rows(x, ridge)
    out = dense_gram(x.T.tocsr())
    out.reshape(-1)[:: columns + 1] += ridge
    return invert(out)


def inverse_over_rows(x: HostRows, ridge: Float[np.ndarray, " Q"]) -> Float[np.ndarray, "Q Q"]:
    """Compute `penalized_inverse` from the inverse of a matrix of the rows, I + X R^(-1) X^T [P, P].

    >>> import scipy.sparse
    >>> x = scipy.sparse.csr_array(np.array([[1.0, 1.0]], np.float32))
    >>> inverse_over_rows(x, np.ones(2, np.float32)).round(3)
    array([[ 0.667, -0.333],
           [-0.333,  0.667]], dtype=float32)
    """
    import scipy.sparse

    rows, columns = x.shape
    scaled = (x @ scipy.sparse.diags_array(ridge ** np.float32(-0.5))).tocsr()
    kernel = dense_gram(scaled)
    kernel.reshape(-1)[:: rows + 1] += 1
    kernel = invert(kernel)
    backward, out = scaled.T.tocsr(), aligned_square(columns)
    roots = ridge ** np.float32(-0.5)
    for start in range(0, columns, _ROWS):
        some = slice(start, min(start + _ROWS, columns))
        # Rows of -X'^T K^(-1) X' for X' = X R^(-1/2); the products are of a sparse matrix and a dense one.
        out[some] = -(backward @ (backward[some] @ kernel).T).T
        at = np.arange(some.start, some.stop)
        out[at, at] += 1
        out[some] *= roots[some, None] * roots[None, :]
    return out


def dense_gram(x: HostRows) -> Float[np.ndarray, "Q Q"]:
    """Compute X X^T of compressed rows as a dense matrix, some rows at a time, without a second one.

    >>> import scipy.sparse
    >>> dense_gram(scipy.sparse.csr_array(np.array([[1.0], [2.0]], np.float32))).tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    out, turned = aligned_square(x.shape[0]), x.T.tocsr()
    for start in range(0, x.shape[0], _ROWS):
        (x[start : start + _ROWS] @ turned).toarray(out=out[start : start + _ROWS])
    return out


def invert(matrix: Float[np.ndarray, "Q Q"]) -> Float[np.ndarray, "Q Q"]:
    """Invert a symmetric positive definite float32 matrix in its own memory.

    Up to 16,384 rows by LAPACK's spotrf and spotri. Above, by `swept`, because spotrf of OpenBLAS 0.3.30 with threads
    ends the process on a matrix of 4 GB.

    Raises:
      JaxrecError: a matrix that is not positive definite in float32.

    >>> invert(np.array([[2.0, 0.0], [0.0, 4.0]], np.float32)).round(3).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    return _mirrored(_of_lapack(matrix, len(matrix)) if len(matrix) <= _LAPACK else swept(matrix))


def _of_lapack(matrix: np.ndarray, size: int) -> np.ndarray:
    """The inverse of a matrix, or of a block of one of `size` rows, in its memory where it is whole: upper triangle."""
    from scipy.linalg import get_lapack_funcs

    potrf, potri = get_lapack_funcs(("potrf", "potri"), (matrix,))
    # LAPACK counts by columns, and the transpose of a symmetric matrix is itself.
    factor, failed = potrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    if failed:
        raise JaxrecError(f"the penalized Gram matrix of {size:,} rows is not positive definite in float32; raise l2")
    inverse, _ = potri(factor, lower=1, overwrite_c=1)
    return inverse.T


def swept(matrix: Float[np.ndarray, "Q Q"], *, block: int = 2048) -> Float[np.ndarray, "Q Q"]:
    """Invert a symmetric positive definite matrix in its own memory by sweeps of blocks, from its upper triangle.

    The sweep of the rows k takes A_kk to -A_kk^(-1), A_ik to A_ik A_kk^(-1), and A_ij to A_ij - A_ik A_kk^(-1) A_kj,
    for i and j besides k; after a sweep of all blocks the matrix is -A^(-1). Each A_kk is a Schur complement, and so
    positive definite. All sweeps cost Q^3 operations, as many as the Cholesky factor and the inverse from it.

    Args:
      matrix: float32 [Q, Q], row after row; it is overwritten.
      block: rows of a sweep.

    Returns:
      The inverse in the upper triangle of the same array; below it is what is left of the work.

    Raises:
      JaxrecError: a matrix that is not positive definite in float32.

    References:
      Goodnight, A Tutorial on the SWEEP Operator, The American Statistician 33, 1979.

    >>> np.triu(swept(np.array([[2.0, 1.0], [1.0, 1.0]], np.float32), block=1)).round(3).tolist()
    [[1.0, -1.0], [0.0, 2.0]]
    """
    size = len(matrix)
    parts = [slice(start, min(start + block, size)) for start in range(0, size, block)]
    for pivot in parts:
        panel = np.empty((size, pivot.stop - pivot.start), matrix.dtype)
        panel[: pivot.start], panel[pivot.stop :] = matrix[: pivot.start, pivot], matrix[pivot, pivot.stop :].T
        panel[pivot] = 0
        inverse = _mirrored(_of_lapack(_whole(matrix[pivot, pivot]), size))
        times = panel @ inverse
        for some in parts:
            for start in range(some.start, size, _COLUMNS) if some is not pivot else ():
                others = slice(start, min(start + _COLUMNS, size))
                matrix[some, others] -= times[some] @ panel[others].T
        matrix[: pivot.start, pivot], matrix[pivot, pivot.stop :] = times[: pivot.start], times[pivot.stop :].T
        matrix[pivot, pivot] = -inverse
    for some in parts:
        np.negative(matrix[some, some.start :], out=matrix[some, some.start :])
    return matrix


def _whole(corner: np.ndarray) -> np.ndarray:
    """A symmetric matrix of its own memory from the upper triangle of a block."""
    return _mirrored(np.triu(corner))


def _mirrored(matrix: np.ndarray) -> np.ndarray:
    """A square matrix with its upper triangle copied to the lower one, in place."""
    for start in range(0, len(matrix), _ROWS):
        stop = start + _ROWS
        corner = np.triu(matrix[start:stop, start:stop])
        matrix[start:stop, start:stop] = corner + np.triu(corner, 1).T
        for right in range(stop, len(matrix), _ROWS):
            matrix[right : right + _ROWS, start:stop] = matrix[start:stop, right : right + _ROWS].T
    return matrix


def aligned_square(size: int) -> Float[np.ndarray, "Q Q"]:
    """A float32 matrix of zeros [size, size] that begins where JAX on CPU can use it without a copy.

    >>> aligned_square(3).shape, aligned_square(3).ctypes.data % 64
    ((3, 3), 0)
    """
    raw = np.zeros(4 * size**2 + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + 4 * size**2].view(np.float32).reshape(size, size)


def shared(matrix: np.ndarray) -> jax.Array:
    """A matrix as an array of JAX, in the same memory where the device is the CPU; it may not be written to any more.

    >>> shared(aligned_square(2)).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    return jax.device_put(matrix, may_alias=True)


def check_memory(name: str, needed: int, size: int) -> None:
    """Refuse a matrix of items that does not fit the memory.

    Args:
      name: of the model.
      needed: bytes.
      size: I.

    Raises:
      JaxrecError: more bytes than there are.

    >>> check_memory("EASE", 2**60, 2**29)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: EASE needs 1,152,921,504,606,846,976 bytes for 536,870,912 items, and ...
    """
    if needed > available_bytes():
        raise JaxrecError(
            f"{name} needs {needed:,} bytes for {size:,} items, and {available_bytes():,.0f} are available; free "
            "memory, keep fewer items, or use sansa or itemknn, whose weights are sparse"
        )


def available_bytes() -> float:
    """The memory that a new array can have, as the kernel tells; infinite where it does not.

    >>> available_bytes() > 0
    True
    """
    try:
        lines = pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        free = 1024.0 * int(facts["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return float("inf")
    return min(free, _of_group())


def _of_group(folder: pathlib.Path = pathlib.Path("/sys/fs/cgroup")) -> float:
    """What is left of the limit of a control group, such as that of a container; files in its cache count as free."""
    try:
        limit, used = (int((folder / f"memory.{name}").read_text()) for name in ("max", "current"))
        cached = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())["inactive_file"]
    except (OSError, KeyError, ValueError):  # "max" is no number: there is no limit
        return float("inf")
    return float(limit - used + int(cached))
