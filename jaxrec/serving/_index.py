r"""An approximate index of item vectors for large catalogs, with its measured recall.

Inner products are no distance: the nearest neighbors of a graph lead astray. One more column makes them one. With M the
largest norm, an item becomes (x, sqrt(M^2 - |x|^2)) and a user (q, 0). All items then have the norm M, and the squared
distance M^2 + |q|^2 - 2 <q, x> falls as the inner product grows.

Reference: Bachrach et al., Speeding up the Xbox recommender system using a Euclidean transformation for inner-product
spaces, RecSys 2014.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxrec.errors import JaxrecError

EXPANSION = 256  # candidates that a search keeps
RECALL_USERS = 1000


def completed(vectors: np.ndarray) -> np.ndarray:
    """Item vectors [I, w] with one more column, so that all have the norm of the longest.

    >>> completed(np.array([[3.0], [5.0]], np.float32)).tolist()
    [[3.0, 4.0], [5.0, 0.0]]
    """
    squares = np.sum(np.square(vectors, dtype=np.float64), axis=1)
    more = np.sqrt(np.maximum(squares.max() - squares, 0))
    return np.concatenate([vectors, more[:, None].astype(np.float32)], axis=1)


def build_index(vectors: np.ndarray) -> Any:
    """A usearch index of item vectors [I, w], with the items' places as keys.

    Raises:
      JaxrecError: usearch is not installed.
    """
    try:
        from usearch.index import Index
    except ImportError:
        raise JaxrecError('an index needs usearch: pip install "jaxrec[index]"') from None
    points = completed(vectors)
    index = Index(ndim=points.shape[1], metric="l2sq", dtype="f32", expansion_search=EXPANSION)
    index.add(np.arange(len(points)), points)
    return index


def recall_of(
    index: Any, users: np.ndarray, items: np.ndarray, lengths: tuple[int, ...] = (10, 20, 50)
) -> dict[str, float]:
    """The share of the exact k best items that the index finds, the mean over users, by "recall@k".

    Args:
      index: of `build_index`.
      users: float32 [n, w].
      items: float32 [I, w], those of the index.
      lengths: values of k; those above I are left out.
    """
    out = {}
    chunks = (users[start : start + 100] for start in range(0, len(users), 100))  # a tile of scores at a time
    exact = np.concatenate([np.argsort(-(part @ items.T), axis=1, kind="stable")[:, : max(lengths)] for part in chunks])
    queries = np.concatenate([users, np.zeros((len(users), 1), np.float32)], axis=1)
    for k in (k for k in lengths if k <= len(items)):
        found = index.search(queries, k).keys.reshape(len(users), k)
        out[f"recall@{k}"] = float(
            np.mean([len(np.intersect1d(one, best[:k])) / k for one, best in zip(found, exact, strict=True)])
        )
    return out
