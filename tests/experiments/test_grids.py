"""The grids of the experiments: what each setting is, and a choice by the validation part on generated ratings."""

import dataclasses

import jax
import numpy as np
import pytest

import jaxrec
from experiments.bench.config import Options
from experiments.bench.ratings import fold
from experiments.diversity.config import candidates
from experiments.movielens_small import config as small
from experiments.rating import main as rating
from experiments.rating.config import GRIDS, Grid
from jaxrec.fitting import with_settings
from jaxrec.losses import BPR, SquaredError, SquaredL2
from jaxrec.training import SGD, Adam


def test_the_settings_of_the_rating_grids_are_those_of_the_tables():
    made = {
        name: [with_settings(grid.model, grid.options, settings) for settings in grid.settings]
        for name, grid in GRIDS.items()
    }
    mf = [(model.dim, options.regularizer.weight) for model, options in made["mf"]]
    assert mf == [(200, 0.16), (200, 0.20), (200, 0.24), (100, 0.20)]
    svdpp = [(model.dim, model.implicit_l2, options.batch_size) for model, options in made["svdpp"]]
    assert svdpp == [(47, 0.006, 4000), (47, 0.02, 4000), (47, 0.006, 4000), (55, 0.006, 2000)]
    assert [options.regularizer for _, options in made["svdpp"]] == [SquaredL2(w) for w in (0.16, 0.16, 0.20, 0.16)]
    nmf = [(model.dim, model.l2, model.iterations) for model, _ in made["nmf"]]
    assert nmf == [(50, 0.10, 50), (50, 0.14, 50), (50, 0.18, 50), (50, 0.14, 100)]
    for name, rate, decay in (("mf", 0.012, 0.96), ("svdpp", 0.0125, 0.93)):
        for _, options in made[name]:
            assert (options.optimizer, options.loss) == (SGD(rate, decay=decay), SquaredError())
            assert (options.reduction, options.epochs, options.validation.every) == ("sum", 40, 1)


def test_the_chosen_settings_of_the_main_job_are_among_those_that_are_tried():
    for name, space in small.GRIDS.items():
        model, options = small.CHOSEN[name]
        for path, values in space.items():
            root, _, field = path.partition(".")
            assert getattr(model if root == "model" else getattr(options, root), field) in values
    _, options = small.CHOSEN["mf"]
    assert (options.optimizer, options.regularizer, options.loss) == (Adam(2e-3), SquaredL2(3e-2), BPR())


def test_the_models_of_the_diversity_experiment_have_their_own_penalty_or_loss():
    mf, _ = candidates("ml-100k")["mf"], candidates("gowalla")["lightgcn-3"]
    assert (mf[1].regularizer, mf[1].epochs, mf[1].optimizer) == (SquaredL2(1e-2), 150, Adam(5e-3))
    _, large = candidates("gowalla")["lightgcn-3"]
    assert (large.loss.chunks, large.batch_size, large.regularizer, large.validation.patience) == (16, 8192, None, 1)
    assert candidates("gowalla")["mf"][1].epochs == 30


@pytest.mark.parametrize("name", ["mf", "nmf"])
def test_a_fold_chooses_on_a_tenth_and_trains_the_choice_with_every_seed(name):
    data = fold(Options(quick=True))
    whole = GRIDS[name]
    settings = [{"model.dim": 4}, {"model.dim": 6}]
    options = dataclasses.replace(whole.options, batch_size=256, epochs=2) if name == "mf" else whole.options
    grid = Grid(whole.model.clone(iterations=2) if name == "nmf" else whole.model, options, tuple(settings))
    row = rating.ours(grid, data, 1)
    choice = jaxrec.split(data, "predefined", valid=0.1, key=jax.random.key(1))
    alone = [
        jaxrec.fit(
            grid.model.clone(dim=dim), choice, dataclasses.replace(options, refit=False), key=jax.random.key(1000)
        ).info
        for dim in (4, 6)
    ]
    assert row["validation"] == [info["valid"]["rmse"] for info in alone]
    assert row["chosen"] == int(np.argmin(row["validation"]))
    assert row["epochs"] == max(alone[row["chosen"]]["best_epoch"], 1)
    assert len(row["rmse"]) == len(rating.SEEDS)
