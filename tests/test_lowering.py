"""Every jitted program of the library lowers for CUDA and for TPU, without a call of what only CPUs have.

A workload runs on the CPU, and the programs that it calls are noted; each is then lowered for both platforms. Models,
losses, samplers, optimizers, metrics and re-rankers are taken from the registry, so a new one takes part by itself, and
a jitted function that no workload reaches fails the last test.
"""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recording import foreign_calls, jitted_functions, recording
from worlds import middle, middle_split

import jaxrec
from jaxrec import factorization, ranking, registry, spectral, statistics
from jaxrec.evaluation import SampledMetricsWarning
from jaxrec.losses import BPR
from jaxrec.models import Member, SpectralRanker, with_sizes
from jaxrec.pages.explorer._engine import Engine
from jaxrec.parallel import Layout
from jaxrec.pytrees import structure_of
from jaxrec.sparse import operator
from jaxrec.testing import checkerboard
from jaxrec.training import _epoch, init_state, step_for, train_data

KEY = jax.random.key(0)
# What a model or an object with options takes of these makes its programs small; the programs stay the same otherwise.
SMALL = {"dim": 4, "layers": 2, "hidden": 4, "neighbors": 5, "top": 3}

# What runs on the host, and so is no program that could lower: the inverses of EASE and SANSA's dense columns, which
# LAPACK makes in the memory of the matrix (`models/_host_inverse.py`); statistics of training (`bincount`); and all of
# `data`. They run beside an accelerator as they do here. The suites of `jaxrec.testing` are no part of a program.
NOT_OF_THE_LIBRARY = ("jaxrec.testing.",)


def made(kind, name, **options):
    found = registry.find(kind, name)
    taken = {word: value for word, value in {**SMALL, **options}.items() if word in registry.options_of(found)}
    return registry.make(kind, found, options=taken)


def fit(model, data, **how):
    """Fit; a trained model runs one epoch, of which the recorder has the program."""
    options = {"epochs": 1, "batch_size": 32, "validation": None} if hasattr(model, "encode") else {}
    return jaxrec.fit(model, data, key=KEY, **options, **how)


def model_of(name):
    """A fit, long and short lists, similar items, and lists of new users where the model has them."""
    fitted = fit(made("model", name), checkerboard())
    jaxrec.recommend(fitted, list(range(16)), k=3, memory_mb=1)
    if type(fitted.model).serves_new_users:
        jaxrec.recommend(fitted, history=[100, 102], k=3)


def epoch_of(model, loss=None, *, negatives=None, optimizer="adam", regularizer="squared", **options):
    """Note the epoch of a training, without running anything of it."""
    how = {"loss": loss or BPR(), "optimizer": optimizer, "regularizer": regularizer, "batch_size": 32}
    given = jaxrec.TrainingOptions(negatives=negatives, **how, **options)
    data = train_data(checkerboard(rated=True))
    sized = with_sizes(model.prepared(checkerboard(rated=True), model.task(given.loss)), 17, 17)
    step, sampler = step_for(given.objective(sized), given.optimizer), given.sampler_for(data)

    def begin(key):
        return init_state(sized.lazy_init(key, jax.eval_shape(lambda: data.adjacency))["params"], step, key)

    state, structure = jax.eval_shape(begin, KEY), structure_of((step, sampler))
    _epoch.run_epoch.lower(state, step, sampler, data, batch_size=32, structure=structure)


def several_at_once():
    wide = made("model", "lightgcn", dim=2048)  # over 2^16 parameters a member, which CPUs take one after another
    jaxrec.fit_many(wide, checkerboard(), keys=[KEY, KEY], epochs=1, batch_size=32, validation=None)


def on_two_devices():
    """Products in a `shard_map`, lists of users that the devices share, and halves of iALS, for fake devices."""
    for layout in (Layout(rows=2), Layout(columns=2)):
        fit(made("model", "lightgcn"), checkerboard(), mesh=layout)
    fitted = fit(made("model", "ials"), checkerboard(), mesh=2)
    jaxrec.recommend(fitted, list(range(16)), k=3, memory_mb=0.02, mesh=2)
    jaxrec.recommend(fitted, list(range(16)), k=3, mesh=jaxrec.parallel.Layout(rows=2, item_parts=2))


def of_initial_vectors():
    fit(made("model", "mf", initializer="svd"), checkerboard())


def of_ratings():
    split = middle_split(rated=True)
    fitted = fit(made("model", "nmf"), split, refit=False, loss="mse")
    jaxrec.evaluate_ratings(fitted, split)
    jaxrec.recommend(fitted, history={0: 5.0, 1: 3.0}, k=3)
    jaxrec.recommend(
        fit(made("model", "mf", bias=True), checkerboard(rated=True), loss="mse"), history={100: 5.0, 101: 3.0}, k=3
    )


def of_evaluation():
    """All metrics that are of lists and scores, with groups of items, and those of sampled candidates."""
    split = middle_split(rated=True)
    fitted = fit(made("model", "ease"), split, refit=False)
    names = [name for name in registry.BUILT_IN["metric"] if name not in ("rmse", "mae")]
    labels = np.arange(split.train.num_items) % 3
    categories = jnp.asarray(labels[:, None] == np.arange(3)[None])
    jaxrec.evaluate(fitted, split, k=(2, 5), metrics=names, item_categories=categories, item_groups=labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SampledMetricsWarning)
        jaxrec.evaluate_sampled(fitted, split, KEY, sampled=6, k=(2, 5), metrics=["recall", "ndcg"])


def of_lists_by_blocks():
    """A catalog so large beside k that the ranking goes by blocks of items."""
    users, items = np.divmod(np.arange(400), 200)
    data = jaxrec.from_arrays(users, items)
    jaxrec.recommend(fit(made("model", "popularity"), data), [0, 1], k=1, filter_seen=False, memory_mb=0.02)


def of_rerankers():
    rng = np.random.default_rng(0)
    lists, scores = np.tile(np.arange(6), (2, 1)), -np.sort(-rng.random((2, 6)), axis=1).astype(np.float32)
    vectors = rng.random((6, 3)).astype(np.float32)
    for name in registry.BUILT_IN["reranker"]:
        ranking.rerank(lists, scores, vectors, 3, name)
    ranking.mmr(scores[0], vectors, 3, trade_off=0.5)
    ranking.greedy_dpp(scores[0], vectors, 3, trade_off=0.5)


def of_graphs():
    pairs = jaxrec.graph.biadjacency(checkerboard())
    jaxrec.graph.adjacency(pairs)
    jaxrec.graph.normalized_biadjacency(pairs)


def of_spectra():
    matrix = train_data(checkerboard()).adjacency
    spectral.leading_eigenpairs(matrix, 3, KEY)
    spectral.truncated_svd(matrix, 3, KEY)
    spectral.singular_triplets(matrix, 3, KEY)
    spectral.coclusters(matrix, 3, KEY)
    coefficients = spectral.chebyshev_coefficients(jnp.exp, 3, (0.0, 2.0))
    spectral.chebyshev_response(coefficients, jnp.ones(3), (0.0, 2.0))
    spectral.chebyshev_filter(matrix, coefficients, jnp.ones((34, 2)), (0.0, 2.0))


def of_factorizations():
    x = jaxrec.graph.biadjacency(middle(rated=True))
    factorization.nmf(x, 2, KEY, solver="mu", max_iter=2)  # by coordinates: as a model, above
    found = factorization.masked_nmf(x, 2, KEY, solver="mu", max_iter=2)
    factorization.refit_scales(x, found.w, found.h)
    factors = factorization.implicit_als(operator(x), 2, KEY, iterations=1)
    factorization.implicit_als_objective(operator(x), factors.users, factors.items)


def blend_by(name):
    split = middle_split()
    members = [fit(made("model", word), split, refit=False) for word in ("ease", "itemknn")]
    jaxrec.blend(members, split, calibration=name, key=KEY, refit=False)


def of_members():
    members = (Member(made("model", "itemknn")),)
    fit(SpectralRanker(members=members, share=0.2), checkerboard())


def of_new_items():
    jaxrec.add_items(fit(made("model", "ease"), checkerboard()), {7: [0, 2, 4]})
    jaxrec.add_items(fit(made("model", "nmf"), checkerboard()), {7: [0, 2, 4]})


def of_statistics():
    rng = np.random.default_rng(0)
    a, b = rng.random(20).astype(np.float32), rng.random(20).astype(np.float32)
    statistics.paired_bootstrap(a, b, KEY, resamples=40)
    statistics.permutation_test(a, b, KEY, permutations=40)


def of_explorer():
    Engine({"knn": fit(made("model", "itemknn"), checkerboard())}).warm()


TRAINED = [name for name in registry.BUILT_IN["model"] if hasattr(registry.find("model", name), "encode")]
CALIBRATIONS, LOSSES, SAMPLERS = (registry.BUILT_IN[kind] for kind in ("calibration", "loss", "negatives"))
OPTIMIZERS = registry.BUILT_IN["optimizer"]
WORKLOADS = {
    **{f"model {name}": functools.partial(model_of, name) for name in registry.BUILT_IN["model"]},
    **{
        f"loss {name}": lambda name=name: epoch_of(made("model", "mf"), made("loss", name), optimizer="sgd")
        for name in LOSSES
    },
    **{
        f"negatives {name}": lambda name=name: epoch_of(made("model", "mf"), negatives=name, optimizer="sgd")
        for name in SAMPLERS
    },
    **{f"optimizer {name}": lambda name=name: epoch_of(made("model", "mf"), optimizer=name) for name in OPTIMIZERS},
    **{
        f"row steps of {name}": lambda name=name: epoch_of(
            made("model", "mf", bias=True), optimizer=made("optimizer", name, sparse=True, decay=0.9)
        )
        for name in OPTIMIZERS
    },
    **{f"calibration {name}": functools.partial(blend_by, name) for name in CALIBRATIONS},
    "regularizer norm": lambda: epoch_of(made("model", "mf"), regularizer="norm"),
    "products in bfloat16": lambda: epoch_of(made("model", "lightgcn", moved="bfloat16")),
    "several at once": several_at_once,
    "two devices": on_two_devices,
    "initial vectors": of_initial_vectors,
    "ratings": of_ratings,
    "evaluation": of_evaluation,
    "lists by blocks": of_lists_by_blocks,
    "re-rankers": of_rerankers,
    "graphs": of_graphs,
    "spectra": of_spectra,
    "factorizations": of_factorizations,
    "members": of_members,
    "new items": of_new_items,
    "statistics": of_statistics,
    "explorer": of_explorer,
}


@functools.cache
def programs_of(workload):
    with recording() as programs:
        WORKLOADS[workload]()
    assert programs
    return programs


# Further objects of a kind, whose programs differ little from those of the first.
SLOW = ["calibration share", "calibration zscore", "initial vectors", "model xsimgcl"]


def assert_lowers(workload):
    for program, traced in programs_of(workload).items():
        assert not foreign_calls(program, traced), program


@pytest.mark.parametrize("workload", [name for name in WORKLOADS if name not in SLOW])
def test_programs_lower_without_calls_that_the_platform_does_not_have(workload):
    assert_lowers(workload)


@pytest.mark.slow
@pytest.mark.parametrize("workload", SLOW)
def test_further_programs_lower_too(workload):
    assert_lowers(workload)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", TRAINED)
def test_epochs_of_every_model_with_every_loss_lower(model, loss):
    with recording() as programs:
        epoch_of(made("model", model), made("loss", loss))
    assert not any(foreign_calls(*program) for program in programs.items())


def test_every_jitted_function_of_the_library_takes_part():
    reached = {place for workload in WORKLOADS if workload not in SLOW for place, *_ in programs_of(workload)}
    functions = {place for place in jitted_functions()[0] if not place.startswith(NOT_OF_THE_LIBRARY)}
    assert functions - reached == set()


def test_a_call_of_the_cpu_is_found():
    solve = jax.ffi.ffi_call("lapack_spotrf_ffi", jax.ShapeDtypeStruct((2, 2), jnp.float32))
    assert foreign_calls("solve", jax.jit(solve).trace(jnp.eye(2))) == ["lapack_spotrf_ffi"]
