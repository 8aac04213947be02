"""A process of one version: it makes a step, an epoch and an evaluation of Gowalla ready, and times what it is told.

It is started with the version's folder first on PYTHONPATH, and speaks with `turns.py` by lines: the name of a piece of
work comes in, its seconds and the figures that the other version must reproduce go out. The rooms of 0.1 have other
names.
"""

from __future__ import annotations

import sys
import time
import warnings
from importlib import import_module as module

import jax
import jax.numpy as jnp

import jaxrec
from jaxrec.evaluation import evaluate_scorer
from jaxrec.training import Objective, init_state, train_data

BATCH, EPOCH_BATCH, STEPS = 2048, 16384, 20


def programs(model, tables, size):
    """The steps and the epoch of this version: (parameters to state, step of a state, epoch of a state)."""
    key = jax.random.key(0)
    rows, places = jnp.ones(BATCH, bool), jax.random.randint(jax.random.key(3), (BATCH,), 0, size)
    if jaxrec.__version__.startswith("0.1"):
        make_optimizer = module("jaxrec.api.options").make_optimizer
        old = module("jaxrec.training.epoch")
        objective, optimizer = (
            module("jaxrec.training").Objective(model, loss="bpr", l2=1e-4),
            make_optimizer("adam", 1e-3),
        )
        batch, _ = old.make_batch(tables, places, rows, key, negatives=1)
        step = old.make_step(objective, optimizer)
        whole = old.make_epoch(objective, optimizer, EPOCH_BATCH, 1)
        return (
            lambda params: init_state(params, optimizer, key),
            lambda state: step(state, batch, tables)[0],
            lambda state: whole(state, tables)[0],
        )
    from jaxrec.losses import BPR, SquaredL2
    from jaxrec.sampling import Uniform
    from jaxrec.training import Adam, DenseStep, make_batch, train_epoch

    how, negatives = DenseStep(Objective(model, BPR(), SquaredL2(1e-4)), Adam(1e-3)), Uniform(1)
    batch, _ = make_batch(tables, places, rows, key, negatives=negatives)
    step = jax.jit(lambda state, how, batch, tables: how(state, batch, tables), donate_argnums=0)

    def one_epoch(state, how, negatives, tables):
        return train_epoch(state, how, negatives, tables, batch_size=EPOCH_BATCH)

    whole = jax.jit(one_epoch, donate_argnums=0)
    return (
        lambda params: init_state(params, how, key),
        lambda state: step(state, how, batch, tables)[0],
        lambda state: whole(state, how, negatives, tables)[0],
    )


def work():
    """The pieces of work: name to a function that returns what the other version must return too."""
    data = jaxrec.load("gowalla")
    split = jaxrec.split(data, "predefined")
    model = jaxrec.LightGCN(dim=64, layers=3, num_users=data.num_users, num_items=data.num_items)
    tables = train_data(split.train)
    params = model.lazy_init(jax.random.key(0), jax.eval_shape(lambda: tables.adjacency))["params"]
    init, step, whole = programs(model, tables, len(split.train))
    state = init(params)

    def steps():
        nonlocal state
        for _ in range(STEPS):
            state = step(state)
        return float(jnp.sum(jnp.abs(state.params["user_embedding"])))

    def epoch():
        nonlocal state
        state = whole(state)
        return float(jnp.sum(jnp.abs(state.params["user_embedding"])))

    old = jaxrec.__version__.startswith("0.1")
    seen_items = module("jaxrec.data.seen" if old else "jaxrec.data").seen_items
    item_space = module("jaxrec.evaluation" if old else "jaxrec.ranking").item_space
    scorer_class = module("jaxrec.models.scorers" if old else "jaxrec.scorers").FactorScorer
    draw = [jax.random.normal(jax.random.key(n), (size, 64)) for n, size in enumerate((data.num_users, data.num_items))]
    scorer = scorer_class(*draw, dim=64)
    known = {"seen": seen_items(split.fitted), "space": item_space(split.train, jax.random.key(0))}

    def evaluation():
        report = evaluate_scorer(scorer, split.test, k=(10, 20), **known)
        return float(report.mean("recall@20")), float(report.mean("ild@20"))

    return {"step": steps, "epoch": epoch, "evaluation": evaluation}


def main():
    """Answer until the input ends."""
    warnings.simplefilter("ignore")
    pieces = work()
    for piece in pieces.values():
        piece()  # compiles
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        value = pieces[line.strip()]()
        print(time.perf_counter() - start, value, flush=True)


if __name__ == "__main__":
    main()
