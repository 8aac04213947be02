"""Time the decompositions and filters of `jaxrec.spectral` on real graphs, and print a Markdown table."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse.linalg
import tyro

import jaxrec
from experiments.spectral.config import DATA, FILTERS
from jaxrec import graph, sparse, spectral

HEADER = ("graph", "what", "first call, s", "later calls, s", "scipy, s", "largest error")


@dataclasses.dataclass(frozen=True)
class Options:
    """Compare jaxrec.spectral (float32) with scipy (float64, converged) on real graphs.

    Attributes:
      data: names of data sets; Gowalla's published training part, the others whole.
      rank: number of eigenpairs and singular triplets.
      columns: number of signals filtered together.
      repeats: number of later calls; the fastest counts.
    """

    data: tuple[str, ...] = DATA
    rank: int = 64
    columns: int = 64
    repeats: int = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    options = tyro.cli(Options, args=argv, description="Compare jaxrec.spectral with scipy on real graphs.")
    print("| " + " | ".join(HEADER) + " |\n" + "|---|---" + "|---:" * 4 + "|")
    try:
        for name in options.data:
            for row in measure(name, options):
                print("| " + " | ".join(row) + " |", flush=True)
    except jaxrec.JaxrecError as error:
        print(f"error: {error}")
        return 2
    return 0


def measure(name: str, options: Options) -> Iterator[tuple[str, ...]]:
    """Measure one graph, and yield the rows of the table."""
    data = jaxrec.load(name, raw=True)
    if name == "gowalla":
        data = jaxrec.split(data, "predefined").train
    r = graph.biadjacency(data)
    a = graph.adjacency(r)
    rank, key = options.rank, jax.random.key(0)
    name = f"{name}, {a.shape[0]:,} nodes, {a.nse:,} non-zeros"

    def row(what: str, ours: Callable[[], jax.Array], scipys: Callable[[], np.ndarray], relative: bool) -> Any:
        got, *seconds = timed(ours, options.repeats)
        expected, scipy_seconds, _ = timed(scipys, 0)
        error = np.abs(np.asarray(got, np.float64) - expected) / (np.abs(expected) if relative else 1)
        shown = (f"{value:.2f}" for value in (*seconds, scipy_seconds))
        return (name, what, *shown, f"{error.max():.1e}{' relative' if relative else ''}")

    for what, matrix in (("R", r), ("R~", graph.normalized_biadjacency(r))):
        op, exact = sparse.operator(matrix), double(matrix)
        yield row(
            f"`truncated_svd` of {what}, rank {rank}",
            lambda op=op: spectral.truncated_svd(op, rank, key)[1],
            lambda exact=exact: scipy_singular_values(exact, rank),
            True,
        )
    normalized, combinatorial = spectral.normalized_laplacian(a), spectral.combinatorial_laplacian(a)
    smooth, rough = (sparse.operator(matrix, symmetric=True) for matrix in (normalized, combinatorial))
    # The smallest eigenvalues of L~ are 1 minus the largest of A~, which scipy finds faster.
    exact_a = double(graph.normalized_adjacency(r))
    yield row(
        f"`leading_eigenpairs` of L~, {rank} smallest",
        lambda: spectral.leading_eigenpairs(smooth, rank, key, which="smallest").values,
        lambda: 1 - scipy_eigenvalues(exact_a, rank),
        False,
    )
    exact_l, exact_smooth = double(combinatorial), double(normalized)
    yield row(
        f"`leading_eigenpairs` of L, {rank} largest",
        lambda: spectral.leading_eigenpairs(rough, rank, key).values,
        lambda: scipy_eigenvalues(exact_l, rank),
        True,
    )
    x = jax.random.normal(key, (a.shape[0], options.columns), jnp.float32)
    exact_x = np.asarray(x, np.float64)
    high = spectral.estimate_largest_eigenvalue(rough, key)
    laplacians = {
        "normalized": ("L~", smooth, exact_smooth, (0.0, 2.0)),
        "combinatorial": ("L", rough, exact_l, (0.0, high)),
    }
    for heat in FILTERS:
        what, op, exact, interval = laplacians[heat.laplacian]
        c = spectral.chebyshev_coefficients(
            lambda v, t=heat.time: spectral.heat_kernel(v, time=t), heat.order, interval
        )
        yield row(
            f"`chebyshev_filter`, heat kernel exp(-{heat.time:g} {what}), order {heat.order}, "
            f"{options.columns} signals",
            lambda op=op, c=c, interval=interval: spectral.chebyshev_filter(op, c, x, interval),
            lambda exact=exact, t=heat.time: scipy.sparse.linalg.expm_multiply(-t * exact, exact_x),
            False,
        )


def double(matrix: sparse.BCOO) -> Any:
    """Convert a BCOO to a scipy array in float64."""
    return graph.to_scipy(matrix).astype(np.float64)


def scipy_eigenvalues(matrix: Any, k: int) -> np.ndarray:
    """Compute the k largest eigenvalues of a symmetric scipy matrix, descending, to machine precision."""
    return np.sort(scipy.sparse.linalg.eigsh(matrix, k, which="LA", tol=0)[0])[::-1]


def scipy_singular_values(matrix: Any, k: int) -> np.ndarray:
    """Compute the k largest singular values of a scipy matrix, descending, to machine precision."""
    return np.sort(scipy.sparse.linalg.svds(matrix, k, tol=0)[1])[::-1]


def timed(function: Callable[[], Any], repeats: int) -> tuple[Any, float, float]:
    """Return the result, the seconds of the first call, and the seconds of the fastest later call."""
    seconds, result = [], None
    for _ in range(repeats + 1):
        before = time.perf_counter()
        result = jax.block_until_ready(function())
        seconds.append(time.perf_counter() - before)
    return result, seconds[0], min(seconds[1:], default=float("nan"))


if __name__ == "__main__":
    raise SystemExit(main())
