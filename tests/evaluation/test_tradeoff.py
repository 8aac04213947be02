"""The accuracy-diversity curve: its ends, every point against its parts, rows of numbers, and bad input."""

import numpy as np
import pytest

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import seen_items
from jaxrec.errors import DataError, JaxrecError
from jaxrec.evaluation import evaluate_scorer
from jaxrec.evaluation._tradeoff import CurvePoint, accuracy_diversity_curve, curve_rows
from jaxrec.ranking import MMR, GreedyDPP, feature_space, rerank
from jaxrec.ranking._topk import recommend_lists
from jaxrec.scorers import TableScorer

RULES = {"mmr": MMR, "dpp": GreedyDPP}
USERS, ITEMS, K = 12, 30, 4
RNG = np.random.default_rng(3)
DATA = Interactions.from_arrays(
    np.repeat(np.arange(USERS), 6), np.concatenate([RNG.permutation(ITEMS)[:6] for _ in range(USERS)])
)
CATALOGUE = Interactions.from_arrays([*DATA.user, *[0] * ITEMS], [*DATA.item, *range(ITEMS)])
TRAIN = CATALOGUE.select(np.flatnonzero(np.arange(len(DATA)) % 2 == 0))
TEST = CATALOGUE.select(np.flatnonzero(np.arange(len(DATA)) % 2 == 1))
SCORER = TableScorer(RNG.normal(size=(USERS, ITEMS)).astype(np.float32))
SPACE = feature_space(RNG.normal(size=(ITEMS, 3)).astype(np.float32))
SEEN = seen_items(TRAIN)


def curve(**options):
    return accuracy_diversity_curve(SCORER, TEST, seen=SEEN, space=SPACE, **{"k": K, "candidates": 10, **options})


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_at_one_it_is_the_model_itself(method):
    (point,) = curve(trade_offs=(1.0,), reranker=method)
    own = evaluate_scorer(SCORER, TEST, seen=SEEN, k=K, metrics=("recall", "ndcg"), space=SPACE)
    assert point.trade_off == 1.0
    for name in ("recall@4", "ndcg@4", "ild@4", "recall_known@4"):
        np.testing.assert_array_equal(point.report.per_user[name], own.per_user[name])
    assert point.report.mean("coverage@4") == own.mean("coverage@4")


@pytest.mark.parametrize("method", ["mmr", "dpp"])
def test_each_point_is_what_its_parts_give(method):
    points = curve(trade_offs=(0.7, 0.0), reranker=method)
    users = np.unique(TEST.user)
    lists, scores = recommend_lists(SCORER, users, 10, seen=SEEN)
    sets = {user: set(TEST.item[TEST.user == user].tolist()) for user in users.tolist()}
    for trade_off, report in points:
        chosen, _ = rerank(lists, scores, SPACE, K, RULES[method](trade_off))
        recall = [
            len(sets[user] & set(row)) / len(sets[user])
            for user, row in zip(users.tolist(), chosen.tolist(), strict=True)
        ]
        np.testing.assert_allclose(report.per_user["recall@4"], recall, rtol=1e-6)
        vectors = np.asarray(SPACE.vectors, np.float64)[chosen]
        apart = np.linalg.norm(vectors[:, :, None] - vectors[:, None], axis=3).sum(axis=(1, 2)) / (K * (K - 1))
        np.testing.assert_allclose(report.per_user["ild@4"], apart, rtol=1e-5)


def test_diversity_alone_is_more_diverse_than_the_model():
    own, diverse = curve(trade_offs=(1.0, 0.0))
    assert diverse.report.mean("ild@4") > own.report.mean("ild@4") + 0.1


def test_rows_have_means_and_intervals():
    points = curve(trade_offs=(1.0, 0.5))
    rows = curve_rows(points, ["ndcg@4", "coverage@4"], level=0.9)
    assert [row["trade_off"] for row in rows] == [1.0, 0.5]
    for row, (_, report) in zip(rows, points, strict=True):
        assert row["ndcg@4"] == report.mean("ndcg@4")
        assert (row["ndcg@4_low"], row["ndcg@4_high"]) == report.interval("ndcg@4", 0.9)
        assert set(row) == {"trade_off", "ndcg@4", "ndcg@4_low", "ndcg@4_high", "coverage@4"}
    assert isinstance(points[0], CurvePoint)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trade_offs": ()}, "trade_offs is empty"),
        ({"trade_offs": (1.5,)}, r"trade_off must lie in 0\.\.1"),
        ({"k": 11}, "k=11 and candidates=10"),
        ({"k": 0}, "k=0 and candidates=10"),
        ({"candidates": ITEMS + 1}, "31"),
        ({"metrics": ("miscalibration",)}, "miscalibration"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(JaxrecError, match=message):
        curve(**options)


def test_an_empty_truth_is_refused():
    with pytest.raises(DataError, match="truth has no interaction"):
        accuracy_diversity_curve(SCORER, TEST.select(np.zeros(0, int)), seen=SEEN, space=SPACE, k=K, candidates=10)
