"""The baselines: every row fits, and the numbers of linear models are tried as a fit with them would score."""

import jax
import numpy as np
import pytest

import jaxrec
from experiments import tables
from experiments.baselines import config, linear, main
from jaxrec.data import seen_items


@pytest.fixture
def split(monkeypatch):
    """A split in place of the published ones."""
    rng = np.random.default_rng(0)
    likes = rng.random((60, 3)) @ rng.random((3, 40))
    users, items = np.nonzero(rng.random((60, 40)) < 0.5 * likes)
    found = jaxrec.split(jaxrec.from_arrays(users, items), "user_random", test=0.3, valid=0.0)
    for module in (tables, linear):
        monkeypatch.setattr(module, "published_split", lambda dataset, part: (found, found.test))
    return found


def test_all_rows_are_measured_once(split, tmp_path, capsys):
    words = ["--dataset", "gowalla", "--part", "random", "--out", str(tmp_path / "table.json")]
    assert main.main(words) == 0
    first = capsys.readouterr().out
    assert all(f"| {name} | ." in first for name in config.ROWS["gowalla"])
    assert main.main(words) == 0
    assert "| popularity |" in (again := capsys.readouterr().out)
    assert " on gowalla, " not in again  # nothing was measured


def test_the_sets_have_the_same_rows_and_grids_are_of_these():
    assert len({tuple(rows) for rows in config.ROWS.values()}) == 1
    for name, grid in config.GRIDS.items():
        assert all(type(row.model) is type(config.ROWS[""][name].model) for row in grid.values())
    assert config.ROWS["yelp2018"]["EASE"].published["yelp2018"] == (0.0657, 0.0552)


def test_numbers_are_tried_as_a_fit_with_them_scores(split, capsys):
    options = linear.Options(l2=(2.0,), dropout=(0.3,), item_exponent=(0.2,), relax=(1.0,), tolerance=1e-6)
    ((recall, ndcg, numbers),) = linear.tried(linear.world(options), options)
    assert f"{recall:.4f} {ndcg:.4f}" in capsys.readouterr().out
    fitted = jaxrec.fit(jaxrec.EASE(**numbers), split.train, key=jax.random.key(0))
    report = jaxrec.evaluation.evaluate_scorer(
        fitted.scorer, split.test, seen=seen_items(split.train), k=(20,), metrics=("recall", "ndcg")
    )
    assert recall == pytest.approx(report.mean("recall@20"), abs=1e-4)
    assert ndcg == pytest.approx(report.mean("ndcg@20"), abs=1e-4)


def test_walks_are_tried_as_a_fit_with_all_weights_scores(split):
    options = linear.Options(alpha=(0.7,), beta=(0.4,))
    ((recall, ndcg, numbers),) = linear.walked(linear.world(options), options)
    fitted = jaxrec.fit(jaxrec.RP3Beta(neighbors=40, **numbers), split.train, key=jax.random.key(0))
    report = jaxrec.evaluation.evaluate_scorer(
        fitted.scorer, split.test, seen=seen_items(split.train), k=(20,), metrics=("recall", "ndcg")
    )
    assert (recall, ndcg) == pytest.approx((report.mean("recall@20"), report.mean("ndcg@20")), abs=1e-4)


def test_the_diagonal_of_signs_is_near_to_that_of_the_inverse(split):
    rng = np.random.default_rng(2)
    data = linear.world(linear.Options())
    x, ridge = data.train, np.full(40, 5.0, np.float32)
    signs = np.sign(rng.random((40, 4000)) - 0.5).astype(np.float32)
    products = linear.solved(x, ridge, signs, tolerance=1e-5)
    exact = np.linalg.inv((x.T @ x).toarray().astype(np.float64) + 5 * np.eye(40))
    np.testing.assert_allclose(products, exact @ signs, atol=1e-4)
    np.testing.assert_allclose((signs * products).mean(axis=1), exact.diagonal(), rtol=0.06)
