"""Implicit ALS beside implicit's: seconds of a fit that reaches the same recall@20 on a held-out tenth of train.

Both have settings of their own, chosen on another held-out tenth, and their number of iterations is the least with
which they reach the target. Both begin with the indices of the pairs. The test part is not read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

import jaxrec
from experiments.bench.config import Options
from experiments.bench.data import ranking_split, user_items
from experiments.bench.peers import find
from experiments.bench.timing import Row, by_turns, missing
from experiments.bench.topk import blas_threads
from jaxrec.data import seen_items
from jaxrec.evaluation import evaluate_scorer
from jaxrec.factorization import implicit_als
from jaxrec.scorers import FactorScorer
from jaxrec.sparse import from_entries, operator

METRIC = "recall@20"
UNIT = "s a fit"
CLOSE = 0.995  # a target that noise of the last digit does not decide

# Width to (l2 of jaxrec) and (alpha, regularization of implicit).
OURS = {64: 0.003, 256: 0.003}
THEIRS = {64: (100.0, 100.0), 256: (30.0, 30.0)}
UNOBSERVED = 0.01

Vectors = tuple[Any, Any]


def run(options: Options) -> list[Row]:
    """Find the iterations that each needs, and time fits with them by turns."""
    return [row for factors in options.als_factors for row in of_width(factors, options)]


def of_width(factors: int, options: Options) -> list[Row]:
    """The rows of one width."""
    split = held_out(options)
    name = "generated" if options.quick else "Gowalla, less a tenth"
    setting, package = f"{name}, {factors} factors", find("implicit")
    makers: dict[str, Callable[[int], Vectors]] = {"jaxrec IALS": ours(split.train, factors, options)}
    if package is not None:
        makers["implicit ALS"] = theirs(split.train, factors, options)
    curves = {
        name: [recall(make(count), split, factors) for count in range(1, options.als_iterations + 1)]
        for name, make in makers.items()
    }
    goal = CLOSE * min(map(max, curves.values()))
    needed = {name: first(curve, goal) for name, curve in curves.items()}
    works = {name: functools.partial(make, needed[name]) for name, make in makers.items()}
    taken = by_turns(works, options.repeats)
    rows = []
    for name, samples in taken.items():
        note = f"{needed[name]} iterations to {goal:.4f}; best {max(curves[name]):.4f}"
        extra = {"target": goal, "curve": curves[name], "iterations": needed[name]}
        rows.append(Row("ials", setting, name, UNIT, samples.wall, samples.cpu, None, note, extra))
    if package is None:
        rows.append(missing("ials", setting, "implicit ALS", UNIT, "implicit"))
    return rows


def held_out(options: Options) -> jaxrec.Split:
    """A random tenth of the training part as the validation part; the test part stays aside."""
    return jaxrec.split(
        ranking_split(options).train, "user_random", test=0.0, valid=0.1, key=jax.random.key(options.seed)
    )


def ours(data: jaxrec.Interactions, factors: int, options: Options) -> Callable[[int], Vectors]:
    """Fits of jaxrec, from iterations to vectors."""
    shape = (data.num_users, data.num_items)
    l2 = OURS.get(factors, OURS[64])

    def fit(iterations: int) -> Vectors:
        ones = jnp.ones(len(data), jnp.float32)
        made = implicit_als(
            operator(from_entries(ones, jnp.asarray(data.user), jnp.asarray(data.item), shape)),
            factors,
            jax.random.key(options.seed),
            unobserved=UNOBSERVED,
            l2=l2,
            iterations=iterations,
        )
        return jax.block_until_ready((made.users, made.items))

    return fit


def theirs(data: jaxrec.Interactions, factors: int, options: Options) -> Callable[[int], Vectors]:
    """Fits of implicit, by its conjugate gradients."""
    als = find("implicit.als")
    alpha, regularization = THEIRS.get(factors, THEIRS[64])

    def fit(iterations: int) -> Vectors:
        model = als.AlternatingLeastSquares(
            factors=factors,
            alpha=alpha,
            regularization=regularization,
            iterations=iterations,
            num_threads=options.threads,
            random_state=options.seed,
            use_gpu=False,
        )
        with blas_threads(1):
            model.fit(user_items(data), show_progress=False)
        return model.user_factors, model.item_factors

    return fit


def recall(vectors: Vectors, split: jaxrec.Split, factors: int) -> float:
    """The recall of vectors on the validation part."""
    scorer = FactorScorer(*map(jnp.asarray, vectors), dim=factors)
    report = evaluate_scorer(scorer, split.valid, seen=seen_items(split.train), k=20, metrics=("recall",))
    return report.mean(METRIC)


def first(curve: Sequence[float], goal: float) -> int:
    """The first iteration, counted from 1, with at least the recall of the goal.

    >>> first([0.1, 0.3, 0.2], 0.25)
    2
    """
    return next(at for at, value in enumerate(curve, 1) if value >= goal)
