"""Every metric beside its slow twin and, where there is one, an independent library; both numbers where they differ.

The lists are those of `reference.metric_cases`: from scores with ties (broken before a library sees them), short lists,
users without a relevant item, grades. No difference may reach 1e-6. For RecTools see `test_rectools_conventions`.
"""

import functools
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
from reference.metric_cases import (
    CUTS,
    FUNCTIONS,
    GROUPS,
    ITEMS,
    LENGTH,
    USERS,
    cases,
    example,
    indicator,
    lifted,
    listed_vectors,
)

from jaxrec import metrics, registry

RANX_NAMES = {
    "recall": "recall",
    "precision": "precision",
    "hit_rate": "hit_rate",
    "f1": "f1",
    "ndcg": "ndcg",
    "average_precision": "map",
    "reciprocal_rank": "mrr",
}
RANX_GAINS = {"linear": "ndcg", "exponential": "ndcg_burges"}

# In a process of its own, where numba can be told to interpret: compiling ranx takes ten times as long as the rest.
SCRIPT = """
import json, sys
from ranx import Qrels, Run, evaluate
given = json.load(sys.stdin)
out = {}
for kind in ("binary", "graded"):
    names = [f"{name}@{k}" for name in given[kind]["names"] for k in given["cuts"]] + given[kind]["uncut"]
    values = evaluate(Qrels(given[kind]["qrels"]), Run(given["run"]), names, return_mean=False)
    out[kind] = {name: array.tolist() for name, array in values.items()}
json.dump(out, sys.stdout)
"""


@functools.cache
def ranx_values() -> dict[str, dict[str, list[float]]]:
    if importlib.util.find_spec("ranx") is None:
        pytest.skip("ranx is not installed; it comes with the test extra")
    lists, truth, *_ = example()
    # The ties are broken already: ranx gets a score that falls from place to place. It cannot score an empty list, so
    # each list ends in an item that nobody knows.
    run = {
        f"u{user:02}": {f"i{item}": float(20 - place) for place, item in enumerate(own.tolist()) if item >= 0}
        | {"none": -1.0}
        for user, own in enumerate(lists)
        if truth[user]
    }
    graded = {user: {f"i{item}": grade for item, grade in truth[int(user[1:])].items()} for user in run}
    binary = {user: dict.fromkeys(grades, 1) for user, grades in graded.items()}
    given = {
        "cuts": CUTS,
        "run": run,
        "binary": {"qrels": binary, "names": list(RANX_NAMES.values()), "uncut": ["r-precision"]},
        "graded": {"qrels": graded, "names": list(RANX_GAINS.values()), "uncut": []},
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(given),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def sklearn_metrics() -> Any:
    if importlib.util.find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed; it comes with the test extra")
    import sklearn.metrics

    return sklearn.metrics


@functools.cache
def our_values() -> dict[str, np.ndarray]:
    made = cases()
    every = jax.jit(lambda given: {label: lifted(made[label])(*rows, *more) for label, (rows, more) in given.items()})
    return jax.device_get(every({label: ([*case.rows], [*case.shared]) for label, case in made.items()}))


counts = np.array([len(own) for own in example().truth])
lengths = (example().lists >= 0).sum(axis=1)
groups = example().lists.reshape(GROUPS, USERS // GROUPS, LENGTH)


# Each function below gives the value of a library for each row of a case, NaN where the library defines none.


def ranx(kind: str, name: str) -> np.ndarray:
    values = np.full(USERS, np.nan)  # ranx cannot score a user without truth
    values[counts > 0] = ranx_values()[kind][name]
    return values


def full_ranking(k: int, gain: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """scikit-learn ranks all items, so the list goes first, then irrelevant items for the padding, then the rest."""
    lists, truth, *_ = example()
    grades, scores = np.zeros((USERS, ITEMS + LENGTH)), np.full((USERS, ITEMS + LENGTH), -1.0)
    scores[:, ITEMS:] = np.arange(LENGTH)
    for user, own in enumerate(truth):
        grades[user, list(own)] = list(own.values())
        listed = lists[user][lists[user] >= 0]
        scores[user, listed] = 100 - np.arange(len(listed))
    score = sklearn_metrics().ndcg_score
    return np.array([score([gain(g)], [s], k=k) if g.any() else np.nan for g, s in zip(grades, scores, strict=True)])


def of_sets(name: str, k: int) -> np.ndarray:
    """A score of scikit-learn for the two sets of each user, the list cut at k and the relevant items."""
    listed, relevant = indicator([own[own >= 0] for own in example().lists[:, :k]]), indicator(example().truth)
    score = getattr(sklearn_metrics(), name)
    return np.array([score(own, hit, zero_division=0.0) for own, hit in zip(relevant, listed, strict=True)])


def area_under_roc() -> np.ndarray:
    *_, seen, scores, _, _, _ = example()
    values = np.full(USERS, np.nan)
    for user, (own, relevant, left_out) in enumerate(
        zip(scores, indicator(example().truth), indicator(seen), strict=True)
    ):
        kinds = relevant[~left_out]
        if kinds.any() and not kinds.all():
            values[user] = sklearn_metrics().roc_auc_score(kinds, own[~left_out])
    return values


def divergence() -> np.ndarray:
    history, shares = cases()["miscalibration"].rows[1], cases()["category_distribution"].expected
    some = (history.sum(axis=1) > 0) & (shares.sum(axis=1) > 0)  # scipy would divide by a sum of 0
    values = np.full(USERS, np.nan)
    values[some] = scipy.stats.entropy(history[some], 0.99 * shares[some] + 0.01 * history[some], axis=1)
    return values


def lorenz() -> np.ndarray:
    """1 less twice the area under the Lorenz curve, by scikit-learn's trapezoids."""
    area = sklearn_metrics().auc
    share = np.linspace(0, 1, ITEMS + 1)
    curves = [np.cumsum([0, *np.sort(own)]) / own.sum() for own in cases()["gini"].rows[0]]
    return np.array([1 - 2 * area(share, curve) for curve in curves])


def common_items(metric: str) -> np.ndarray:
    """The mean distance of two lists as 0-1 vectors, by scipy: Hamming counts what is in one of the two only."""
    values = []
    for own in groups:
        sets = indicator([listed[listed >= 0] for listed in own]).astype(float)
        distances = scipy.spatial.distance.pdist(sets, metric)
        sizes = scipy.spatial.distance.pdist(sets.sum(axis=1, keepdims=True), lambda a, b: a[0] + b[0])
        values.append(np.mean(1 - (sizes - ITEMS * distances) / 2 / LENGTH if metric == "hamming" else distances))
    return np.array(values)


def distances(name: str, metric: str) -> np.ndarray:
    values = []
    for own, where in zip(*listed_vectors(name), strict=True):
        kept = own[where].astype(bool if name == "jaccard" else np.float64)
        values.append(scipy.spatial.distance.pdist(kept, metric).mean() if len(kept) > 1 else np.nan)
    return np.array(values)


def of_ratings(name: str) -> np.ndarray:
    score = getattr(sklearn_metrics(), name)
    rows = zip(*cases()["rmse"].rows, strict=True)
    return np.array([score(a[w], p[w]) if w.any() else np.nan for p, a, w in rows])


class Row(NamedTuple):
    """A metric, who else computes it, by which convention, and their numbers."""

    label: str
    oracle: str
    convention: str
    values: Callable[[], np.ndarray]


TABLE = [
    *(
        Row(f"{name}@{k}", f"ranx {theirs}", "relevant or not", functools.partial(ranx, "binary", f"{theirs}@{k}"))
        for name, theirs in RANX_NAMES.items()
        for k in CUTS
    ),
    *(
        Row(f"graded_ndcg_{gain}@{k}", f"ranx {name}", gain, functools.partial(ranx, "graded", f"{name}@{k}"))
        for gain, name in RANX_GAINS.items()
        for k in CUTS
    ),
    *(
        Row(f"graded_ndcg_{gain}@{k}", "scikit-learn ndcg_score", gain, functools.partial(full_ranking, k, function))
        for gain, function in (("linear", lambda g: g), ("exponential", lambda g: 2**g - 1))
        for k in CUTS
    ),
    *(
        Row(f"{name}@{k}", f"scikit-learn {theirs}", convention, functools.partial(of_sets, theirs, k))
        for name, theirs, convention in (
            ("recall", "recall_score", "over all relevant items"),
            ("precision_of_length", "precision_score", "over the items of a short list, not over k"),
        )
        for k in CUTS
    ),
    Row("r_precision", "ranx r-precision", "missing places are misses", lambda: ranx("binary", "r-precision")),
    Row("auc", "scikit-learn roc_auc_score", "a tie is one half", area_under_roc),
    Row("auc_of_items", "scikit-learn roc_auc_score", "a tie is one half", area_under_roc),
    Row("miscalibration", "scipy entropy(p, q)", "0.99 q + 0.01 p, nats", divergence),
    Row("gini", "scikit-learn auc of the Lorenz curve", "over I, unlisted items too", lorenz),
    Row("shannon_entropy", "scipy entropy", "nats", lambda: scipy.stats.entropy(cases()["gini"].rows[0], axis=1)),
    Row("entropy_normalized", "scipy entropy", "base I",
        lambda: scipy.stats.entropy(cases()["gini"].rows[0], base=ITEMS, axis=1)),
    Row("personalization", "scipy hamming", "common items over k", lambda: common_items("hamming")),
    *(
        Row(f"ild_{name}", f"scipy pdist {theirs}", "mean over pairs", functools.partial(distances, name, theirs))
        for name, theirs in (("euclidean", "euclidean"), ("cosine", "cosine"), ("jaccard", "jaccard"),
                             ("city_block", "cityblock"))
    ),
    Row("rmse", "scikit-learn root_mean_squared_error", "of pairs", lambda: of_ratings("root_mean_squared_error")),
    Row("mae", "scikit-learn mean_absolute_error", "of pairs", lambda: of_ratings("mean_absolute_error")),
]  # fmt: skip
# No library at hand computes these; the slow twin does, and RecTools three of them.
TWIN_ONLY = {
    "average_popularity",
    "category_coverage",
    "catalog_coverage",
    "long_tail_share",
    "novelty",
    "serendipity",
}
PARTS = {"category_distribution", "category_shares", "exposure", "mean_pair_distance", "pair_distances"}


@pytest.mark.parametrize("label", cases())
def test_every_metric_agrees_with_its_slow_twin(label):
    np.testing.assert_allclose(our_values()[label], cases()[label].expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.label} - {row.oracle} - {row.convention}")
def test_every_metric_agrees_with_its_oracle(row):
    theirs = row.values()
    some = ~np.isnan(theirs)
    assert some.sum() > len(theirs) / 2
    np.testing.assert_allclose(our_values()[row.label][some], theirs[some], atol=1e-6, rtol=0)


def test_every_metric_of_the_catalog_has_a_case():
    named = {FUNCTIONS.get(name, name) for name in registry.names("metric")}
    assert named - {case.metric for case in cases().values()} == {"hits"}  # a count, see test_groups.py


def test_every_metric_is_in_the_table():
    named = {cases()[row.label].metric for row in TABLE}
    variants = {"capped_recall", "ndcg_k", "average_precision_min"}  # in OTHERS
    assert named | TWIN_ONLY | PARTS | variants == {case.metric for case in cases().values()}
    assert not named & TWIN_ONLY


def whole_and_reached(k, counts):
    """The ideal DCG of a list of k hits, and of a list of min(k, relevant) hits."""
    ideal = np.cumsum(1 / np.log2(np.arange(k) + 2))
    return ideal[k - 1], ideal[np.minimum(k, counts) - 1]


# Where libraries differ from ranx, the other number follows from ranx's by exchange of the divisor: (divisor of ranx)
# over (divisor of the other), for k, the relevant items and the length of each list.
OTHERS = {
    "capped_recall": ("recall", lambda k, counts, lengths: counts / np.minimum(k, counts)),  # Mult-VAE, iALS, LensKit
    "average_precision_min": ("map", lambda k, counts, lengths: counts / np.minimum(k, counts)),  # RecBole, implicit
    "precision_of_length": ("precision", lambda k, counts, lengths: k / np.minimum(k, lengths)),  # LensKit
    "ndcg_k": ("ndcg", lambda k, counts, lengths: np.divide(*whole_and_reached(k, counts)[::-1])),  # RecTools
}


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_both_numbers_where_a_convention_differs(name):
    some = (counts > 0) & (lengths > 0)
    ranx_name, factor = OTHERS[name]
    differ = []
    for k in CUTS:
        theirs = ranx("binary", f"{ranx_name}@{k}")[some]
        mine = our_values()[f"{name}@{k}"][some]
        np.testing.assert_allclose(mine, theirs * factor(k, counts[some], lengths[some]), atol=1e-6, rtol=0)
        differ.append(np.abs(mine - theirs).max())
    assert max(differ) > 0.05


def test_users_without_truth_get_a_zero_where_libraries_refuse_them():
    for label in [f"{name}@{k}" for name in metrics.RANKING_METRICS for k in CUTS] + ["r_precision", "auc"]:
        assert (our_values()[label][counts == 0] == 0).all()


def test_both_numbers_of_personalization():
    # The cosine of 0-1 vectors divides by the root of both lengths, not by k: half of k where a half is padding.
    lists = np.array([np.random.default_rng(user).permutation(ITEMS)[:LENGTH] for user in range(12)], np.int32)
    for length, factor in ((LENGTH, 1), (LENGTH // 2, 2)):
        lists[:, length:] = -1
        value = metrics.personalization(metrics.exposure(jnp.asarray(lists), ITEMS), 12, LENGTH)
        sets = indicator([own[own >= 0] for own in lists]).astype(float)
        cosine = scipy.spatial.distance.pdist(sets, "cosine").mean()
        np.testing.assert_allclose(1 - value, (1 - cosine) / factor, atol=1e-6)
