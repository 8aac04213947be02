"""Matrix factorization with BPR: seconds of training to a given recall@20 on the test part, beside implicit.

The comparison is about speed only. Both curves are measured on the test part, so their best points are no estimates of
accuracy.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxrec
from experiments.bench.config import Options
from experiments.bench.data import ranking_split, user_items
from experiments.bench.peers import find
from experiments.bench.timing import Row, missing
from experiments.bench.topk import blas_threads
from jaxrec.data import seen_items
from jaxrec.evaluation import evaluate_scorer
from jaxrec.scorers import FactorScorer

METRIC = "recall@20"
UNIT = f"s to equal {METRIC}"


class Curve(NamedTuple):
    """The recall of a training against its seconds, without compilation and evaluation.

    Attributes:
      seconds: ascending.
      recall: one value per entry of `seconds`.
      compile_seconds: 0 if nothing is compiled.
    """

    seconds: tuple[float, ...]
    recall: tuple[float, ...]
    compile_seconds: float


def run(options: Options) -> list[Row]:
    """Train both in turns, once per repeat, each with its own key.

    The target recall is the lowest of the best recalls of all trainings, so that every training reaches it.
    """
    split = ranking_split(options)
    setting = f"{'generated' if options.quick else 'Gowalla'}, {options.factors} factors"
    package = find("implicit")
    curves: dict[str, list[Curve]] = {"jaxrec MF": []}
    if package is not None:
        curves["implicit BPR"] = []
    for repeat in range(options.repeats):
        seed = options.seed + repeat
        curves["jaxrec MF"].append(ours(split, options, seed))
        if package is not None:
            curves["implicit BPR"].append(theirs(split, options, seed))
    goal = target({name: [curve.recall for curve in several] for name, several in curves.items()})
    rows = []
    for name, several in curves.items():
        reached = tuple(seconds_to(curve, goal) for curve in several)
        best = float(np.median([max(curve.recall) for curve in several]))
        note = f"to {goal:.4f}; median best {best:.4f} after {several[0].seconds[-1]:.3g} s in all"
        compiled = several[0].compile_seconds if name.startswith("jaxrec") else None
        extra = {"target": goal, "curves": [curve._asdict() for curve in several]}
        rows.append(Row("als-free", setting, name, UNIT, reached, (), compiled, note, extra))
    if package is None:
        rows.append(missing("als-free", setting, "implicit BPR", UNIT, "implicit"))
    return rows


def ours(split: jaxrec.Split, options: Options, seed: int) -> Curve:
    """Train jaxrec's MF with `options.bpr`, and return its curve."""
    watched = jaxrec.Split(split.train, split.test, split.test.select(np.empty(0, np.int64)), "test part watched")
    validation = jaxrec.Validation(every=options.curve_every, patience=0, monitor=METRIC)
    settings = dataclasses.replace(options.bpr, validation=validation, refit=False)
    model = jaxrec.MF(dim=options.factors, scale=options.bpr_scale)
    info = jaxrec.fit(model, watched, settings, key=jax.random.key(seed)).info
    passed = np.cumsum(info["seconds"]["epochs"]).tolist()
    points = [(passed[one["epoch"] - 1], one["valid"][METRIC]) for one in info["records"] if one.get("valid")]
    return _curve(points, info["seconds"]["compile"])


def theirs(split: jaxrec.Split, options: Options, seed: int) -> Curve:
    """Train implicit's BPR, and return its curve, measured by our evaluator."""
    bpr = find("implicit.bpr")
    model = bpr.BayesianPersonalizedRanking(
        factors=options.factors,
        learning_rate=options.peer_learning_rate,
        regularization=options.peer_l2,
        iterations=options.peer_epochs,
        num_threads=options.threads,
        random_state=seed,
        use_gpu=False,
    )
    seen, passed, points = seen_items(split.train), [0.0], []

    def after(epoch: int, seconds: float, *others: Any) -> None:
        del others
        passed[0] += seconds
        if (epoch + 1) % options.peer_curve_every == 0 or epoch + 1 == options.peer_epochs:
            factors = jnp.array(model.user_factors), jnp.array(model.item_factors)  # copies: they are trained on
            scorer = FactorScorer(*factors, dim=options.factors)
            report = evaluate_scorer(scorer, split.test, seen=seen, k=20, metrics=("recall",))
            points.append((passed[0], report.mean(METRIC)))

    with blas_threads(1):
        model.fit(user_items(split.train), show_progress=False, callback=after)
    return _curve(points, 0.0)


def target(recalls: dict[str, Sequence[Sequence[float]]]) -> float:
    """Return the recall that every training reaches: the lowest of their best recalls.

    >>> target({"a": [[0.1, 0.3], [0.2, 0.25]], "b": [[0.1, 0.28]]})
    0.25
    """
    return min(max(curve) for several in recalls.values() for curve in several)


def seconds_to(curve: Curve, goal: float) -> float:
    """Interpolate the seconds at which a curve first reaches a recall; infinity if it never does.

    >>> seconds_to(Curve((1.0, 2.0), (0.1, 0.2), 0.0), 0.15)
    1.5
    """
    for at, recall in enumerate(curve.recall):
        if recall >= goal:
            if at == 0:
                return curve.seconds[0]
            share = (goal - curve.recall[at - 1]) / (recall - curve.recall[at - 1])
            return curve.seconds[at - 1] + share * (curve.seconds[at] - curve.seconds[at - 1])
    return float("inf")


def _curve(points: Sequence[tuple[float, float]], compile_seconds: float) -> Curve:
    seconds, recall = (tuple(map(float, column)) for column in zip(*points, strict=True))
    return Curve(seconds, recall, compile_seconds)
