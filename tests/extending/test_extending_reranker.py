"""A re-ranker from outside: chosen as in a slow version, measured by evaluate, and scored on the command line."""

import dataclasses

import jax
import numpy as np
import pytest

import jaxrec
from examples.extending.reranker import MaxSum
from jaxrec.ranking import item_space, recommend_lists, rerank
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
def space(split):
    return item_space(split.train, jax.random.key(1))


@pytest.fixture(scope="module")
def reranked(split, space):
    """The lists of a model, plain and re-ranked: {user: items}."""
    fitted = jaxrec.fit(jaxrec.ItemKNN(neighbors=5), split, key=jax.random.key(0))
    users = np.arange(split.train.num_users, dtype=np.int32)
    lists, scores = recommend_lists(fitted.scorer, users, 8, seen=fitted.seen)
    chosen, _ = rerank(lists, scores, space, 3, MaxSum(0.2))

    def ids(rows):
        return {
            user.item(): fitted.items.ids[row[row >= 0]].tolist()
            for user, row in zip(split.train.users.ids, rows, strict=True)
        }

    return ids(lists[:, :3]), ids(chosen)


def test_its_lists_are_measured(reranked, split, space):
    known = {"train": split.fitted, "item_features": space, "k": 3}
    plain, chosen = (jaxrec.evaluate_rankings(lists, split.test, **known) for lists in reranked)
    assert chosen.mean("ild@3") > plain.mean("ild@3")


def test_its_lists_are_scored_on_the_command_line(reranked, split, cli, tmp_path):
    def write(name, header, rows):
        path = tmp_path / name
        path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
        return path

    def pairs(part):
        return zip(part.users.ids[part.user], part.items.ids[part.item], strict=True)

    rows = [(user, item, 3 - at) for user, items in reranked[1].items() for at, item in enumerate(items)]
    lists = write("lists.csv", "user,item,score", rows)
    truth, train = (write(name, "user,item", pairs(getattr(split, name))) for name in ("test", "fitted"))
    document = cli("score", lists, "--truth", truth, "--train", train, "-k", "3").json
    report = jaxrec.evaluate_rankings(reranked[1], split.test, train=split.fitted, k=3)
    assert document["mean"]["recall@3"] == pytest.approx(report.mean("recall@3"))


def test_the_trade_off_is_a_leaf():
    assert jax.tree.leaves(MaxSum(0.3)) == [0.3]
    assert dataclasses.replace(MaxSum(0.3)) == MaxSum(0.3)
