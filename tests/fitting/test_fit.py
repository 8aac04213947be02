"""`fit`: on a split and on interactions, validation and refit, what it reports, what it never reads, and bad input."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from worlds import ITEMS, USERS, middle, middle_split

import jaxrec
from jaxrec import EASE, MF, NMF, FitOptions, ItemKNN, LightGCN, Popularity, TrainingOptions, Validation
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError, MismatchError, NonFiniteLossError
from jaxrec.evaluation import evaluate_scorer
from jaxrec.losses import BPR, InBatchSoftmax, Logistic, SampledSoftmax, SquaredError, SquaredL2
from jaxrec.sampling import Uniform
from jaxrec.training import SGD, Adam

OPTIONS = TrainingOptions(epochs=4, batch_size=64, optimizer=Adam(0.02), validation=Validation(every=1, patience=0))
ALL = dataclasses.replace(OPTIONS, validation=None)


DATA, SPLIT, RATED = middle(), middle_split(), middle_split(rated=True)


def fit(model=None, data=SPLIT, options=OPTIONS, seed=0, **rest):
    how = {"key": None if seed is None else jax.random.key(seed), **rest}
    return jaxrec.fit(MF(dim=4) if model is None else model, data, options, **how)


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
    fitted = fit(options=ALL)
    assert fitted.info["best_epoch"] == OPTIONS.epochs
    assert pairs(fitted.seen) == pairs_of(SPLIT.train, SPLIT.valid)
    both = fit(data=SPLIT.fitted, options=ALL)
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
    fitted = fit(
        options=dataclasses.replace(OPTIONS, epochs=400, validation=Validation(every=2, patience=3)),
        log=tmp_path / "log",
    )
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
    fitted = fit(
        data=split,
        options=TrainingOptions(loss=BPR(), epochs=30, optimizer=Adam(0.05), batch_size=4),
        log=tmp_path / "log",
    )
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
    fitted = fit(MODELS[name], options=OPTIONS if name == "mf" else None)
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
    slow, still = (optax.chain(optax.clip(1.0), optax.sgd(rate)) for rate in (1e-3, 0.0))
    assert not same_bits(fit(options=ALL, optimizer=slow), fit(options=ALL))
    with pytest.raises(JaxrecError, match="no parameter moved in 4 epochs, so nothing was learned"):
        fit(options=ALL, optimizer=still)  # Adam, the default, would move


def test_logit_adjustment_changes_the_ranking_and_not_the_training():
    plain = dataclasses.replace(OPTIONS, epochs=1, refit=False)  # so that validation chooses the same epoch
    without, with_prior = (
        fit(options=plain, loss=InBatchSoftmax(temperature=0.2, logit_adjustment=weight)) for weight in (None, 0.8)
    )
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
    options = ALL
    assert same_bits(fit(options=options, seed=1), fit(options=options, seed=1))
    assert not same_bits(fit(options=options, seed=1), fit(options=options, seed=2))


def test_nothing_is_printed_without_a_progress_bar(capfd):
    fit(options=ALL)
    assert capfd.readouterr() == ("", "")


def test_an_old_log_is_replaced(tmp_path):
    path = tmp_path / "log"
    for _ in range(2):
        fit(options=ALL, log=path)
        assert len(log_of(path)) == OPTIONS.epochs


def test_ratings_are_predicted_on_their_own_scale():
    data = middle(rated=True)
    options = TrainingOptions(loss=SquaredError(), epochs=60, optimizer=Adam(0.02), batch_size=64, regularizer=None)
    fitted = fit(MF(dim=8, bias=True), data, options)
    users, items = data.users.ids[data.user], data.items.ids[data.item]
    predicted = jaxrec.predict(fitted, users, items)
    error = np.sqrt(np.mean((predicted - data.rating) ** 2))
    assert error < 0.5 * np.std(data.rating)  # the mean alone would be at 1 time the deviation
    assert predicted.min() >= 1
    assert predicted.max() <= 5


def test_evaluating_on_what_it_was_fitted_on_is_refused():
    fitted = fit(Popularity(), data=DATA, options=None)
    with pytest.raises(MismatchError, match=f"fitted on {len(SPLIT.test):,} of the {len(SPLIT.test):,} test"):
        jaxrec.evaluate(fitted, SPLIT)
    refitted = fit(Popularity(), options=None)
    with pytest.raises(MismatchError, match=f"of the {len(SPLIT.valid):,} valid"):
        jaxrec.evaluate(refitted, SPLIT, part="valid")
    assert jaxrec.evaluate(refitted, SPLIT, space=None).mean("recall@10") > 0


def test_a_model_and_a_split_that_do_not_fit_raise():
    fitted = fit(Popularity(), options=None)
    smaller = jaxrec.split(DATA.select(DATA.user < 9).compact(), "user_random", key=jax.random.key(0))
    with pytest.raises(MismatchError, match=f"9 users and the model was fitted with {USERS}"):
        jaxrec.evaluate(fitted, smaller)
    renamed = jaxrec.from_arrays(DATA.user + 100, DATA.item)
    with pytest.raises(MismatchError, match="users"):
        jaxrec.evaluate(fitted, jaxrec.split(renamed, "user_random", key=jax.random.key(0)))


def test_a_loss_that_is_not_finite_raises_with_the_last_good_state():
    # Squares of 1e30 leave the range of float32 at the first step that moves.
    options = TrainingOptions(loss=SquaredError(), epochs=9, optimizer=SGD(1e30), regularizer=None)
    with pytest.raises(NonFiniteLossError, match="lower the learning rate") as caught:
        fit(data=middle(rated=True), options=options)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(caught.value.state.params))


BAD_CALLS = {
    "no interaction": ({"data": DATA.select([])}, "no interaction; loosen"),
    "no split": ({"data": [1, 2]}, "data must be a Split or Interactions, got list"),
    "no model": ({"model": 3}, "model must be one of jaxrec.models, or an own one .*got int"),
    "name": ({"model": "ease"}, r"model is the text 'ease'; pass an object, jaxrec\.models\.EASE\(\)"),
    "name of the class": ({"model": "LightGCN"}, r"'LightGCN'; pass an object, jaxrec\.models\.LightGCN\(\)"),
    "typo": ({"model": "poplarity"}, r"'poplarity'; pass an object, jaxrec\.models\.Popularity\(\)"),
    "auto": ({"model": "auto"}, r"'auto'; it chooses among models: call jaxrec\.auto\(split, key=key\)"),
    "no ratings": ({"options": TrainingOptions(loss=SquaredError())}, "ratings.* and the data have none"),
    "users": ({"model": MF(num_users=USERS + 1)}, f"num_users={USERS + 1} and the data have {USERS}"),
    "items": ({"model": LightGCN(num_items=2)}, f"num_items=2 and the data have {ITEMS}"),
    "class": ({"model": MF}, r"model is the class MF; pass an object, MF\(\)"),
    "key": ({"seed": None, "key": 0}, r"key must be one key of jax.random, got 0; pass jax.random.key\(0\)"),
    "monitor": ({"validation": Validation(monitor="fame@10")}, "metric.*'fame'"),
    "length": ({"validation": Validation(monitor=f"ndcg@{ITEMS + 1}")}, f"{ITEMS + 1}"),
    "k of ratings": (
        {"data": RATED, "loss": SquaredError(), "validation": Validation(k=5)},
        "k is for lists, and this fit is to ratings",
    ),
    "scale": (
        {"data": RATED, "loss": SquaredError((1, 4))},
        r"the rating scale is 1 to 4, but \d+ of the \d+ ratings of the train part lie outside, the first 5 \(user",
    ),
    "options of another kind": ({"options": {"epochs": 3}}, "options must be TrainingOptions, got dict"),
    "solved": ({"model": EASE(), "options": None, "epochs": 3}, "EASE is solved, not trained, .* epochs"),
    "solved, options": ({"model": EASE()}, "EASE is solved, not trained, .* optimizer, batch_size, epochs"),
    "solved, loss": ({"model": EASE(), "options": None, "loss": Logistic()}, "EASE is solved, .* loss"),
    "solved, rating": ({"model": EASE(), "options": None, "loss": SquaredError()}, "EASE is solved, .* loss"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls_raise(name):
    arguments, message = BAD_CALLS[name]
    with pytest.raises(JaxrecError, match=message):
        fit(**arguments)


BAD_OPTIONS = {
    "batch_size": (lambda: TrainingOptions(batch_size=0), "batch_size must be a whole number of at least 1, got 0"),
    "epochs": (lambda: TrainingOptions(epochs=2.5), "epochs must be a whole number of at least 1, got 2.5"),
    "every": (lambda: Validation(every=0), "every must be a whole number of at least 1, got 0"),
    "patience": (lambda: Validation(patience=-1), "patience must be a whole number of at least 0, got -1"),
    "no sampler": (lambda: TrainingOptions(loss=InBatchSoftmax(), negatives=4), "from the batch, got negatives"),
    "chunks": (lambda: TrainingOptions(loss=InBatchSoftmax(chunks=3), batch_size=64), "divide the batch size of 64"),
    "learning rate": (lambda: TrainingOptions(optimizer=Adam(float("nan"))), "learning_rate must be positive, got nan"),
    "optimizer": (lambda: TrainingOptions(optimizer="lbfgs"), "no optimizer is named 'lbfgs'; the names are adam, sgd"),
    "no optimizer": (lambda: TrainingOptions(optimizer=3), "optimizer is 3; pass one of jaxrec.training"),
    "loss": (lambda: TrainingOptions(loss="brp"), "no loss is named 'brp'; did you mean bpr?"),
    "no loss": (lambda: TrainingOptions(loss=3), "loss is 3; pass an object"),
    "validation": (lambda: TrainingOptions(validation=5), "validation must be a Validation or None, got 5"),
    "refit": (lambda: TrainingOptions(refit="train"), "refit must be True, False or \"all\", got 'train'"),
    "tolerance": (lambda: TrainingOptions(tolerance=-1), "tolerance must not be negative, got -1"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_options_raise(name):
    make, message = BAD_OPTIONS[name]
    with pytest.raises(JaxrecError, match=message):
        make()


def test_an_option_that_the_loss_does_not_have_cannot_be_given():
    with pytest.raises(TypeError, match="temperature"):
        BPR(temperature=9)


def test_names_and_numbers_stand_for_objects():
    made = TrainingOptions(loss="logistic", negatives=3, regularizer=0.5, optimizer="sgd")
    assert (made.loss, made.sampler, made.regularizer, made.optimizer) == (
        *(Logistic(), Uniform(3), SquaredL2(0.5), SGD()),
    )
    assert TrainingOptions(loss=SampledSoftmax()).sampler == Uniform(64)


def test_a_fit_for_use_is_on_all_parts_for_the_epochs_that_validation_chose():
    fitted = fit(refit="all")
    assert fitted.info["fitted_on"] == "all data"
    assert pairs(fitted.seen) == pairs_of(SPLIT.train, SPLIT.valid, SPLIT.test)
    assert fitted.info["best_epoch"] == fit().info["best_epoch"]
    with pytest.raises(MismatchError, match="test interactions"):
        jaxrec.evaluate(fitted, SPLIT)


def test_any_metric_at_any_length_can_be_watched():
    class Ten:
        def __init__(self):
            self.seen = []

        def __call__(self, event):
            self.seen.append(dict(event.record.valid))

    told = Ten()
    fitted = fit(validation=Validation(every=2, monitor="auc", metrics=["recall"], k=(3,)), callbacks=[told])
    names = set(fitted.info["valid"])
    assert {"recall@3", "auc"} <= names
    best = max(record["auc"] for record in told.seen if record)
    assert fitted.info["valid"]["auc"] == best


def test_a_callback_stops_a_fit_and_gets_the_parameters():
    kept = []

    def two(event):
        kept.append(event.params()["user_embedding"])
        return event.record.epoch == 2

    fitted = fit(options=ALL, callbacks=[two])
    assert fitted.info["best_epoch"] == 2
    np.testing.assert_array_equal(kept[-1], fitted.variables["params"]["user_embedding"])
    assert not np.array_equal(kept[0], kept[1])


def test_the_task_of_nmf_follows_its_objective_and_the_loss():
    solved = fit(NMF(dim=2), data=RATED, options=None, loss=SquaredError((1, 5)))
    assert (solved.info["task"], solved.info["objective"]) == ("rating", "observed")
    assert solved.info["rating_scale"] == [1.0, 5.0]
    assert fit(NMF(dim=2), data=RATED, options=None).info["task"] == "ranking"


def test_the_options_of_0_1_still_work_and_warn():
    with pytest.warns(DeprecationWarning, match="FitOptions is a name of 0.1"):
        old = FitOptions(epochs=4, eval_every=1, batch_size=64, learning_rate=0.02, patience=0)
    as_then = dataclasses.replace(OPTIONS, loss=BPR())
    assert old.training() == as_then
    assert same_bits(fit(options=old), fit(options=as_then))
    with pytest.warns(DeprecationWarning, match="0.1"):
        softmax = FitOptions(loss="softmax", negatives=0, mask_hits="item", popularity_prior=0.5)
    # 0.1 compared all rows of a batch, however large.
    expected = InBatchSoftmax(temperature=0.12, chunks=1, accidental_hits="same_item", logit_adjustment=0.5)
    assert softmax.training().loss == expected
    with pytest.warns(DeprecationWarning, match="0.1"):
        assert FitOptions(loss="softmax", negatives=8).training().sampler == Uniform(8)


def test_a_solved_model_says_which_options_of_0_1_it_has_no_use_for():
    with pytest.warns(DeprecationWarning, match="0.1"):
        old = FitOptions(epochs=3, l2=0.5)
    with pytest.warns(UserWarning, match="EASE is solved, not trained, and has no use for regularizer, epochs"):
        fitted = fit(EASE(), options=old)
    assert same_bits(fitted, fit(EASE(), options=None))


OLD = {
    "unused": ({"mask_hits": "seen", "temperature": 9}, "loss='bpr' has no use for temperature, mask_hits"),
    "negatives": ({"negatives": 0}, "negatives=0 leaves the loss 'bpr' nothing to compare with"),
    "below 0": ({"negatives": -1}, "negatives must be at least 0, got -1"),
    "optimizer": ({"optimizer": "lbfgs"}, "optimizer must be .* got 'lbfgs'"),
    "loss": ({"loss": "hinge"}, "loss must be .* got 'hinge'"),
    "l2": ({"l2": -0.1}, "l2 must not be negative, got -0.1"),
    "momentum": ({"momentum": 0.9}, "momentum .* got 0.9 with 'adam'"),
}


@pytest.mark.parametrize("name", OLD)
def test_bad_options_of_0_1_raise(name):
    options, message = OLD[name]
    with pytest.warns(DeprecationWarning, match="0.1"), pytest.raises(JaxrecError, match=message):
        FitOptions(**options)


def test_a_model_that_is_solved_for_use_and_not_measured_is_solved_once():
    solved = []

    class Counted(jaxrec.Popularity):
        def solve(self, data, key):
            solved.append(data.user.shape[0])
            return super().solve(data, key)

    split = jaxrec.split(middle(), "user_random", test=0.2, valid=0.2, key=jax.random.key(0))
    fitted = jaxrec.fit(Counted(), split, validation=None, refit="all", key=jax.random.key(0))
    assert solved == [len(split.whole)]
    assert fitted.info["fitted_on"] == "all data"
    assert fitted.info["valid"] == {}
