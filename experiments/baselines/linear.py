"""Choose the numbers of EASE and its relatives on a held-out tenth of train, among the most popular items alone.

A solve of all 40,981 items of Gowalla takes minutes, one of 6,000 seconds; the relax and the item exponent are tried
without another solve.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterator, Sequence

import numpy as np
import scipy.linalg
import scipy.sparse
import tyro

from experiments.tables import Part, published_split

K = 20
RELAX = (0.0, 0.3, 0.6, 1.0)
ITEM_EXPONENTS = (-0.1, 0.0, 0.1, 0.2, 0.3, 0.4)


@dataclasses.dataclass(frozen=True)
class Options:
    """Try numbers of EASE on the most popular items, and print the best ones.

    Attributes:
      dataset: a data set with published parts.
      part: the held-out tenth of train, "random" or last in the "order" of the data.
      items: how many items.
      users: how many users are measured, drawn once.
      l2: tried values.
      dropout: tried values.
      user_exponent: tried values.
      shown: how many of the best are printed.
    """

    dataset: str = "gowalla"
    part: Part = "random"
    items: int = 6000
    users: int = 4000
    l2: tuple[float, ...] = (30.0, 100.0, 300.0)
    dropout: tuple[float, ...] = (0.0,)
    user_exponent: tuple[float, ...] = (0.0,)
    shown: int = 10


@dataclasses.dataclass(frozen=True)
class World:
    """The interactions with the chosen items: those of the measured users, in train and held out, and what is relevant."""

    train: scipy.sparse.csr_array
    own: scipy.sparse.csr_array
    held: np.ndarray
    user_degrees: np.ndarray
    item_degrees: np.ndarray


def world(options: Options) -> World:
    """The part of the data that the numbers are tried on."""
    split, truth = published_split(options.dataset, options.part)
    shape = (split.train.num_users, split.train.num_items)
    train, held = (
        scipy.sparse.csr_array((np.ones(len(part), np.float32), (part.user, part.item)), shape=shape)
        for part in (split.train, truth)
    )
    counts = np.bincount(split.train.item, minlength=shape[1])
    chosen = np.sort(np.argsort(-counts, kind="stable")[: options.items])
    degrees = np.maximum(np.diff(train.indptr), 1).astype(np.float32)
    train, held = train[:, chosen], held[:, chosen]
    users = np.flatnonzero(np.diff(held.indptr) > 0)
    users = np.sort(np.random.default_rng(0).permutation(users)[: options.users])
    return World(train, train[users], held[users].toarray() > 0, degrees, counts[chosen].astype(np.float32))


def measured(scores: np.ndarray, own: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    """Recall and nDCG at 20 of scores [B, I], with the own items left out."""
    scores = np.where(own, -np.inf, scores)
    top = np.argpartition(-scores, K, axis=1)[:, :K]
    top = np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1), axis=1)
    hits, relevant = np.take_along_axis(held, top, axis=1), held.sum(axis=1)
    discounts = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(discounts)[np.minimum(relevant, K) - 1]
    return float((hits.sum(axis=1) / relevant).mean()), float(((hits * discounts).sum(axis=1) / ideal).mean())


def tried(data: World, options: Options) -> Iterator[tuple[float, float, dict[str, float]]]:
    """Recall, nDCG and numbers of every combination."""
    own = data.own.toarray() > 0
    for user_exponent, l2, dropout in itertools.product(options.user_exponent, options.l2, options.dropout):
        start = time.perf_counter()
        weighted = scipy.sparse.diags_array(data.user_degrees ** np.float32(-user_exponent / 2)) @ data.train
        matrix = (weighted.T @ weighted).toarray()
        ridge = (l2 + dropout / (1 - dropout) * matrix.diagonal()).astype(np.float32)
        matrix[np.diag_indices_from(matrix)] += ridge
        matrix = scipy.linalg.cho_solve((scipy.linalg.cholesky(matrix, lower=True), True), np.eye(len(matrix), dtype="f4"))
        best: list[tuple[float, float, dict[str, float]]] = []
        for item_exponent in ITEM_EXPONENTS:
            scale = data.item_degrees ** np.float32(item_exponent)
            scaled = (data.own @ scipy.sparse.diags_array(scale)).tocsr()
            products = scaled @ matrix
            for relax in RELAX:
                free = np.maximum(ridge, (1 - relax) / matrix.diagonal())
                figures = measured((scaled.toarray() - products * free) / scale, own, data.held)
                numbers = {"l2": l2, "dropout": dropout, "user_exponent": user_exponent}
                best.append((*figures, {**numbers, "item_exponent": item_exponent, "relax": relax}))
        yield from best
        top = max(best, key=lambda each: each[0] + each[1])
        print(f"{top[0]:.4f} {top[1]:.4f} {top[2]}, {time.perf_counter() - start:.0f} s", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the best numbers of each solve, and the best of all."""
    options = tyro.cli(Options, args=argv, prog="python -m experiments.baselines.linear")
    data = world(options)
    found = sorted(tried(data, options), key=lambda each: -each[0] - each[1])
    print("\n".join(f"{recall:.4f} {ndcg:.4f} {numbers}" for recall, ndcg, numbers in found[: options.shown]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
