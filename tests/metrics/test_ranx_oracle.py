"""Ranking metrics against ranx, an independent library: rankings with ties, short lists, empty and graded truth."""

import importlib.util
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from reference import metrics as slow

from jaxrec.metrics import RANKING_METRICS
from jaxrec.metrics.ranking import graded_ndcg, precision, r_precision

RANX_NAMES = {
    "recall": "recall",
    "precision": "precision",
    "hit_rate": "hit_rate",
    "f1": "f1",
    "ndcg": "ndcg",
    "average_precision": "map",
    "reciprocal_rank": "mrr",
}
RANX_GAINS = {"ndcg": "linear", "ndcg_burges": "exponential"}
CUTS = (1, 5, 10, 20)

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


@pytest.fixture(scope="module")
def rankings():
    """Lists [U, 20] with -1 padding, ranked from scores with many ties; and each user's grades by relevant item."""
    rng = np.random.default_rng(3)
    users, num_items = 60, 50
    lists, relevant = [], []
    for user in range(users):
        scores = rng.integers(0, 4, num_items).astype(float)
        seen = set(rng.permutation(num_items)[: rng.integers(0, num_items - 1)].tolist())  # leaves short lists
        lists.append(slow.ranked(scores, seen, 20))
        size = 0 if user % 7 == 0 else rng.integers(1, 30)
        chosen = rng.permutation(num_items)[:size].tolist()
        relevant.append(dict(zip(chosen, rng.integers(1, 5, size).tolist(), strict=True)))
    return np.array(lists), relevant


@pytest.fixture(scope="module")
def oracle(rankings):
    if importlib.util.find_spec("ranx") is None:
        pytest.skip("ranx is not installed; it comes with the test extra")
    lists, relevant = rankings
    # The ties are broken already: ranx gets a score that falls from place to place.
    run = {
        f"u{user:02}": {f"i{item}": float(20 - place) for place, item in enumerate(listed) if item >= 0}
        for user, listed in enumerate(lists)
        if relevant[user]
    }
    graded = {user: {f"i{item}": grade for item, grade in relevant[int(user[1:])].items()} for user in run}
    binary = {user: dict.fromkeys(grades, 1) for user, grades in graded.items()}
    given = {
        "cuts": CUTS,
        "run": run,
        "binary": {"qrels": binary, "names": list(RANX_NAMES.values()), "uncut": ["r-precision"]},
        "graded": {"qrels": graded, "names": list(RANX_GAINS), "uncut": []},
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


@pytest.fixture(scope="module")
def ours(rankings):
    lists, relevant = rankings
    hits = np.array([slow.hits_of(listed, truth) for listed, truth in zip(lists, relevant, strict=True)], bool)
    counts = np.array([len(truth) for truth in relevant], np.int32)
    gains = np.array([[truth.get(item, 0) for item in own] for own, truth in zip(lists, relevant, strict=True)])
    ideal = np.array([[*truth.values(), *[0] * (30 - len(truth))] for truth in relevant])

    @jax.jit
    @jax.vmap
    def every_value(hits, num_relevant, length, gains, ideal):
        values = {"r-precision": r_precision(hits, num_relevant)}
        for k in CUTS:
            for name in [*RANX_NAMES, "recall_min", "ndcg_k", "average_precision_min"]:
                values[f"{name}@{k}"] = RANKING_METRICS[name](hits, num_relevant, k=k)
            values[f"precision_length@{k}"] = precision(hits, num_relevant, k=k, over="length", length=length)
            for name, gain in RANX_GAINS.items():
                values[f"graded {name}@{k}"] = graded_ndcg(gains, ideal, k=k, gain=gain)
        return values

    lengths = (lists >= 0).sum(axis=1)
    values = every_value(hits, counts, lengths.astype(np.int32), gains.astype(np.float32), ideal.astype(np.float32))
    return counts, lengths, jax.device_get(values)


@pytest.mark.parametrize("name", sorted(RANX_NAMES))
def test_agrees_with_ranx(name, ours, oracle):
    counts, _, values = ours
    for k in CUTS:
        mine = values[f"{name}@{k}"]
        np.testing.assert_allclose(mine[counts > 0], oracle["binary"][f"{RANX_NAMES[name]}@{k}"], atol=1e-6, rtol=0)
        assert (mine[counts == 0] == 0).all()  # ranx cannot score a user without truth


@pytest.mark.parametrize("name", sorted(RANX_GAINS))
def test_graded_ndcg_agrees_with_ranx(name, ours, oracle):
    counts, _, values = ours
    for k in CUTS:
        mine = values[f"graded {name}@{k}"]
        np.testing.assert_allclose(mine[counts > 0], oracle["graded"][f"{name}@{k}"], atol=1e-6, rtol=0)
        assert (mine[counts == 0] == 0).all()


def test_r_precision_agrees_with_ranx_also_where_the_list_is_too_short(ours, oracle):
    counts, lengths, values = ours
    assert (lengths < counts).any()
    np.testing.assert_allclose(values["r-precision"][counts > 0], oracle["binary"]["r-precision"], atol=1e-6, rtol=0)


def whole_and_reached(k, counts):
    """The ideal DCG of a list of k hits, and of a list of min(k, relevant) hits."""
    ideal = np.cumsum(1 / np.log2(np.arange(k) + 2))
    return ideal[k - 1], ideal[np.minimum(k, counts) - 1]


# Where libraries differ from ranx, the other number follows from ranx's by exchange of the divisor: (divisor of ranx)
# over (divisor of the other), for k, the relevant items and the length of each list.
OTHERS = {
    "recall_min": ("recall", lambda k, counts, lengths: counts / np.minimum(k, counts)),  # Mult-VAE, iALS, LensKit
    "average_precision_min": ("map", lambda k, counts, lengths: counts / np.minimum(k, counts)),  # RecBole, implicit
    "precision_length": ("precision", lambda k, counts, lengths: k / np.minimum(k, lengths)),  # LensKit
    "ndcg_k": ("ndcg", lambda k, counts, lengths: np.divide(*whole_and_reached(k, counts)[::-1])),  # RecTools
}


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_both_numbers_where_a_convention_differs(name, ours, oracle):
    counts, lengths, values = ours
    some = counts > 0
    ranx_name, factor = OTHERS[name]
    differ = []
    for k in CUTS:
        theirs = np.array(oracle["binary"][f"{ranx_name}@{k}"])
        mine = values[f"{name}@{k}"][some]
        np.testing.assert_allclose(mine, theirs * factor(k, counts[some], lengths[some]), atol=1e-6, rtol=0)
        differ.append(np.abs(mine - theirs).max())
    assert max(differ) > 0.05
