"""A re-ranker from outside: chosen as in a slow version, and used through evaluate, recommend and the command line."""

import dataclasses

import jax
import numpy as np
import pytest

import jaxrec
from examples.extending.reranker import MaxSum
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.ranking import common_space, recommend_lists, rerank
from jaxrec.reports import average_reports
from jaxrec.testing import compiled


def slowly(scores, vectors, k, theta):
    """One user at a time, one choice after another."""
    relevance = (scores - scores.min()) / (scores.max() - scores.min())
    chosen = []
    for _ in range(k):
        left = [at for at in range(len(scores)) if at not in chosen]
        spread = [np.mean([np.linalg.norm(vectors[at] - vectors[one]) for one in chosen] or [0.0]) for at in left]
        gains = [theta * relevance[at] + (1 - theta) * far for at, far in zip(left, spread, strict=True)]
        chosen.append(left[int(np.argmax(gains))])
    return chosen


def example():
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 8)).astype(np.float32), rng.normal(size=(20, 3)).astype(np.float32)


@pytest.mark.parametrize("theta", [0.0, 0.3, 0.8])
def test_it_chooses_as_the_slow_version_does(theta):
    scores, vectors = example()
    scores = -np.sort(-scores, axis=1)
    lists = np.random.default_rng(1).permuted(np.tile(np.arange(20, dtype=np.int32), (5, 1)), axis=1)[:, :8]
    got, _ = rerank(lists, scores, vectors, 4, MaxSum(theta))
    expected = [row[slowly(own, vectors[row], 4, theta)] for row, own in zip(lists, scores, strict=True)]
    np.testing.assert_array_equal(got, expected)


def test_padding_stays_at_the_end_and_another_trade_off_compiles_nothing():
    lists = np.array([[3, 1, 2, -1]], np.int32)
    scores = np.array([[3.0, 2.0, 1.0, -np.inf]], np.float32)
    vectors = np.eye(4, dtype=np.float32)
    assert rerank(lists, scores, vectors, 4, MaxSum(1.0))[0].tolist() == [[3, 1, 2, -1]]
    with compiled() as programs:
        assert rerank(lists, scores, vectors, 4, MaxSum(0.9))[0][0, -1] == -1
    assert programs == []


@pytest.fixture(scope="module")
def fitted(split):
    return jaxrec.fit(jaxrec.ItemKNN(neighbors=5), split, key=jax.random.key(0))


def chosen_lists(fitted, split, k, depth):
    """The lists that it chooses from the model's own: {user: items}."""
    users = np.arange(split.train.num_users, dtype=np.int32)
    lists, scores = recommend_lists(fitted.scorer, users, depth, seen=fitted.seen)
    chosen, _ = rerank(lists, scores, common_space(split.fitted), k, MaxSum(0.2))
    return {
        user.item(): fitted.items.ids[row[row >= 0]].tolist()
        for user, row in zip(split.train.users.ids, chosen, strict=True)
    }


def test_recommend_gives_the_lists_that_it_chooses(fitted, split):
    lists = jaxrec.recommend(fitted, k=3, reranker=MaxSum(0.2), rerank_depth=8)
    got = {user: [one.item for one in own] for user, own in lists}
    assert got == chosen_lists(fitted, split, 3, 8)


def test_evaluate_measures_the_lists_that_it_chooses(fitted, split):
    how = {"k": (1, 3), "metrics": ["recall", "ild", "r_precision", "auc"], "space": common_space(split.fitted)}
    plain = jaxrec.evaluate(fitted, split, **how)
    report = jaxrec.evaluate(fitted, split, reranker=MaxSum(0.2), rerank_depth=8, **how)
    by_hand = jaxrec.evaluate_rankings(
        chosen_lists(fitted, split, 3, 8), split.test, train=split.fitted, k=(1, 3), metrics=["recall", "ild"],
        item_features=how["space"],
    )  # fmt: skip
    for name in ("recall@1", "recall@3", "ild@3"):
        assert report.mean(name) == pytest.approx(by_hand.mean(name), rel=1e-6)
    assert report.mean("ild@3") > plain.mean("ild@3")
    assert report.mean("auc") == plain.mean("auc")  # of the scores, which a re-ranker leaves as they are
    with pytest.raises(MismatchError, match="reranker"):
        average_reports([plain, report])


def test_the_command_line_takes_its_place_and_its_options(fitted, cli, tmp_path):
    jaxrec.save(fitted, tmp_path / "run")
    place = "examples.extending.reranker:MaxSum"
    words = ("recommend", tmp_path / "run", "--all", "-k", "3", "--reranker", place, "--rerank-depth", "8")
    lists = jaxrec.recommend(fitted, k=3, reranker=MaxSum(0.2), rerank_depth=8)
    assert cli(*words, "--theta", "0.2").json == lists.to_dict()
    assert "--theta" in cli(*words, "--help-all").out


def test_new_users_get_what_it_chooses_too(fitted):
    history = fitted.items.ids[:3].tolist()
    plain = jaxrec.recommend(fitted, history=history, k=8)["new"]
    chosen = jaxrec.recommend(fitted, history=history, k=3, reranker=MaxSum(0.0), rerank_depth=8)["new"]
    assert len(chosen) == 3
    assert {one.item for one in chosen} <= {one.item for one in plain}
    assert [one.item for one in chosen] != [one.item for one in plain[:3]]
    scores = {one.item: one.score for one in plain}
    assert all(one.score == pytest.approx(scores[one.item]) for one in chosen)


def test_a_depth_below_the_length_is_refused(fitted, split):
    for call in (jaxrec.recommend, lambda model, **how: jaxrec.evaluate(model, split, **how)):
        with pytest.raises(JaxrecError, match="rerank_depth is 2; pass a whole number of at least 3"):
            call(fitted, k=3, reranker=MaxSum(), rerank_depth=2)
    with pytest.raises(JaxrecError, match="reranker chooses by vectors of the items; pass a space"):
        jaxrec.evaluate(fitted, split, k=3, reranker="mmr", space=None)


def test_the_trade_off_is_a_leaf():
    assert jax.tree.leaves(MaxSum(0.3)) == [0.3]
    assert dataclasses.replace(MaxSum(0.3)) == MaxSum(0.3)
