"""The cost of evaluation beside ranking: list metrics, distances, R-precision, AUC, re-ranking; and peak memory."""

from __future__ import annotations

import functools
import sys

import jax
import numpy as np

from experiments.bench.config import Options
from experiments.bench.data import ranking_split
from experiments.bench.process import run_measured
from experiments.bench.timing import Row, Work, by_turns
from experiments.bench.topk import K, factors
from jaxrec.data import seen_items
from jaxrec.evaluation import evaluate_scorer
from jaxrec.metrics import RANKING_METRICS
from jaxrec.ranking import MMR, GreedyDPP, item_space, recommend_lists, rerank
from jaxrec.reports import Report

UNIT = "s for all users"
LISTS = (*RANKING_METRICS, "precision_length")
POOL = 100  # candidates of a user
CHUNKS = (64, 256, 1024)  # MiB


def run(options: Options) -> list[Row]:
    """Time the top-k alone, with list metrics, and with further metrics; measure the peak memory by chunk size."""
    split = ranking_split(options)
    scorer, seen = factors(split.train, options), seen_items(split.train)
    space = item_space(split.train, jax.random.key(options.seed), rank=options.factors)
    users = np.unique(split.test.user).astype(np.int32)

    def measured(*more: str) -> Work:
        names = (*LISTS, *more)
        return lambda: evaluate_scorer(scorer, split.test, seen=seen, k=K, metrics=names, space=space)

    works: dict[str, Work] = {
        "top-k alone": lambda: recommend_lists(scorer, users, K, seen=seen),
        "all of the lists, with distance": measured(),
        "R-precision too": measured("r_precision"),
        "AUC too": measured("auc"),
    }
    pool, scores = recommend_lists(scorer, users, POOL, seen=seen)[:2]
    for method, reranker in {"mmr": MMR(0.8), "dpp": GreedyDPP(0.8)}.items():
        works[f"re-ranking {POOL} to {K} by {method.upper()}"] = functools.partial(
            rerank, pool, scores, space, K, reranker
        )
    found = by_turns(works, options.repeats)
    alone = float(np.median(found["top-k alone"].wall))
    rows = []
    for name, samples in found.items():
        ratio = float(np.median(samples.wall)) / alone
        compiled = max(samples.first - float(np.median(samples.wall)), 0.0)
        setting = f"{len(users)} users, {split.train.num_items} items, d {options.factors}, k {K}"
        note = f"{ratio:.2f} times the top-k alone" if name != "top-k alone" else ""
        extra = {"ratio": ratio}
        rows.append(Row("evaluator", setting, name, UNIT, samples.wall, samples.cpu, compiled, note, extra))
    for chunk in CHUNKS[:1] if options.quick else CHUNKS:
        command = [sys.executable, "-m", "experiments.bench.evaluator", str(chunk), str(int(options.quick))]
        peaks = [run_measured(command)[1] / 1e9 for _ in range(min(options.repeats, 3))]
        rows.append(Row("evaluator", "peak of one evaluation", f"memory_mb {chunk}", "GB, peak", tuple(peaks)))
    return rows


def evaluate_once(memory_mb: float, quick: bool) -> Report:
    """Evaluate once with a memory limit, for the peak memory of a separate process."""
    options = Options(quick=quick, factors=8 if quick else 64)
    split = ranking_split(options)
    scorer, seen = factors(split.train, options), seen_items(split.train)
    space = item_space(split.train, jax.random.key(0), rank=options.factors)
    return evaluate_scorer(scorer, split.test, seen=seen, k=K, metrics=LISTS, space=space, memory_mb=memory_mb)


if __name__ == "__main__":
    print(evaluate_once(float(sys.argv[1]), sys.argv[2] == "1").mean(f"recall@{K}"))
