"""What tests of several processes compute, in each of them: `python in_processes.py FOLDER WHAT`.

The first process writes WHAT.json and WHAT.npz into the folder. Where the environment names no processes, it is one.
"""

import contextlib
import json
import os
import pathlib
import signal
import sys
import time

import jax
import numpy as np

import jaxrec
from jaxrec.data._seen import seen_items
from jaxrec.data.reading import Delimited, LightGCNText, Parquet
from jaxrec.evaluation import evaluate_scorer
from jaxrec.losses import BPR, InBatchSoftmax
from jaxrec.models import GraphFilter, LowPass, OneHop, UserLowPass
from jaxrec.parallel import Layout, Processes, guard, join, writes
from jaxrec.parallel._processes import from_writer, named_processes
from jaxrec.ranking import recommend_lists
from jaxrec.scorers import FactorScorer

USERS, ITEMS, PAIRS, STEPS = 300, 420, 6000, 20


def generated(seed=0, pairs=PAIRS):
    """Pairs of a power law on both sides, each once, and each user and item at least once."""
    rng = np.random.default_rng(seed)
    weights = [1 / np.arange(1, size + 1) ** 0.7 for size in (USERS, ITEMS)]
    drawn = [rng.choice(len(w), pairs, p=w / w.sum()) for w in weights]
    user = np.concatenate([drawn[0], np.arange(USERS), rng.integers(0, USERS, ITEMS)])
    item = np.concatenate([drawn[1], rng.integers(0, ITEMS, USERS), np.arange(ITEMS)])
    both = np.unique(user * ITEMS + item)
    return jaxrec.from_arrays(both // ITEMS, both % ITEMS, rng.integers(1, 6, len(both)).astype(float))


def fitted(model, loss, layout, data=None):
    """A fit of one step an epoch, so that the records have the loss of every step."""
    data = generated() if data is None else data
    how = {"batch_size": 8192, "epochs": STEPS, "optimizer": jaxrec.training.Adam(0.01), "regularizer": 1e-4}
    return jaxrec.fit(model, data, loss=loss, key=jax.random.key(3), mesh=layout, **how)


def told(model):
    arrays = {f"parameter {at}": leaf for at, leaf in enumerate(jax.tree.leaves(dict(model.variables)))}
    return [record["loss"] for record in model.info["records"]], arrays


def main():
    folder, what = pathlib.Path(sys.argv[1]), sys.argv[2]
    if named_processes() is not None:
        join(wait_seconds=60)
    number = jax.device_count()
    with contextlib.nullcontext() if what == "fails_outside" else guard():
        out, arrays = WHAT[what](folder, number)
    if writes():
        (folder / f"{what}-{number}.json").write_text(json.dumps(out))
        np.savez(folder / f"{what}-{number}.npz", **{name: np.asarray(array) for name, array in arrays.items()})


def rows(folder, number):
    """Losses and parameters of LightGCN by rows."""
    del folder
    losses, arrays = told(fitted(jaxrec.LightGCN(dim=16, layers=2), BPR(), Layout(rows=number) if number > 1 else None))
    return {"losses": losses}, arrays


def clusters(folder, number):
    """Losses and parameters of LightGCN by rows, with the nodes of a part in the order of clusters."""
    del folder
    layout = Layout(rows=number, order="clusters") if number > 1 else None
    losses, arrays = told(fitted(jaxrec.LightGCN(dim=16, layers=2), BPR(), layout))
    return {"losses": losses}, arrays


def columns(folder, number):
    """Losses and parameters of LightGCN by columns."""
    del folder
    model = jaxrec.LightGCN(dim=16, layers=2)
    losses, arrays = told(fitted(model, BPR(), Layout(columns=number) if number > 1 else None))
    return {"losses": losses}, arrays


def softmax(folder, number):
    """Losses and parameters of MF with in-batch softmax by rows, on fewer pairs, since it compares all with all."""
    del folder
    layout = Layout(rows=number) if number > 1 else None
    losses, arrays = told(fitted(jaxrec.MF(dim=16, bias=True), InBatchSoftmax(0.15), layout, data=generated(pairs=500)))
    return {"losses": losses}, arrays


def ials(folder, number):
    """The scores of implicit ALS."""
    del folder
    layout = Layout(rows=number) if number > 1 else None
    model = jaxrec.fit(jaxrec.IALS(dim=8, iterations=3), generated(), key=jax.random.key(0), mesh=layout)
    return {}, {"scores": np.asarray(model.scorer.users) @ np.asarray(model.scorer.items).T}


def filtered(folder, number):
    """The scores of a graph filter."""
    del folder
    terms = (OneHop(), LowPass(rank=16), UserLowPass(rank=8))
    model = GraphFilter(terms=terms, tolerance=1e-4)
    made = jaxrec.fit(model, generated(), key=jax.random.key(0), mesh=number if number > 1 else None)
    return {}, {"scores": np.asarray(made.scorer.scores(np.arange(USERS)))}


def members(folder, number):
    """Losses and parameters of two models that are trained together by rows."""
    del folder
    keys = jax.random.split(jax.random.key(3), 2)
    how = {"batch_size": 8192, "epochs": 5, "optimizer": jaxrec.training.Adam(0.01), "loss": BPR()}
    layout = Layout(rows=number) if number > 1 else None
    models = jaxrec.fit_many(jaxrec.LightGCN(dim=16, layers=2), generated(), keys=keys, mesh=layout, **how)
    both = [told(model) for model in models]
    arrays = {f"{at} {name}": array for at, (_, own) in enumerate(both) for name, array in own.items()}
    return {"losses": [loss for losses, _ in both for loss in losses]}, arrays


def lists(folder, number):
    """Lists, scores and values of users of a model that every process has."""
    del folder
    rng = np.random.default_rng(5)
    tables = [rng.normal(size=(size, 8)).astype(np.float32) for size in (USERS, ITEMS)]
    scorer = FactorScorer(*map(jax.numpy.asarray, tables), dim=8)
    data = generated()
    parts = [data.select(np.arange(len(data)) % 5 == part) for part in (0, 1)]
    how = {"seen": seen_items(parts[0]), "mesh": number if number > 1 else None}
    found = recommend_lists(scorer, np.arange(USERS), 20, memory_mb=1, **how)
    report = evaluate_scorer(scorer, parts[1], k=(10,), **how)
    return {}, {"items": found[0], "scores": found[1], **report.per_user}


def read(folder, number):
    """A Parquet file, a text and a split, of which each process reads its share; and how many rows that was."""
    own = []

    def counted(reader):
        class Counted(reader):
            def __call__(self, path):
                data = super().__call__(path)
                own.append(len(data))
                return data

        return Counted()

    group = Processes()
    data = jaxrec.read(folder.parent / "log.parquet", format=counted(Parquet), group=group)
    text = jaxrec.read(folder.parent / "log.csv", format=counted(Delimited), group=group)
    parts = [folder.parent / f"{part}.txt" for part in ("train", "test")]
    split = jaxrec.read_split(*parts, format=counted(LightGCNText), group=group)
    columns = {name: getattr(data, name) for name in ("user", "item", "rating", "timestamp")}
    rows, of_text, *of_split = zip(
        *(each["own"].tolist() for each in group.gather({"own": np.array(own)})), strict=True
    )
    told = {"rows": rows, "notes": data.notes[1:], "fingerprint": data.fingerprint()}
    told |= {"text": {"rows": of_text, "notes": text.notes[1:], "fingerprint": text.fingerprint()}}
    told |= {"split": {"rows": of_split, "fingerprint": split.fingerprint()}}
    return told, {**columns, "users": data.users.ids, "items": data.items.ids, "titles": data.titles}


def fails(folder, number):
    """One process fails, which the last word names, while the others wait for it."""
    del folder, number
    group = Processes()
    group.gather({})
    if group.process == int(sys.argv[3]):
        raise KeyError("no such key")
    group.gather({})
    return {}, {}


def fails_alone(folder, number):
    """The same while the others wait for nothing."""
    del folder, number
    group = Processes()
    group.gather({})
    if group.process == int(sys.argv[3]):
        raise KeyError("no such key")
    time.sleep(600)
    return {}, {}


def fails_to_write(folder, number):
    """What one process does for all fails."""
    del folder, number
    from_writer(lambda: {}["no such key"])
    return {}, {}


def leaves(folder, number):
    """One process ends by its own words."""
    del folder, number
    group = Processes()
    group.gather({})
    if group.process == int(sys.argv[3]):
        sys.exit(3)
    group.gather({})
    return {}, {}


def dies(folder, number):
    """One process is killed."""
    del folder, number
    group = Processes()
    group.gather({})
    if group.process == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    group.gather({})
    return {}, {}


def fails_outside(folder, number):
    """One process fails where nothing guards it; see `main`."""
    return fails(folder, number)


ALL = (rows, clusters, columns, softmax, ials, filtered, members, lists, read)
ALL = (*ALL, fails, fails_alone, fails_to_write, leaves, dies, fails_outside)
WHAT = {each.__name__: each for each in ALL}

if __name__ == "__main__":
    main()
