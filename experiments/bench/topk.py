"""Top-20 items of every user with training items masked, from the same factors in jaxrec and implicit."""

from __future__ import annotations

import contextlib
from typing import Any

import jax
import numpy as np

import jaxrec
from experiments.bench.config import Options
from experiments.bench.data import ranking_split, user_items
from experiments.bench.peers import find
from experiments.bench.timing import Row, Work, by_turns, missing
from jaxrec.data import seen_items
from jaxrec.ranking import recommend_lists
from jaxrec.scorers import FactorScorer
from jaxrec.training import train_data

K = 20
UNIT = "s for all users"
IMPLICIT = ("implicit, BLAS on one thread", "implicit, BLAS on all threads")


def run(options: Options) -> list[Row]:
    """Measure jaxrec, and implicit with BLAS on one thread (as it recommends) and on all threads."""
    train = ranking_split(options).train
    scorer = factors(train, options)
    seen, users = seen_items(train), np.arange(train.num_users, dtype=np.int32)
    setting = f"{train.num_users} users, {train.num_items} items, d {options.factors}, k {K}"
    lists: dict[str, np.ndarray] = {}

    def ours() -> None:
        lists["jaxrec"] = recommend_lists(scorer, users, K, seen=seen)[0]

    works: dict[str, Work] = {"jaxrec": ours}
    package = find("implicit")
    if package is not None:
        model, known = implicit_model(package, scorer, options.threads), user_items(train)

        def theirs(name: str, threads: int) -> None:
            with blas_threads(threads):
                lists[name] = model.recommend(users, known, N=K, filter_already_liked_items=True)[0]

        works[IMPLICIT[0]] = lambda: theirs(IMPLICIT[0], 1)
        works[IMPLICIT[1]] = lambda: theirs(IMPLICIT[1], options.threads)
    rows = []
    for name, samples in by_turns(works, options.repeats).items():
        compiled = max(samples.first - float(np.median(samples.wall)), 0.0) if name == "jaxrec" else None
        found = agreement(lists["jaxrec"], lists[name], scorer)
        note = ""
        if name != "jaxrec":
            note = f"{found['same_places']:.4%} of the places as ours, the others' scores apart by {found['apart']:.1e}"
        rows.append(Row("topk", setting, name, UNIT, samples.wall, samples.cpu, compiled, note, found))
    return rows + ([] if package is not None else [missing("topk", setting, "implicit", UNIT, "implicit")])


def factors(train: jaxrec.Interactions, options: Options) -> FactorScorer:
    """Make factors with the structure of the data: a random start, smoothed by three layers."""
    model = jaxrec.LightGCN(
        dim=options.factors, layers=3, scale=1.0, num_users=train.num_users, num_items=train.num_items
    )
    adjacency = train_data(train).adjacency
    return FactorScorer(*model.init_with_output(jax.random.key(options.seed), adjacency)[0], dim=options.factors)


def implicit_model(package: Any, scorer: FactorScorer, threads: int) -> Any:
    """Make a model of implicit with our factors."""
    del package
    als = find("implicit.als")
    with blas_threads(1):  # its constructor warns otherwise
        model = als.AlternatingLeastSquares(factors=scorer.dim, num_threads=threads, use_gpu=False)
    model.user_factors, model.item_factors = np.array(scorer.users), np.array(scorer.items)
    return model


def agreement(ours: np.ndarray, theirs: np.ndarray, scorer: FactorScorer) -> dict[str, float]:
    """Compare two sets of lists.

    Args:
      ours: items [U, k].
      theirs: items [U, k].
      scorer: the factors, from which the scores are recomputed in float64.

    Returns:
      `same_places`, the share of places with the same item; `apart`, the largest difference between the scores at
      places with different items, divided by the standard deviation of the scores in the lists. It is rounding error if
      the lists agree.
    """
    users, items = np.asarray(scorer.users, np.float64), np.asarray(scorer.items, np.float64)
    row, column = np.nonzero(ours != theirs)
    both = (np.einsum("nd,nd->n", users[row], items[lists[row, column]]) for lists in (ours, theirs))
    mine, other = both
    scale = float(np.std(np.einsum("ud,ud->u", users, items[ours[:, 0]]))) or 1.0
    return {
        "same_places": 1 - len(row) / ours.size,
        "apart": float(np.max(np.abs(mine - other), initial=0.0)) / scale,
    }


@contextlib.contextmanager
def blas_threads(threads: int) -> Any:
    """Limit BLAS to a number of threads within a context; without threadpoolctl nothing changes."""
    pools = find("threadpoolctl")
    if pools is None:
        yield
        return
    with pools.threadpool_limits(threads, user_api="blas"):
        yield
