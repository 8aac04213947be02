"""Choose the numbers of EASE, its relatives and RP3beta on a held-out tenth of train, without a matrix of all items.

The scores of some users come from conjugate gradients, x (G + R)^(-1), and so does the diagonal of the inverse that the
constraint needs, as the mean over random signs v of v * (G + R)^(-1) v. With half of the inputs dropped 12 steps do.
RP3beta is tried with all of its weights, not with the largest of each item.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import tyro

from experiments.tables import Part, published_split

K = 20
PROBES = 128


@dataclasses.dataclass(frozen=True)
class Options:
    """Try numbers of EASE, or of RP3beta where `alpha` is given, for some users, and print the best ones.

    Attributes:
      dataset: a data set with published parts.
      part: the held-out tenth of train, "random" or last in the "order" of the data.
      users: how many users are measured, drawn once.
      l2: tried values.
      dropout: tried values.
      user_exponent: tried values.
      item_exponent: tried values.
      relax: tried values, at no further cost.
      alpha: tried values of RP3beta.
      beta: tried values of RP3beta.
      tolerance: of the solutions, relative to the right-hand sides.
      shown: how many of the best are printed.
    """

    dataset: str = "gowalla"
    part: Part = "random"
    users: int = 1000
    l2: tuple[float, ...] = (3.0, 10.0, 30.0)
    dropout: tuple[float, ...] = (0.5,)
    user_exponent: tuple[float, ...] = (0.5,)
    item_exponent: tuple[float, ...] = (0.0,)
    relax: tuple[float, ...] = (0.0, 0.3, 1.0)
    alpha: tuple[float, ...] = ()
    beta: tuple[float, ...] = (0.0, 0.3, 0.6)
    tolerance: float = 2e-3
    shown: int = 10


@dataclasses.dataclass(frozen=True)
class World:
    """All of train; of the measured users their own items and those held out; degrees."""

    train: Any
    own: Any
    held: np.ndarray
    user_degrees: np.ndarray
    item_degrees: np.ndarray


def world(options: Options) -> World:
    """The data that the numbers are tried on."""
    split, truth = published_split(options.dataset, options.part)
    shape = (split.train.num_users, split.train.num_items)
    train, held = (
        scipy.sparse.csr_array((np.ones(len(part), np.float32), (part.user, part.item)), shape=shape)
        for part in (split.train, truth)
    )
    users = np.flatnonzero(np.diff(held.indptr) > 0)
    users = np.sort(np.random.default_rng(0).permutation(users)[: options.users])
    counts = np.bincount(split.train.item, minlength=shape[1])
    degrees = [np.maximum(each, 1).astype(np.float32) for each in (np.diff(train.indptr), counts)]
    return World(train, train[users], held[users].toarray() > 0, degrees[0], degrees[1])


def solved(x: Any, ridge: np.ndarray, right: np.ndarray, tolerance: float) -> np.ndarray:
    """(X^T X + diag(ridge))^(-1) times the columns of `right`, by conjugate gradients scaled by the diagonal."""
    turned = x.T.tocsr()
    scale = 1 / (np.bincount(x.indices, np.square(x.data), x.shape[1]) + ridge).astype(np.float32)[:, None]
    found, left = np.zeros_like(right), right.copy()
    step = scale * left
    size = first = np.maximum(np.einsum("ib,ib->b", left, step), 1e-30)
    while (size / first).max() > tolerance**2:
        moved = turned @ (x @ step) + ridge[:, None] * step
        length = size / np.maximum(np.einsum("ib,ib->b", step, moved), 1e-30)
        found += length * step
        left -= length * moved
        scaled = scale * left
        before, size = size, np.maximum(np.einsum("ib,ib->b", left, scaled), 1e-30)
        step = scaled + size / before * step
    return found


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
    """Recall, nDCG and numbers of every combination; each is printed."""
    seen = data.own.toarray() > 0
    signs = np.sign(np.random.default_rng(1).random((seen.shape[1], PROBES)) - 0.5).astype(np.float32)
    for exponent, l2, dropout, item_exponent in itertools.product(
        options.user_exponent, options.l2, options.dropout, options.item_exponent
    ):
        start = time.perf_counter()
        weighted = (scipy.sparse.diags_array(data.user_degrees ** np.float32(-exponent / 2)) @ data.train).tocsr()
        squares = np.bincount(weighted.indices, np.square(weighted.data), weighted.shape[1])
        ridge = (l2 + dropout / (1 - dropout) * squares).astype(np.float32)
        scale = data.item_degrees ** np.float32(item_exponent)
        scaled = np.where(seen, scale, 0).astype(np.float32)
        products = solved(weighted, ridge, np.concatenate([scaled.T, signs], axis=1), options.tolerance)
        diagonal = np.clip((signs * products[:, len(seen) :]).mean(axis=1), 1 / (squares + ridge), 1 / ridge)
        numbers = {"l2": l2, "dropout": dropout, "user_exponent": exponent, "item_exponent": item_exponent}
        for relax in options.relax:
            factors = np.maximum(ridge, (1 - relax) / diagonal)
            scores = (scaled - products[:, : len(seen)].T * factors) / scale
            figures = measured(scores, seen, data.held)
            print(f"{figures[0]:.4f} {figures[1]:.4f} {numbers}, relax {relax}", flush=True)
            yield (*figures, {**numbers, "relax": relax})
        print(f"  {time.perf_counter() - start:.0f} s", flush=True)


def walked(data: World, options: Options) -> Iterator[tuple[float, float, dict[str, float]]]:
    """Recall, nDCG and exponents of every combination for RP3beta; each is printed."""
    seen = data.own.toarray() > 0
    for alpha in options.alpha:
        users, items = (degrees ** np.float32(-alpha) for degrees in (data.user_degrees, data.item_degrees))
        steps = np.where(seen, items, 0).astype(np.float32)
        there = data.train.T.tocsr() @ (users[:, None] * (data.train @ steps.T))
        for beta in options.beta:
            figures = measured(there.T / data.item_degrees ** np.float32(beta), seen, data.held)
            print(f"{figures[0]:.4f} {figures[1]:.4f} alpha {alpha}, beta {beta}", flush=True)
            yield (*figures, {"alpha": alpha, "beta": beta})


def main(argv: Sequence[str] | None = None) -> int:
    """Print all figures, and the best of them again."""
    options = tyro.cli(Options, args=argv, prog="python -m experiments.baselines.linear")
    tries = walked if options.alpha else tried
    found = sorted(tries(world(options), options), key=lambda each: -each[0] - each[1])
    print("the best:")
    print("\n".join(f"{recall:.4f} {ndcg:.4f} {numbers}" for recall, ndcg, numbers in found[: options.shown]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
