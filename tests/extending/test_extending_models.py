"""A trained and a solved model from outside: the suites, fit, evaluate, the command line, saving and restoring."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from examples.extending.loss import Hinge
from examples.extending.solved_model import RP3Beta
from examples.extending.trained_model import Euclidean
from jaxrec.errors import JaxrecError, RunFolderError
from jaxrec.testing import ModelConformance, SolverConformance, checkerboard
from jaxrec.training import Adam, train_data

OPTIONS = jaxrec.TrainingOptions(loss=Hinge(2.0), epochs=40, batch_size=32, optimizer=Adam(0.05), regularizer=None)


class TestEuclidean(ModelConformance):
    model = Euclidean(dim=4)
    options = OPTIONS
    kinds = (Hinge,)


class TestRP3Beta(SolverConformance):
    model = RP3Beta()


MODELS = {
    "examples.extending.trained_model:Euclidean": (Euclidean(dim=4), ("--dim", "4", "--epochs", "2")),
    "examples.extending.solved_model:RP3Beta": (RP3Beta(beta=0.3), ("--beta", "0.3")),
}


@pytest.mark.parametrize("place", MODELS)
def test_it_takes_part_in_fit_evaluate_and_storage(place, split, tmp_path):
    model = MODELS[place][0]
    how = {"epochs": 2, "batch_size": 32} if isinstance(model, Euclidean) else {}
    fitted = jaxrec.fit(model, split, key=jax.random.key(0), **how)
    assert fitted.name == place
    report = jaxrec.evaluate(fitted, split, k=3, space=None)
    folder = jaxrec.save(fitted, tmp_path / "run")
    with pytest.raises(RunFolderError, match=rf"object of {place}.*kinds=\[{type(model).__name__}"):
        jaxrec.restore(folder)
    restored = jaxrec.restore(folder, kinds=[type(model)])
    assert restored.model == fitted.model
    assert jaxrec.evaluate(restored, split, k=3, space=None).to_dict()["mean"] == report.to_dict()["mean"]
    shown = jaxrec.similar_items(restored, [100], k=2)[100]
    assert len(shown) == 2


@pytest.mark.parametrize("place", MODELS)
def test_the_command_line_takes_it_with_its_own_flags(place, ratings, cli, tmp_path):
    model, flags = MODELS[place]
    run = tmp_path / "run"
    document = cli("fit", ratings, "--model", place, *flags, "--out", run, "-k", "3", "--no-distances").json
    restored = jaxrec.restore(run, kinds=[type(model)])
    given = flags[0].removeprefix("--")
    assert str(getattr(restored.model, given)) == flags[1]
    again = cli("evaluate", run, "-k", "3", "--no-distances", "--kind", place).json
    assert again["mean"] == document["test"]
    assert again["model"] == place
    for words in (
        ("recommend", "--user", "0"),
        ("similar", "--item", "100"),
        ("predict", "--user", "0", "--item", "100"),
    ):
        assert cli(words[0], run, *words[1:], "--kind", place).status == 0
        assert f"--kind {place}" in cli(words[0], run, *words[1:]).error


def test_several_euclidean_models_train_in_one_program(split):
    keys = list(jax.random.split(jax.random.key(0)))
    losses = [Hinge(0.5), Hinge(1.0)]
    members = jaxrec.fit_many(Euclidean(dim=4), split, keys=keys, loss=losses, epochs=2, batch_size=32)
    for key, loss, member in zip(keys, losses, members, strict=True):
        alone = jaxrec.fit(Euclidean(dim=4), split, key=key, loss=loss, epochs=2, batch_size=32)
        np.testing.assert_allclose(alone.info["records"][-1]["loss"], member.info["records"][-1]["loss"], rtol=1e-4)


def test_scores_of_the_euclidean_model_are_squared_distances():
    model = Euclidean(dim=3, num_users=4, num_items=5)
    variables = model.init(jax.random.key(0))
    users, items = (np.asarray(variables["params"][name], np.float64) for name in ("users", "items"))
    expected = -np.square(users[:, None] - items[None]).sum(axis=2)
    scores = model.apply(variables, method="scorer").scores(jnp.arange(4, dtype=jnp.int32))
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_the_random_walk_is_the_walk_step_by_step():
    data = checkerboard()
    model = RP3Beta(beta=0.5, num_users=17, num_items=17)
    scores = model.solve(train_data(data), jax.random.key(0)).scorer.scores(jnp.array([2], jnp.int32))[0]
    r = np.zeros((17, 17))
    r[data.user, data.item] = 1
    expected = np.zeros(17)
    for j in np.flatnonzero(r[2]):
        for user in np.flatnonzero(r[:, j]):
            for i in np.flatnonzero(r[user]):
                expected[i] += (i != j) / r[:, j].sum() / r[user].sum() / r[:, i].sum() ** 0.5
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-7)


class Closed(Euclidean):
    serves_new_users = False


def test_new_users_are_served_by_the_model_that_says_so(split):
    nothing = split.train.select(np.zeros(len(split.train), bool))
    held = dataclasses.replace(split, valid=nothing, fold_in=split.valid, method="held out")
    fitted = jaxrec.fit(RP3Beta(), held, key=jax.random.key(0))
    assert len(fitted.seen.items) == len(split.train) + len(split.valid)
    with pytest.raises(JaxrecError, match="Closed has no vector for them"):
        jaxrec.fit(Closed(dim=2), held, key=jax.random.key(0))
    # A model of vectors says nothing and serves them, by least squares.
    lists = jaxrec.recommend(jaxrec.fit(Euclidean(dim=2), held, epochs=1, key=jax.random.key(0)), history=[100], k=3)
    assert len(lists["new"]) == 3
