"""RMSE and MAE of fitted models: values by hand, clipping, refusals, and the rules of rating fits."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import ITEMS, USERS, middle_split

import jaxrec
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.evaluation._ratings import evaluate_rating_scorer, predict_pairs
from jaxrec.fitting import TrainingOptions, Validation
from jaxrec.losses import SquaredError
from jaxrec.scorers import FactorScorer
from jaxrec.training import SGD

RATED = SquaredError()
OPTIONS = TrainingOptions(loss=RATED, optimizer=SGD(0.01), reduction="sum", batch_size=8, epochs=4)


def table_scorer(scores):
    scores = jnp.asarray(scores, jnp.float32)
    return FactorScorer(scores, jnp.eye(scores.shape[1]), dim=scores.shape[1])


@pytest.fixture
def split():
    return middle_split(rated=True)


def test_values_by_hand():
    scorer = table_scorer([[1.0, 4.0], [2.0, 9.0]])
    truth = jaxrec.from_arrays([0, 0, 1], [0, 1, 1], [2.0, 4.0, 5.0])
    report = evaluate_rating_scorer(scorer, truth, scale=(1.0, 5.0))
    # The errors are 1, 0 and, after clipping 9 to 5, 0.
    assert report.mean("rmse") == pytest.approx(np.sqrt(1 / 3))
    assert report.mean("mae") == pytest.approx(1 / 3)
    np.testing.assert_allclose(report.per_user["user_rmse"], [np.sqrt(1 / 2), 0], atol=1e-6)


def test_users_and_items_without_training_data_are_counted():
    data = jaxrec.from_arrays([1, 1, 1, 2, 2, 2, 3, 3, 1], [1, 2, 3, 1, 2, 3, 1, 2, 9], [5, 3, 4, 1, 2, 5, 4, 4, 2])
    empty = data.select([])
    split = jaxrec.Split(data.select(np.arange(6)), empty, data.select([6, 7, 8]), "by hand")
    model = jaxrec.fit(jaxrec.MF(dim=2, bias=True), split, loss="mse", epochs=1, key=jax.random.key(0))
    report = jaxrec.evaluate_ratings(model, split)
    assert report.counts == {
        "users_evaluated": 2, "test_pairs": 3, "users_untrained": 1, "test_pairs_untrained": 1
    }  # fmt: skip
    own = report.of_trained_users()
    assert own.users.tolist() == [0]
    assert own.mean("user_rmse") == pytest.approx(float(report.per_user["user_rmse"][0]))


def test_many_pairs_go_through_in_chunks():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(50, 200)).astype(np.float32)
    users, items = (index.ravel().astype(np.int32) for index in np.indices(scores.shape))
    np.testing.assert_allclose(predict_pairs(table_scorer(scores), users, items), scores.ravel(), rtol=1e-6)


def test_a_rating_fit_validates_by_rmse_and_predicts_on_the_scale(split):
    model = jaxrec.fit(jaxrec.MF(dim=2, bias=True), split, OPTIONS, key=jax.random.key(0))
    assert set(model.info["valid"]) == {"rmse", "mae"}
    assert model.info["task"] == "rating"
    assert model.info["rating_scale"] == [1.0, 5.0]
    assert model.model.mean == pytest.approx(float(split.fitted.rating.mean()))
    report = jaxrec.evaluate_ratings(model, split)
    test = split.test
    predicted = jaxrec.predict(model, test.users.ids[test.user], test.items.ids[test.item])
    assert report.mean("rmse") == pytest.approx(float(np.sqrt(np.mean((predicted - test.rating) ** 2))), rel=1e-5)
    assert predicted.min() >= 1
    assert predicted.max() <= 5


@pytest.mark.parametrize("model", [jaxrec.MF(dim=2, bias=True), jaxrec.NMF(dim=2)])
def test_a_stated_scale_is_what_predictions_are_clipped_to(model, split, tmp_path):
    narrow = dataclasses.replace(split.train, rating=np.clip(split.train.rating, 2, 4))
    split = dataclasses.replace(split, train=narrow, valid=split.valid.select([]), test=split.test.select([]))
    trained = {"optimizer": SGD(0.02), "reduction": "sum", "regularizer": None, "batch_size": 8, "epochs": 200}
    how = {"key": jax.random.key(0), **(trained if hasattr(model, "encode") else {})}
    stated = jaxrec.fit(model, split, loss=SquaredError((1, 5)), **how)
    assert stated.info["rating_scale"] == [1.0, 5.0]
    users, items = (index.ravel() for index in np.indices((USERS, ITEMS)))
    users, items = narrow.users.ids[users], narrow.items.ids[items]
    predicted = jaxrec.predict(stated, users, items)
    found = jaxrec.fit(model, split, loss=RATED, **how)
    assert found.info["rating_scale"] == [2.0, 4.0]
    assert predicted.max() > 4  # beyond what was trained on, within what was stated
    assert predicted.max() <= 5
    np.testing.assert_allclose(jaxrec.predict(found, users, items), np.clip(predicted, 2, 4))
    jaxrec.save(stated, tmp_path / "run")
    assert jaxrec.restore(tmp_path / "run").options.loss.scale == (1.0, 5.0)


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_ratings_outside_of_the_stated_scale_are_refused(part, split):
    ratings = getattr(split, part).rating.copy()
    ratings[3] = 5.5
    split = dataclasses.replace(split, **{part: dataclasses.replace(getattr(split, part), rating=ratings)})
    options = dataclasses.replace(OPTIONS, loss=SquaredError((1, 5)))
    with pytest.raises(JaxrecError, match=rf"1 to 5, but 1 of the .* of the {part} part .* the first 5\.5 \(user"):
        jaxrec.fit(jaxrec.MF(dim=2), split, options, key=jax.random.key(0))


@pytest.mark.parametrize("scale", [(5, 1), (1, 1), (1,), (1, float("inf")), (float("nan"), 5)])
def test_a_scale_must_be_two_ascending_numbers(scale):
    with pytest.raises(JaxrecError, match="scale must be"):
        SquaredError(scale)


@pytest.mark.parametrize(("loss", "used"), [({"loss": RATED}, "observed"), ({}, "all")])
def test_nmf_says_which_objective_it_used(loss, used, split):
    fitted = jaxrec.fit(jaxrec.NMF(dim=2), split, key=jax.random.key(0), **loss)
    assert fitted.info["objective"] == used
    assert str(fitted).startswith(f"NMF ({used} entries) fitted on")


def test_the_best_epoch_is_the_one_of_the_lowest_rmse(split):
    options = dataclasses.replace(OPTIONS, validation=Validation(every=1, patience=0), refit=False)
    info = jaxrec.fit(jaxrec.MF(dim=2, bias=True), split, options, key=jax.random.key(0)).info
    values = [record["valid"]["rmse"] for record in info["records"]]
    assert info["best_epoch"] == 1 + int(np.argmin(values))
    assert info["valid"]["rmse"] == min(values)


def test_the_fit_stops_when_the_summed_loss_no_longer_changes():
    data = jaxrec.from_arrays([0, 0, 1, 1], [0, 1, 0, 1], [3.0, 3.0, 3.0, 3.0])
    how = {"loss": RATED, "optimizer": SGD(0.1), "regularizer": None, "batch_size": 1, "epochs": 500}
    fitted = jaxrec.fit(jaxrec.MF(dim=2), data, tolerance=1e-3, key=jax.random.key(0), **how)
    records = fitted.info["records"]
    assert 2 < len(records) < 500
    changes = np.abs(np.diff([record["total"] for record in records]))
    assert changes[-1] < 1e-3
    assert (changes[:-1] >= 1e-3).all()


def test_refusals(split):
    ranker = jaxrec.fit(jaxrec.Popularity(), split, key=jax.random.key(0))
    with pytest.raises(JaxrecError, match='popularity was trained to rank; train it with loss="mse"'):
        jaxrec.evaluate_ratings(ranker, split)
    no_ratings = jaxrec.from_arrays([0, 1], [0, 1])
    with pytest.raises(JaxrecError, match="MF is to predict ratings here, and the data have none"):
        jaxrec.fit(jaxrec.MF(dim=2, bias=True), no_ratings, OPTIONS, key=jax.random.key(0))
    with pytest.raises(DataError, match="truth has no ratings"):
        evaluate_rating_scorer(table_scorer([[1.0, 2.0], [1.0, 2.0]]), no_ratings)
    rated = jaxrec.from_arrays([0, 1], [0, 1], [1.0, 2.0])
    with pytest.raises(MismatchError, match="the scorer has 1 users"):
        evaluate_rating_scorer(table_scorer([[1.0, 2.0]]), rated)
    with pytest.raises(DataError, match="truth has no interaction"):
        evaluate_rating_scorer(table_scorer([[1.0, 2.0], [1.0, 2.0]]), rated.select([]))


@pytest.mark.parametrize(
    ("model", "how"),
    [(jaxrec.NMF(dim=2), {"loss": RATED}), (jaxrec.SVDPP(dim=2), {"options": OPTIONS})],
    ids=["NMF", "SVDPP"],
)
def test_every_rating_model_fits_saves_and_restores(split, model, how, tmp_path):
    fitted = jaxrec.fit(model, split, **how, key=jax.random.key(0))
    again = jaxrec.restore(jaxrec.save(fitted, tmp_path))
    assert jaxrec.evaluate_ratings(again, split).mean("rmse") == jaxrec.evaluate_ratings(fitted, split).mean("rmse")
