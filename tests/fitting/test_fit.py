"""`fit`: on a split and on interactions, validation and refit, what it reports, what it never reads, and bad input."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrec
from jaxrec import MF, FitOptions, ItemKNN, LightGCN, Popularity
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError, MismatchError, NonFiniteLossError
from jaxrec.evaluation._evaluator import evaluate_scorer

USERS, ITEMS = 30, 24
OPTIONS = FitOptions(epochs=4, eval_every=1, batch_size=64, learning_rate=0.02, patience=0)


def interactions(ratings=False):
    """Random interactions of two groups of users who prefer different halves of the catalogue."""
    rng = np.random.default_rng(0)
    likes = np.where(np.arange(USERS)[:, None] % 2 == np.arange(ITEMS)[None] * 2 // ITEMS, 0.6, 0.1)
    user, item = np.nonzero(rng.random((USERS, ITEMS)) < likes)
    rating = rng.integers(1, 6, len(user)) if ratings else None
    return jaxrec.from_arrays(user, item, rating)


DATA = interactions()
SPLIT = jaxrec.split(DATA, "user_random", test=0.2, valid=0.2, key=jax.random.key(0))


def fit(model=None, data=SPLIT, options=OPTIONS, seed=0, **rest):
    return jaxrec.fit(MF(dim=4) if model is None else model, data, options, key=jax.random.key(seed), **rest)


def pairs(seen):
    return {(user, item) for user in range(seen.num_users) for item in seen.of(user).tolist()}


def pairs_of(*parts):
    return {pair for part in parts for pair in zip(part.user.tolist(), part.item.tolist(), strict=True)}


def log_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def same_bits(first, second):
    leaves = zip(jax.tree.leaves(first.scorer), jax.tree.leaves(second.scorer), strict=True)
    return all(np.array_equal(one, other) for one, other in leaves)


def test_interactions_are_trained_on_as_they_are(tmp_path):
    fitted = fit(data=DATA, log=tmp_path / "log")
    assert pairs(fitted.seen) == pairs_of(DATA)
    assert fitted.info["best_epoch"] == OPTIONS.epochs
    lines = log_of(tmp_path / "log")
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert not any("valid" in line for line in lines)
    assert lines[-1]["loss"] < lines[0]["loss"]


def test_a_split_is_validated_on_train_and_then_fitted_on_train_and_valid(tmp_path):
    fitted = fit(log=tmp_path / "log")
    lines = log_of(tmp_path / "log")
    stages = list(dict.fromkeys(line["stage"] for line in lines))
    assert len(stages) == 2
    first, second = ([line for line in lines if line["stage"] == stage] for stage in stages)
    assert all("ndcg@10" in line["valid"] for line in first)
    assert not any("valid" in line for line in second)
    best = max(first, key=lambda line: (line["valid"]["ndcg@10"], -line["epoch"]))
    assert fitted.info["best_epoch"] == best["epoch"]
    assert len(second) == best["epoch"]
    assert fitted.info["valid"]["ndcg@10"] == pytest.approx(best["valid"]["ndcg@10"])
    assert pairs(fitted.seen) == pairs_of(SPLIT.train, SPLIT.valid)


def test_without_refit_the_best_epoch_on_train_is_kept():
    fitted = fit(options=dataclasses.replace(OPTIONS, refit=False))
    assert pairs(fitted.seen) == pairs_of(SPLIT.train)
    report = jaxrec.evaluate(fitted, SPLIT, k=(10,), part="valid", space=None)
    assert report.mean("ndcg@10") == pytest.approx(fitted.info["valid"]["ndcg@10"], rel=1e-6)


def test_without_validate_both_parts_are_trained_on_for_all_epochs():
    fitted = fit(options=dataclasses.replace(OPTIONS, validate=False))
    assert fitted.info["best_epoch"] == OPTIONS.epochs
    assert pairs(fitted.seen) == pairs_of(SPLIT.train, SPLIT.valid)
    both = fit(data=SPLIT.fitted, options=dataclasses.replace(OPTIONS, validate=False))
    assert pairs(both.seen) == pairs(fitted.seen)


def test_a_split_without_a_validation_part_is_trained_on_for_all_epochs():
    split = Split(SPLIT.fitted, SPLIT.valid.select([]), SPLIT.test, "by hand")
    fitted = fit(data=split)
    assert fitted.info["best_epoch"] == OPTIONS.epochs
    assert not fitted.info["valid"]


def test_the_test_part_is_never_read():
    other = Split(SPLIT.train, SPLIT.valid, SPLIT.test.select(np.arange(3)), "by hand")
    assert same_bits(fit(), fit(data=other))


def test_early_stopping_counts_validations(tmp_path):
    fitted = fit(options=dataclasses.replace(OPTIONS, epochs=400, eval_every=2, patience=3), log=tmp_path / "log")
    lines = log_of(tmp_path / "log")
    first = [line for line in lines if line["stage"] == lines[0]["stage"]]
    assert len(first) < 400
    assert len(first) == fitted.info["best_epoch"] + 3 * 2


def test_negatives_are_checked_against_the_fitted_part_only(tmp_path):
    """User 0's one item outside of training is a test item, so it is every negative that is drawn for this user.

    Were the test part checked too, there would be no negative for user 0, and these rows would be skipped.
    """
    data = jaxrec.from_arrays([0] * 9 + [1, 1], [*range(9), 0, 8])
    split = Split(data.select(data.item != 8), data.select([]), data.select(data.item == 8), "by hand")
    fitted = fit(data=split, options=FitOptions(epochs=30, learning_rate=0.05, batch_size=4), log=tmp_path / "log")
    assert all(line["skipped"] == 0 for line in log_of(tmp_path / "log"))
    scores = fitted.scorer.scores(jnp.array([0], jnp.int32))[0]
    assert int(np.argmin(scores)) == 8


MODELS = {"mf": MF(dim=4), "itemknn": ItemKNN(), "popularity": Popularity()}


INFO = (
    *("fitted_on", "best_epoch", "valid", "seconds", "records", "task", "rating_scale", "split", "notes", "data"),
    *("key", "versions"),
)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_known_of_the_fit_is_plain_json(name):
    fitted = fit(MODELS[name])
    assert json.loads(json.dumps(fitted.info, allow_nan=False)) == fitted.info
    assert set(fitted.info) == set(INFO)
    assert set(fitted.info["seconds"]) >= {"compile", "epochs"}
    assert isinstance(fitted.info["seconds"]["epochs"], list)
    assert fitted.info["data"]["users"] == USERS
    assert fitted.info["data"]["items"] == ITEMS
    assert fitted.name == name
    assert (fitted.options is None) == (name != "mf")
    assert str(fitted) == f"{type(MODELS[name]).__name__} fitted on train and valid: {USERS} users, {ITEMS} items"


def test_any_optax_optimiser_takes_the_place_of_the_option():
    options, still = dataclasses.replace(OPTIONS, validate=False), optax.chain(optax.clip(1.0), optax.sgd(0.0))
    after_4 = fit(options=options, optimizer=still)
    after_1 = fit(options=dataclasses.replace(options, epochs=1), optimizer=still)
    assert same_bits(after_4, after_1)  # Adam, the default, would move
    assert not same_bits(after_4, fit(options=options))


def test_a_popularity_prior_changes_the_ranking_and_not_the_training():
    plain = dataclasses.replace(OPTIONS, loss="softmax", negatives=0, refit=False, temperature=0.2)
    without, with_prior = fit(options=plain), fit(options=dataclasses.replace(plain, popularity_prior=0.8))
    share = np.bincount(SPLIT.train.item, minlength=ITEMS) / len(SPLIT.train)
    users, items = (np.asarray(table, np.float64) for table in (without.scorer.users, without.scorer.items))
    cosine = users @ items.T / np.linalg.norm(users, axis=1)[:, None] / np.linalg.norm(items, axis=1)
    everyone = jnp.arange(USERS, dtype=jnp.int32)
    expected = cosine / 0.2 + 0.8 * np.log(share)
    np.testing.assert_allclose(with_prior.scorer.scores(everyone), expected, rtol=1e-4, atol=1e-5)
    # Validation ranked by the same scores.
    report = evaluate_scorer(with_prior.scorer, SPLIT.valid, seen=with_prior.seen, k=(10, 20), space=None)
    assert with_prior.info["valid"]["ndcg@10"] == pytest.approx(report.mean("ndcg@10"), rel=1e-6)
    assert with_prior.info["valid"] != without.info["valid"]


def test_keys_count():
    options = dataclasses.replace(OPTIONS, validate=False)
    assert same_bits(fit(options=options, seed=1), fit(options=options, seed=1))
    assert not same_bits(fit(options=options, seed=1), fit(options=options, seed=2))


def test_nothing_is_printed_without_a_progress_bar(capfd):
    fit(options=dataclasses.replace(OPTIONS, validate=False))
    assert capfd.readouterr() == ("", "")


def test_an_old_log_is_replaced(tmp_path):
    path = tmp_path / "log"
    for _ in range(2):
        fit(options=dataclasses.replace(OPTIONS, validate=False), log=path)
        assert len(log_of(path)) == OPTIONS.epochs


def test_ratings_are_predicted_on_their_own_scale():
    data = interactions(ratings=True)
    options = FitOptions(loss="mse", epochs=60, learning_rate=0.02, batch_size=64, l2=0.0, validate=False)
    fitted = fit(MF(dim=8, bias=True), data, options)
    users, items = data.users.ids[data.user], data.items.ids[data.item]
    predicted = jaxrec.predict(fitted, users, items)
    error = np.sqrt(np.mean((predicted - data.rating) ** 2))
    assert error < 0.5 * np.std(data.rating)  # the mean alone would be at 1 time the deviation
    assert predicted.min() >= 1
    assert predicted.max() <= 5


def test_evaluating_on_what_it_was_fitted_on_is_refused():
    fitted = fit(Popularity(), data=DATA)
    with pytest.raises(MismatchError, match=f"fitted on {len(SPLIT.test):,} of the {len(SPLIT.test):,} test"):
        jaxrec.evaluate(fitted, SPLIT)
    refitted = fit(Popularity())
    with pytest.raises(MismatchError, match=f"of the {len(SPLIT.valid):,} valid"):
        jaxrec.evaluate(refitted, SPLIT, part="valid")
    assert jaxrec.evaluate(refitted, SPLIT, space=None).mean("recall@10") > 0


def test_a_model_and_a_split_that_do_not_fit_raise():
    fitted = fit(Popularity())
    smaller = jaxrec.split(DATA.select(DATA.user < 9).compact(), "user_random", key=jax.random.key(0))
    with pytest.raises(MismatchError, match=f"9 users and the model was fitted with {USERS}"):
        jaxrec.evaluate(fitted, smaller)
    renamed = jaxrec.from_arrays(DATA.user + 100, DATA.item)
    with pytest.raises(MismatchError, match="users"):
        jaxrec.evaluate(fitted, jaxrec.split(renamed, "user_random", key=jax.random.key(0)))


def test_a_loss_that_is_not_finite_raises_with_the_last_good_state():
    # Squares of 1e30 leave the range of float32 at the first step that moves.
    options = FitOptions(loss="mse", epochs=9, optimizer="sgd", learning_rate=1e30, l2=0.0)
    with pytest.raises(NonFiniteLossError, match="lower the learning rate") as caught:
        fit(data=interactions(ratings=True), options=options)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(caught.value.state.params))


BAD_CALLS = {
    "no interaction": ({"data": DATA.select([])}, "no interaction; loosen"),
    "no split": ({"data": [1, 2]}, "data must be a Split or Interactions, got list"),
    "no model": ({"model": "mf"}, "model must be one of jaxrec.models .*got str"),
    "no ratings": ({"options": FitOptions(loss="mse")}, "ratings.* and the data have none"),
    "users": ({"model": MF(num_users=USERS + 1)}, f"num_users={USERS + 1} and the data have {USERS}"),
    "items": ({"model": LightGCN(num_items=2)}, f"num_items=2 and the data have {ITEMS}"),
    "monitor": ({"options": FitOptions(monitor="auc")}, "'auc', which validation does not measure; it has"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls_raise(name):
    arguments, message = BAD_CALLS[name]
    with pytest.raises(JaxrecError, match=message):
        fit(**arguments)


IN_BATCH = {"loss": "softmax", "negatives": 0}
BAD_OPTIONS = {
    "batch_size": ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    "epochs": ({"epochs": 0}, "epochs must be at least 1, got 0"),
    "eval_every": ({"eval_every": 0}, "eval_every must be at least 1, got 0"),
    "patience": ({"patience": -1}, "patience must be at least 0, got -1"),
    "negatives": ({"negatives": -1}, "negatives must be at least 0, got -1"),
    "no negatives": ({"negatives": 0}, "negatives=0 leaves the loss 'bpr' nothing to compare with"),
    "learning_rate": ({"learning_rate": 0.0}, "learning_rate must be positive, got 0.0"),
    "nan": ({"learning_rate": float("nan")}, "learning_rate must be positive, got nan"),
    "optimizer": ({"optimizer": "lbfgs"}, "optimizer must be .* got 'lbfgs'"),
    "loss": ({"loss": "hinge"}, "loss must be .* got 'hinge'"),
    "l2": ({"l2": -0.1}, "l2 must not be negative, got -0.1"),
    "temperature": ({"temperature": 0.0}, "temperature must be positive, got 0.0"),
    "decay": ({"decay": 1.5}, r"decay must lie in \(0, 1\], got 1.5"),
    "momentum": ({"momentum": 0.9}, "momentum .* got 0.9 with 'adam'"),
    "prior": ({**IN_BATCH, "popularity_prior": -0.5}, "popularity_prior .* not negative, got -0.5; None"),
    "prior, nan": ({**IN_BATCH, "popularity_prior": float("nan")}, "popularity_prior .* not negative, got nan"),
    "prior, bpr": (
        {"popularity_prior": 0.5},
        "popularity_prior=0.5 goes with loss=\"softmax\", negatives=0 .* got 'bpr', 1",
    ),
    "prior, corrected": (
        {**IN_BATCH, "popularity_prior": 0.5, "correct_popularity": True},
        "popularity_prior=0.5 goes with .* correct_popularity=False, got 'softmax', 0 and True",
    ),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_options_raise(name):
    options, message = BAD_OPTIONS[name]
    with pytest.raises(JaxrecError, match=message):
        FitOptions(**options)
