"""Beyond accuracy in reports: the same numbers as the functions of one user give, and what is missing is told."""

import jax
import numpy as np
import pytest
from reference import beyond_accuracy as slow

import jaxrec
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation import training_statistics

NAMES = (
    "novelty",
    "average_popularity",
    "long_tail",
    "miscalibration",
    "category_coverage",
    "gini",
    "shannon_entropy",
    "personalization",
)
K = (2, 5)


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(3)
    pairs = rng.choice(600 * 40, size=9000, replace=False)  # more users than are measured at a time
    data = jaxrec.from_arrays(pairs // 40, np.minimum(pairs % 40, pairs % 37))
    data = jaxrec.prepare(data)
    return jaxrec.split(data, "user_random", test=0.2, valid=0.1, key=jax.random.key(0))


@pytest.fixture(scope="module")
def model(split):
    return jaxrec.fit(jaxrec.ItemKNN(), split, key=jax.random.key(0))


@pytest.fixture(scope="module")
def categories(split):
    table = (np.random.default_rng(4).uniform(size=(split.train.num_items, 6)) < 0.3).astype(np.float32)
    table[5] = 0  # an item without a category
    return table


@pytest.fixture(scope="module")
def report(model, split, categories):
    return jaxrec.evaluate(model, split, k=K, metrics=["recall", *NAMES], space=None, item_categories=categories)


@pytest.fixture(scope="module")
def lists(model, split, report):
    made = jaxrec.recommend(model, report.user_ids, k=max(K))
    return [split.train.items.index([one.item for one in suggestions]).tolist() for _, suggestions in made]


@pytest.mark.parametrize("k", K)
def test_the_values_of_each_user_are_those_of_the_slow_functions(k, report, lists, split, categories):
    fitted = split.fitted
    popularity = np.bincount(fitted.item, minlength=fitted.num_items)
    num_users = len(np.unique(fitted.user))
    tail = np.ones(fitted.num_items, bool)
    gathered = 0
    for item in sorted(range(len(popularity)), key=lambda item: (-popularity[item], item)):
        if gathered >= 0.8 * popularity.sum():
            break
        tail[item] = False
        gathered += popularity[item]
    for row, user in enumerate(report.users):
        items = lists[row][:k]
        past = fitted.item[fitted.user == user].tolist()
        novelty = np.mean([-np.log2(max(popularity[item], 1) / num_users) for item in items])
        assert report.per_user[f"novelty@{k}"][row] == pytest.approx(novelty, rel=1e-5)
        assert report.per_user[f"average_popularity@{k}"][row] == pytest.approx(np.mean(popularity[items]), rel=1e-6)
        assert report.per_user[f"long_tail@{k}"][row] == pytest.approx(np.mean(tail[items]), rel=1e-6)
        history = slow_distribution(past, categories)
        listed = slow_distribution(items, categories)
        if listed is not None:
            mixed = 0.99 * listed + 0.01 * history
            terms = [p * np.log(p / q) for p, q in zip(history, mixed, strict=True) if p > 0]
            assert report.per_user[f"miscalibration@{k}"][row] == pytest.approx(sum(terms), rel=1e-4, abs=1e-6)
        covered = (categories[items].sum(axis=0) > 0).sum() / (categories.sum(axis=0) > 0).sum()
        assert report.per_user[f"category_coverage@{k}"][row] == pytest.approx(covered, rel=1e-6)


def slow_distribution(items, categories):
    shares = [categories[item] / categories[item].sum() for item in items if categories[item].sum() > 0]
    return np.mean(shares, axis=0) if shares else None


@pytest.mark.parametrize("k", K)
def test_the_numbers_of_all_lists_are_those_of_the_slow_functions(k, report, lists, split):
    cut = [items[:k] for items in lists]
    counts = [sum(item in items for items in cut) for item in range(split.train.num_items)]
    assert report.overall[f"gini@{k}"] == pytest.approx(slow.gini(counts), rel=1e-5)
    shares = np.array([count / sum(counts) for count in counts if count])
    assert report.overall[f"shannon_entropy@{k}"] == pytest.approx(-np.sum(shares * np.log(shares)), rel=1e-5)
    some = [set(items) for items in cut]
    pairs = [(a, b) for a in range(len(some)) for b in range(a)]
    distance = np.mean([1 - len(some[a] & some[b]) / k for a, b in pairs])
    assert report.overall[f"personalization@{k}"] == pytest.approx(distance, rel=1e-5)


def test_the_same_numbers_come_from_lists_of_elsewhere(report, lists, split):
    items = split.train.items.ids
    mapping = {user: items[listed] for user, listed in zip(report.user_ids.tolist(), lists, strict=True)}
    names = [name for name in NAMES if name not in ("miscalibration", "category_coverage")]
    other = jaxrec.evaluate_rankings(mapping, split.test, train=split.fitted, k=K, metrics=names)
    for name in other.per_user:
        np.testing.assert_allclose(other.per_user[name], report.per_user[name], rtol=1e-6)
    for name in names[-3:]:
        assert other.overall[f"{name}@5"] == pytest.approx(report.overall[f"{name}@5"])


def test_what_is_missing_is_told(model, split):
    with pytest.raises(JaxrecError, match="'miscalibration' needs item_categories"):
        jaxrec.evaluate(model, split, k=K, metrics=["miscalibration"])
    with pytest.raises(JaxrecError, match="'novelty' needs the training data; pass train"):
        jaxrec.evaluate_rankings({0: [1]}, split.test, k=1, metrics=["novelty"])
    with pytest.raises(MismatchError, match=r"item_categories has shape \(3, 2\), expected \["):
        training_statistics(split.train, np.ones((3, 2)))
    with pytest.raises(JaxrecError, match=r"unknown metric 'novlty'; choose from recall.*, novelty"):
        jaxrec.evaluate(model, split, k=K, metrics=["novlty"])
