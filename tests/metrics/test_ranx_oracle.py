"""Ranking metrics against ranx, an independent library, on rankings with ties, short lists and empty truth."""

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

RANX_NAMES = {
    "recall": "recall",
    "precision": "precision",
    "hit_rate": "hit_rate",
    "f1": "f1",
    "ndcg": "ndcg",
    "average_precision": "map",
    "reciprocal_rank": "mrr",
}
CUTS = (1, 5, 10, 20)

# In a process of its own, where numba can be told to interpret: compiling ranx takes ten times as long as the rest.
SCRIPT = """
import json, sys
from ranx import Qrels, Run, evaluate
given = json.load(sys.stdin)
names = [f"{name}@{k}" for name in given["names"] for k in given["cuts"]]
out = evaluate(Qrels(given["qrels"]), Run(given["run"]), names, return_mean=False)
json.dump({name: values.tolist() for name, values in out.items()}, sys.stdout)
"""


@pytest.fixture(scope="module")
def rankings():
    """Lists [U, 20] with -1 padding, ranked from scores with many ties; and the relevant items of each user."""
    rng = np.random.default_rng(3)
    users, num_items = 60, 50
    lists, relevant = [], []
    for user in range(users):
        scores = rng.integers(0, 4, num_items).astype(float)
        seen = set(rng.permutation(num_items)[: rng.integers(0, num_items - 1)].tolist())  # leaves short lists
        lists.append(slow.ranked(scores, seen, 20))
        size = 0 if user % 7 == 0 else rng.integers(1, 30)
        relevant.append(set(rng.permutation(num_items)[:size].tolist()))
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
    qrels = {user: {f"i{item}": 1 for item in relevant[int(user[1:])]} for user in run}
    given = {"names": list(RANX_NAMES.values()), "cuts": CUTS, "run": run, "qrels": qrels}
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

    @jax.jit
    @jax.vmap
    def every_value(hits, num_relevant):
        return {f"{name}@{k}": RANKING_METRICS[name](hits, num_relevant, k=k) for name in RANX_NAMES for k in CUTS}

    return counts, jax.device_get(every_value(hits, counts))


@pytest.mark.parametrize("name", sorted(RANX_NAMES))
def test_agrees_with_ranx(name, ours, oracle):
    counts, values = ours
    for k in CUTS:
        mine = values[f"{name}@{k}"]
        np.testing.assert_allclose(mine[counts > 0], oracle[f"{RANX_NAMES[name]}@{k}"], atol=1e-6, rtol=0)
        assert (mine[counts == 0] == 0).all()  # ranx cannot score a user without truth
