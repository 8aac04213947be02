"""NMF of all entries beside scikit-learn from the same start, and NMF of ratings beside Surprise."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench.config import Options
from experiments.bench.data import ranking_split, user_items
from experiments.bench.peers import find
from experiments.bench.ratings import rows_of
from experiments.bench.timing import Row, by_turns, missing
from jaxrec.factorization import nmf
from jaxrec.graph import biadjacency
from jaxrec.sparse import operator

UNIT = "s to factorize"


def run(options: Options) -> list[Row]:
    """Measure both."""
    return all_entries(options) + rows_of("nmf", options)


def all_entries(options: Options) -> list[Row]:
    """Time a fixed number of iterations of coordinate descent on the training pairs, and report the error."""
    train = ranking_split(options).train
    x, rank = user_items(train), options.factors
    ours_x = operator(biadjacency(train))
    key, other = jax.random.split(jax.random.key(options.seed))
    mean = np.sqrt(x.nnz / x.shape[0] / x.shape[1] / rank)
    w = np.abs(np.array(jax.random.normal(key, (x.shape[0], rank)))) * np.float32(mean)
    h = np.abs(np.array(jax.random.normal(other, (rank, x.shape[1])))) * np.float32(mean)
    made: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def ours() -> None:
        found = nmf(ours_x, rank, init=(jnp.asarray(w), jnp.asarray(h)), max_iter=options.rounds, tol=0.0)
        made["jaxrec"] = (np.asarray(found.w), np.asarray(found.h))

    works: dict[str, Callable[[], Any]] = {"jaxrec": ours}
    package = find("sklearn.decomposition")
    setting = f"{x.shape[0]} x {x.shape[1]}, {x.nnz} ones, rank {rank}, {options.rounds} rounds"
    if package is not None:

        def theirs() -> None:
            model = package.NMF(rank, init="custom", solver="cd", max_iter=options.rounds, tol=0.0)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Maximum number of iterations")  # a fixed number is what is asked for
                left = model.fit_transform(x, W=w.copy(), H=h.copy())
            made["scikit-learn"] = (left, model.components_)

        works["scikit-learn"] = theirs
    rows = []
    for name, samples in by_turns(works, options.repeats).items():
        error = squared_error(x, *made[name])
        compiled = max(samples.first - float(np.median(samples.wall)), 0.0) if name == "jaxrec" else None
        note = f"squared error {error:.6g}"
        extra = {"squared_error": error}
        rows.append(Row("nmf", setting, name, UNIT, samples.wall, samples.cpu, compiled, note, extra))
    return rows + ([] if package is not None else [missing("nmf", setting, "scikit-learn", UNIT, "scikit-learn")])


def squared_error(x: Any, w: np.ndarray, h: np.ndarray) -> float:
    """Compute |X - W H|^2 over all places in float64, as |X|^2 - 2 <X H^T, W> + <W^T W, H H^T>.

    >>> import scipy.sparse
    >>> squared_error(scipy.sparse.csr_matrix(np.eye(2)), np.ones((2, 1)), np.ones((1, 2)))
    2.0
    """
    w, h, wide = w.astype(np.float64), h.astype(np.float64), x.astype(np.float64)
    return float(np.sum(wide.data**2) - 2 * np.sum((wide @ h.T) * w) + np.sum((w.T @ w) * (h @ h.T)))
