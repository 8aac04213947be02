"""What tests of several devices compute, in a process of its own: JAX reads the number of fake devices when it starts.

Run by conftest.py beside it: `python on_eight.py FOLDER quick` or `slow`. Writes results.json and arrays.npz.
"""

import contextlib
import json
import pathlib
import shutil
import sys
import traceback

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxrec
from jaxrec.data import seen_items
from jaxrec.errors import JaxrecError
from jaxrec.fitting import DataSizes, layout_for, step_plan
from jaxrec.losses import BPR, InBatchSoftmax, SoftmaxAtK
from jaxrec.models import (
    GraphFilter,
    Hop,
    LearntFilter,
    LearntNetwork,
    LowPass,
    Member,
    OneHop,
    SpectralRanker,
    UserLowPass,
    with_sizes,
)
from jaxrec.models._sizes import user_item_block
from jaxrec.parallel import Layout, placement_for, sharded_matrix, sharded_operator
from jaxrec.pytrees import options, static
from jaxrec.ranking import recommend_lists
from jaxrec.sampling import Uniform
from jaxrec.sparse import degrees_of, spmm, user_nodes
from jaxrec.spectral import estimate_largest_eigenvalue, leading_eigenpairs, singular_triplets, truncated_svd
from jaxrec.training import train_data

USERS, ITEMS = 100, 150
RESULTS, ARRAYS = {}, {}


def generated(users, items, pairs, seed=0):
    """Pairs of a power law on both sides, each once, with ratings."""
    rng = np.random.default_rng(seed)
    weights = [1 / np.arange(1, size + 1) ** 0.7 for size in (users, items)]
    drawn = [rng.choice(len(w), 4 * pairs, p=w / w.sum()) for w in weights]
    codes = rng.permutation(np.unique(drawn[0] * items + drawn[1]))[:pairs]
    # Every user and item once, so that all have a place.
    user = np.concatenate([codes // items, np.arange(users), rng.integers(0, users, items)])
    item = np.concatenate([codes % items, rng.integers(0, items, users), np.arange(items)])
    both = np.unique(user * items + item)
    return jaxrec.from_arrays(both // items, both % items, rng.integers(1, 6, len(both)).astype(float))


DATA = generated(USERS, ITEMS, 720)
LIGHTGCN = jaxrec.LightGCN(dim=8, layers=2)


class ByColumns(jaxrec.LightGCN):
    """A model that says it can be split by columns only."""

    mesh_axes = ("columns",)


@options
class ByDegree(Uniform):
    """Negatives for users with many items alone: a sampler that asks the adjacency, by the numbers of the data."""

    num: int = static(default=2)

    def __call__(self, data, user, item, key):
        negatives, possible = super().__call__(data, user, item, key)
        sums = spmm(data.adjacency, jnp.ones((data.adjacency.shape[0], 1)))[user_nodes(data.adjacency, user)]
        return negatives, possible & (degrees_of(data.adjacency)[user] > 7) & (sums[:, 0] > 0.3)


MODELS = {
    "lightgcn": LIGHTGCN,
    "softmax": LIGHTGCN,
    "softmax at k": LIGHTGCN,
    "by degree": jaxrec.MF(dim=8),
    "large": jaxrec.LightGCN(dim=16, layers=3),
    "mf": jaxrec.MF(dim=8, bias=True),
    "gcn": jaxrec.GCN(dim=8, hidden=4, self_loops=True),
    "lightgcn++": jaxrec.models.LightGCNPP(dim=8),
    "simgcl": jaxrec.models.SimGCL(dim=8, layers=1),
    "xsimgcl": jaxrec.models.XSimGCL(dim=8, layers=2),
}
QUICK = {
    "lightgcn": [
        Layout(rows=8),
        Layout(columns=4),
        Layout(2, 2, blocks=2),
        Layout(rows=4, order="clusters"),
    ],
    "softmax": [Layout(rows=4)],
    "by degree": [Layout(rows=4)],
    "mf": [Layout(rows=4)],
    "gcn": [Layout(rows=4)],
}
SLOW = {
    "large": [
        Layout(rows=2),
        Layout(rows=4),
        Layout(rows=8),
        Layout(columns=8),
        Layout(2, 4),
        Layout(rows=8, blocks=3),
    ],
    "softmax": [Layout(rows=2), Layout(rows=8), Layout(2, 2), Layout(columns=4)],
    "softmax at k": [Layout(rows=4)],
    "by degree": [Layout(rows=8), Layout(2, 2)],
    "mf": [Layout(rows=8), Layout(columns=4)],
    "gcn": [Layout(2, 2), Layout(columns=4)],
    "lightgcn++": [Layout(rows=4), Layout(columns=2)],
    "simgcl": [Layout(columns=2), Layout(rows=4)],
    "xsimgcl": [Layout(rows=2), Layout(2, 2), Layout(rows=4, order="clusters")],
}


LOSSES = {"softmax": InBatchSoftmax(0.15), "softmax at k": SoftmaxAtK(top=5, temperature=0.15)}


def fitted(name, mesh, data=DATA, **more):
    # One step an epoch, so that the log has the loss of every step.
    loss = LOSSES.get(name, BPR())
    more = {"negatives": ByDegree(), **more} if name == "by degree" else more
    how = {"batch_size": 2**17, "epochs": 20, "optimizer": jaxrec.training.Adam(0.01), "regularizer": 1e-4, **more}
    return jaxrec.fit(MODELS[name], data, loss=loss, key=jax.random.key(3), mesh=mesh, **how)


def trained(layouts_of):
    for name, layouts in layouts_of.items():
        data = generated(943, 1_682, 12_000) if name == "large" else DATA
        record(f"{name}: one", fitted(name, None, data))
        for layout in layouts:
            blocks = f" in {layout.blocks}" if name == "large" and layout.blocks > 1 else ""
            order = f" by {layout.order}" if layout.order != "data" else ""
            record(f"{name}: {layout.rows} x {layout.columns}{blocks}{order}", fitted(name, layout, data))


def record(name, model):
    RESULTS[name] = {
        "losses": [epoch["loss"] for epoch in model.info["records"]],
        "mesh": model.info.get("mesh"),
    }
    for path, leaf in jax.tree_util.tree_flatten_with_path(model.variables)[0]:
        ARRAYS[f"{name}/{jax.tree_util.keystr(path[1:], simple=True)}"] = np.asarray(leaf)
    ARRAYS[f"{name}/users"], ARRAYS[f"{name}/items"] = map(np.asarray, (model.scorer.users, model.scorer.items))


def products():
    """A product and its gradient on 1, 2, 4 and 8 devices, in rows and in blocks, placed back."""
    adjacency = train_data(DATA).adjacency
    nodes = adjacency.shape[0]
    x = jax.random.normal(jax.random.key(0), (nodes, 24))
    y = jax.random.normal(jax.random.key(1), (nodes, 24))
    value, way_back = jax.vjp(lambda x: spmm(adjacency, x), x)
    ARRAYS["product/one"], ARRAYS["gradient/one"] = np.asarray(value), np.asarray(way_back(y)[0])
    for layout in (Layout(rows=3), Layout(rows=8), Layout(rows=4, blocks=5), Layout(columns=4)):
        made = placement_for(adjacency, USERS, layout)
        matrix = sharded_operator(adjacency, USERS, layout, placement=made)

        @jax.jit
        def both(matrix, x, y):
            value, way_back = jax.vjp(lambda x: spmm(matrix, x), x)
            return value, way_back(y)[0]

        value, gradient = both(matrix, made.placed(np.asarray(x), "nodes"), made.placed(np.asarray(y), "nodes"))
        name = f"{layout.rows} x {layout.columns}"
        ARRAYS[f"product/{name}"] = made.back(np.asarray(value), "nodes")
        ARRAYS[f"gradient/{name}"] = made.back(np.asarray(gradient), "nodes")


def evaluation():
    """Lists and reports of one model, on one device and on several."""
    split = jaxrec.split(DATA, "user_random", test=0.2, valid=0.1, key=jax.random.key(0))
    model = jaxrec.fit(LIGHTGCN, split, epochs=2, refit=False, validation=None, key=jax.random.key(1))
    for name, mesh in (("one", None), ("3 rows", 3), ("2 x 2", Layout(2, 2))):
        report = jaxrec.evaluate(model, split, k=(5, 20), metrics=["recall", "ndcg"], space=None, mesh=mesh)
        for value in report.per_user:
            ARRAYS[f"report/{name}/{value}"] = np.asarray(report.per_user[value])
        RESULTS[f"report/{name}"] = {value: report.mean(value) for value in report.names}
        lists = jaxrec.recommend(model, k=15, mesh=mesh, unknown="skip")
        ARRAYS[f"lists/{name}"] = np.array([[one.item for one in own] for _, own in lists])
        ARRAYS[f"scores/{name}"] = np.array([[one.score for one in own] for _, own in lists])


def item_parts():
    """Lists of several kinds of scorers, on one device and in parts of the items; 4 parts of 150 are not equal."""
    split = jaxrec.split(DATA, "user_random", test=0.2, key=jax.random.key(0))
    seen = seen_items(split.fitted)
    models = {"popularity": jaxrec.Popularity(), "ease": jaxrec.EASE(), "lightgcn": LIGHTGCN}
    for name, model in models.items():
        how = {"epochs": 2, "validation": None} if name == "lightgcn" else {}
        scorer = jaxrec.fit(model, split, key=jax.random.key(1), **how).scorer
        for word, mesh in (
            ("one", None),
            ("8 in 4", Layout(rows=8, item_parts=4)),
            ("3 in 3", Layout(rows=3, item_parts=3)),
        ):
            for k, among in ((15, {}), (120, {"exclude": [7]}), (4, {"candidates": [1, 60, 61, 149]})):
                items, scores = recommend_lists(scorer, np.arange(USERS), k, seen=seen, mesh=mesh, memory_mb=1, **among)
                ARRAYS[f"parts/{name}/{k}/{word}/items"], ARRAYS[f"parts/{name}/{k}/{word}/scores"] = items, scores
    report = {}
    for mesh in (None, Layout(rows=8, item_parts=4)):
        model = jaxrec.fit(jaxrec.Popularity(), split, key=jax.random.key(1))
        report[mesh] = jaxrec.evaluate(model, split, k=5, metrics=["recall"], space=None, mesh=mesh).mean("recall@5")
    RESULTS["parts"] = list(report.values())
    weights = jaxrec.fit(jaxrec.ItemKNN(), split, key=jax.random.key(1)).scorer
    try:
        recommend_lists(weights, [0], 5, seen=seen, mesh=Layout(rows=4, item_parts=2))
    except JaxrecError as error:
        RESULTS["refused/parts of sparse weights"] = str(error)


def validated():
    """A fit with validation and refit: the epoch that is best, and the figures, are those of one device."""
    split = jaxrec.split(DATA, "user_random", test=0.2, valid=0.2, key=jax.random.key(0))
    told = []
    how = {"epochs": 4, "validation": jaxrec.Validation(every=2), "key": jax.random.key(1)}
    for name, mesh in (("one", None), ("4 rows", Layout(rows=4))):
        model = jaxrec.fit(MODELS["mf"], split, mesh=mesh, callbacks=[told.append], **how)
        report = jaxrec.evaluate(model, split, k=10, space=None)
        values = {value: report.mean(value) for value in report.names}
        RESULTS[f"validated/{name}"] = {"best": model.info["best_epoch"], "valid": model.info["valid"], "test": values}
        shapes = [np.shape(leaf) for leaf in jax.tree.leaves(told[-1].params())]
        RESULTS[f"validated/{name}"]["shapes"] = shapes


def resumed(folder):
    """A fit on 4 devices that is stopped and goes on with 4, 2 and 1, against fits that were never stopped."""

    class Stop(Exception):
        pass

    def stop(event):
        if event.record.epoch == 3:
            raise Stop

    model, how = MODELS["mf"], {"epochs": 5, "loss": BPR(), "key": jax.random.key(1), "validation": None}
    table_of = lambda model: np.asarray(model.variables["params"]["user_embedding"])  # noqa: E731
    ARRAYS["resumed/whole"] = table_of(jaxrec.fit(model, DATA, **how))
    ARRAYS["resumed/whole on 4"] = table_of(jaxrec.fit(model, DATA, mesh=Layout(rows=4), **how))
    started = {"mesh": Layout(rows=4), "checkpoint": jaxrec.Checkpoint(folder / "first"), "callbacks": [stop]}
    with contextlib.suppress(Stop):
        jaxrec.fit(model, DATA, **started, **how)
    for name, mesh in (("4 rows", Layout(rows=4)), ("2 rows", Layout(rows=2)), ("one", None)):
        kept, other = folder / name, name != "4 rows"
        shutil.copytree(folder / "first", kept)
        if other:
            try:
                jaxrec.fit(model, DATA, mesh=mesh, resume=kept, **how)
            except JaxrecError as error:
                RESULTS[f"refused/resume on {name}"] = str(error)
        found = jaxrec.fit(model, DATA, mesh=mesh, resume=kept, other_machine=other, **how)
        ARRAYS[f"resumed/{name}"] = table_of(found)
        RESULTS[f"resumed/{name}"] = len(found.info["records"])


def solved():
    """Implicit ALS whose rows several devices share: the vectors may be turned, and the scores are the same."""
    model = jaxrec.IALS(dim=8, iterations=4, l2=0.02)
    for mesh in (None, 2, 4, 8):
        name = "one" if mesh is None else f"{mesh} rows"
        made = jaxrec.fit(model, DATA, key=jax.random.key(2), mesh=mesh)
        ARRAYS[f"ials/{name}"] = np.asarray(made.scorer.users) @ np.asarray(made.scorer.items).T
        RESULTS[f"ials/{name}"] = made.info.get("mesh")


KEY = jax.random.key(4)
FEW = {"oversampling": 4, "iterations": 6}  # so that the small matrices here are not decomposed densely
DECOMPOSED = {
    "eigenpairs": lambda graph, block: leading_eigenpairs(graph, 4, KEY, **FEW),
    "smallest eigenpairs": lambda graph, block: leading_eigenpairs(graph, 4, KEY, which="smallest", **FEW),
    "all eigenpairs": lambda graph, block: leading_eigenpairs(graph, USERS + ITEMS, KEY),
    "svd": lambda graph, block: truncated_svd(block, 4, KEY, **FEW),
    "svd of the transpose": lambda graph, block: truncated_svd(block.T, 4, KEY, **FEW),
    "triplets": lambda graph, block: singular_triplets(block, 6, KEY, oversampling=6, tolerance=1e-5),
    "triplets of the transpose": lambda graph, block: singular_triplets(
        block.T, 6, KEY, oversampling=6, tolerance=1e-5
    ),
    "largest": lambda graph, block: (estimate_largest_eigenvalue(graph, KEY),),
}


def spectra(names, layouts):
    """Eigenvalues and vectors, singular values and vectors, on one device and with shared rows, placed back."""
    adjacency = train_data(DATA).adjacency
    block = user_item_block(adjacency, USERS, binary=False)
    for name in names:
        for array, found in enumerate(DECOMPOSED[name](adjacency, block)):
            ARRAYS[f"{name}/{array}/1 rows"] = np.asarray(found)
    for layout in layouts:
        graph, matrix = sharded_operator(adjacency, USERS, layout), sharded_matrix(block, layout)
        # By the rows with padding it is known what an axis is of.
        sides = [(side.shape[0], side) for side in (graph, matrix, matrix.T)]
        for name in names:
            for at, found in enumerate(DECOMPOSED[name](graph, matrix)):
                for size, side in sides:
                    if size in found.shape:
                        turned = found.shape[0] != size
                        found = side.original(found.T if turned else found)
                        found = found.T if turned else found
                ARRAYS[f"{name}/{at}/{layout.rows} rows"] = np.asarray(found)


FILTER = GraphFilter(terms=(OneHop(), LowPass(rank=12), UserLowPass(rank=8)), tolerance=1e-3)


def filtered(layouts):
    """Scores of a filter whose decomposition several devices share, and a list of a new user."""
    for mesh in (None, *layouts):
        name = f"{mesh or 1} rows"
        model = jaxrec.fit(FILTER, DATA, key=jax.random.key(2), mesh=mesh)
        ARRAYS[f"filter/{name}"] = np.asarray(model.scorer.scores(np.arange(USERS)))
        RESULTS[f"filter/{name}"] = model.info.get("mesh")


def filter_measured(layouts):
    """The figures, with validation and refit, of a filter as it is by default but for the number of vectors."""
    split = jaxrec.split(DATA, "user_random", test=0.2, valid=0.1, key=jax.random.key(0))
    for mesh in (None, *layouts):
        model = jaxrec.fit(GraphFilter(terms=(OneHop(), LowPass(rank=40))), split, key=jax.random.key(2), mesh=mesh)
        report = jaxrec.evaluate(model, split, k=10, space=None)
        new = jaxrec.recommend(model, history=[1, 2, 3], k=5)["new"]
        values = {value: report.mean(value) for value in report.names}
        told = {"valid": model.info["valid"], "test": values, "new": [one.item for one in new]}
        RESULTS[f"filter measured/{mesh or 1} rows"] = told


RANKERS = {
    "filter": SpectralRanker(head=LearntFilter(hops=(Hop(), Hop(0.5)), ends=(4, 12), epochs=3), tolerance=1e-5),
    "network": SpectralRanker(
        head=LearntNetwork(ends=(4, 12), hidden=(8, 4), epochs=2), tolerance=1e-5, candidates=None
    ),
}


def rankers(layouts):
    """Scores of rankers that learn from spectra which several devices share."""
    for name, model in RANKERS.items():
        for mesh in (None, *layouts):
            fitted = jaxrec.fit(model, DATA, key=jax.random.key(2), mesh=mesh)
            RESULTS[f"ranker/{name}/{mesh or 1} rows"] = [fitted.info.get("mesh"), fitted.info["ceiling"]]
            lists = jaxrec.recommend(fitted, list(range(USERS)), k=10, exclude=None)
            ARRAYS[f"ranker/{name}/{mesh or 1} rows"] = np.array([[one.score for one in shown] for _, shown in lists])


def members(layouts_of):
    """Models that are trained together on a mesh, against those that are trained together on one device."""
    keys = jax.random.split(jax.random.key(5), 3)
    for name, layouts in layouts_of.items():
        data = generated(943, 1_682, 12_000) if name == "large" else DATA
        how = {"loss": BPR(), "epochs": 6, "batch_size": 2**17, "optimizer": jaxrec.training.Adam(0.01)}
        how["regularizer"] = [jaxrec.losses.SquaredL2(weight) for weight in (0.0, 1e-4, 1e-3)]
        for layout in (None, *layouts):
            told = "one" if layout is None else f"{layout.rows} x {layout.columns}"
            for at, model in enumerate(jaxrec.fit_many(MODELS[name], data, keys=keys, mesh=layout, **how)):
                record(f"{name}, member {at}: {told}", model)


def members_resumed(folder):
    """Members whose training on 4 devices is stopped between two checkpoints, and goes on with 4 and with one."""

    class Stop(Exception):
        pass

    def stop(event):
        if event.record.epoch == 3:
            raise Stop

    split = jaxrec.split(DATA, "user_random", test=0.2, valid=0.2, key=jax.random.key(0))
    how = {"keys": jax.random.split(jax.random.key(5), 2), "epochs": 5, "loss": BPR()}
    how["validation"] = jaxrec.Validation(every=2)
    tables = lambda models: np.stack([each.variables["params"]["user_embedding"] for each in models])  # noqa: E731
    ARRAYS["members/whole"] = tables(jaxrec.fit_many(MODELS["mf"], split, mesh=Layout(rows=4), **how))
    started = {"mesh": Layout(rows=4), "checkpoint": jaxrec.Checkpoint(folder / "members"), "callbacks": [stop]}
    with contextlib.suppress(Stop):
        jaxrec.fit_many(MODELS["mf"], split, **started, **how)
    for name, mesh in (("4 rows", Layout(rows=4)), ("one", None)):
        kept = folder / f"members on {name}"
        shutil.copytree(folder / "members", kept)
        found = jaxrec.fit_many(MODELS["mf"], split, mesh=mesh, resume=kept, other_machine=mesh is None, **how)
        ARRAYS[f"members/{name}"] = tables(found)


def refusals():
    """What several devices cannot do, each in a sentence."""

    class Own(jaxrec.LightGCN):
        def __call__(self, adjacency):
            users, items = super().__call__(adjacency)
            return 2 * users, items

    @options
    class Reads(Uniform):
        num: int = static(default=1)

        def __call__(self, data, user, item, key):
            return data.adjacency.indptr[user], user >= 0

    explicit = jax.make_mesh((4,), ("rows",))
    odd = jax.make_mesh((4,), ("data",))
    sparse = jaxrec.training.Adam(0.01, sparse=True)
    for name, given in {
        "many devices": {"mesh": 9},
        "axes": {"mesh": odd},
        "no mesh": {"mesh": "four"},
        "model": {"model": jaxrec.SVDPP(dim=4), "mesh": 2},
        "parts": {"mesh": Layout(rows=4, item_parts=2)},
        "subclass": {"model": Own(dim=8), "mesh": 2},
        "solved": {"model": jaxrec.EASE(), "mesh": 2},
        "blocks": {"model": FILTER, "mesh": Layout(rows=2, blocks=2)},
        "blocks on one device": {"mesh": Layout(blocks=2)},
        "blocks by columns": {"mesh": Layout(columns=2, blocks=2)},
        "blocks of mf": {"model": jaxrec.MF(dim=8), "mesh": Layout(rows=2, blocks=4)},
        "filter by columns": {"model": FILTER, "mesh": Layout(columns=2)},
        "members": {"model": SpectralRanker(members=(Member(jaxrec.Popularity()),)), "mesh": 2},
        "rows": {"model": ByColumns(dim=8), "mesh": Layout(rows=2)},
        "columns": {"model": jaxrec.MF(dim=6), "mesh": Layout(columns=4)},
        "optimizer": {"mesh": Layout(rows=2), "optimizer": optax.noisy_sgd(0.1)},
        "sparse": {"model": jaxrec.MF(dim=8), "mesh": Layout(rows=2), "optimizer": sparse},
        "sampler": {"model": jaxrec.MF(dim=8), "mesh": Layout(rows=2), "negatives": Reads(), "loss": BPR()},
    }.items():
        given = {"model": LIGHTGCN, **given}
        trained = {} if name in ("solved", "blocks", "filter by columns", "members") else {"epochs": 1}
        try:
            jaxrec.fit(given.pop("model"), DATA, key=jax.random.key(0), **trained, **given)
            RESULTS[f"refused/{name}"] = None
        except JaxrecError as error:
            RESULTS[f"refused/{name}"] = str(error)
    RESULTS["explicit"] = fitted("mf", explicit, epochs=1).info["mesh"]


def plans():
    """What a step takes: stated before it is compiled, and counted in the compiled text."""
    sizes = DataSizes(2_990, 4_100, 81_000, 162_000)  # no array is made of them
    options = jaxrec.TrainingOptions(loss=BPR(), batch_size=512)
    model = with_sizes(jaxrec.LightGCN(dim=32, layers=2), sizes.users, sizes.items)
    rows = (Layout(rows=4), Layout(rows=8), Layout(rows=8, blocks=4))
    for layout in (Layout(), *rows, Layout(columns=8), Layout(2, 2)):
        plan = step_plan(model, sizes, options, layout, layout.mesh(), compiled=True)
        RESULTS[f"plan/{layout.rows} x {layout.columns} x {layout.blocks}"] = plan.to_dict()
    for name, model in {"simgcl": jaxrec.models.SimGCL, "xsimgcl": jaxrec.models.XSimGCL}.items():
        layout = Layout(rows=8)
        sized = with_sizes(model(dim=32, layers=2), sizes.users, sizes.items)
        RESULTS[f"plan/{name}"] = step_plan(sized, sizes, options, layout, layout.mesh(), compiled=True).to_dict()
    solved = with_sizes(GraphFilter(terms=(LowPass(rank=32),)), sizes.users, sizes.items)
    for layout in (Layout(), Layout(rows=8)):
        plan = step_plan(solved, sizes, options, layout, layout.mesh(), compiled=True)
        RESULTS[f"plan/filter/{layout.rows}"] = plan.to_dict()
        ials = jaxrec.IALS(dim=32, num_users=sizes.users, num_items=sizes.items)
        plan = step_plan(ials, sizes, options, layout, layout.mesh(), compiled=True)
        RESULTS[f"plan/ials/{layout.rows}"] = plan.to_dict()
    for name, chosen in {
        "lightgcn": (LIGHTGCN, options),
        "uneven": (jaxrec.LightGCN(dim=6), options),
        "by columns": (ByColumns(dim=8), options),
        "filter": (FILTER, options),
    }.items():
        layout, why = layout_for(chosen[0], DATA, chosen[1], devices=4)
        RESULTS[f"chosen/{name}"] = [layout.rows, layout.columns, why]


def main(folder, which):
    rows = [Layout(rows=number) for number in (2, 4, 8)]
    quick = (
        products,
        lambda: trained(QUICK),
        evaluation,
        item_parts,
        validated,
        lambda: resumed(folder),
        solved,
        lambda: filtered((4,)),
        lambda: members({"lightgcn": [Layout(rows=4)]}),
        refusals,
        plans,
    )
    slow = (
        lambda: trained(SLOW),
        lambda: spectra(DECOMPOSED, rows),
        lambda: filtered((2, 8)),
        lambda: filter_measured((2, 8)),
        lambda: rankers((2, 8)),
        lambda: members({"large": [Layout(rows=8), Layout(2, 2)], "mf": [Layout(rows=2), Layout(columns=4)]}),
        lambda: members_resumed(folder),
    )
    for check in quick if which == "quick" else slow:
        try:
            check()
        except Exception:
            RESULTS.setdefault("failed", []).append(traceback.format_exc())
    np.savez(folder / "arrays.npz", **ARRAYS)
    (folder / "results.json").write_text(json.dumps(RESULTS))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2])
