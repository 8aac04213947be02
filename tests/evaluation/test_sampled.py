"""Sampled metrics: against loops over the same negatives, against the binomial distribution, and never in silence."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import sampled as slow

import jaxrec
from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_from_pairs, seen_items
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.evaluation import SampledMetricsWarning, evaluate_scorer_sampled
from jaxrec.ranking import CandidateRule
from jaxrec.sampling import uniform_negatives
from jaxrec.scorers import TableScorer

USERS, ITEMS, N, CUTS = 40, 30, 6, (2, 5)


NAMES = ("recall", "ndcg", "reciprocal_rank")
SETTINGS = {"sampled": N, "k": CUTS, "metrics": NAMES}  # of several tests, so that one program serves them


def interactions(user, item, num_users=USERS, num_items=ITEMS):
    ids = IdMap(np.arange(num_users), "user"), IdMap(np.arange(num_items), "item")
    return Interactions(np.asarray(user, np.int32), np.asarray(item, np.int32), *ids)


def measure(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SampledMetricsWarning)
        return evaluate_scorer_sampled(*arguments, **options)


@pytest.fixture(scope="module")
def example():
    """Scores with many ties, uneven histories, a masked test pair and a user who lacks nothing."""
    rng = np.random.default_rng(0)
    train, test = [], []
    for user in range(USERS):
        items, cut = rng.permutation(ITEMS), rng.integers(0, 15)
        train += [(user, item) for item in items[:cut]]
        test += [(user, item) for item in items[cut : cut + (0 if user % 7 == 0 else rng.integers(1, 6))]]
    train = [pair for pair in train if pair[0] != 3] + [(3, item) for item in range(ITEMS - 1)]
    test = [pair for pair in test if pair[0] != 3] + [(3, ITEMS - 1)]
    test += [(4, train[[pair[0] for pair in train].index(4)][1])]
    train, test = (interactions(*zip(*pairs, strict=True)) for pairs in (train, test))
    return train, test, rng.integers(0, 6, (USERS, ITEMS)).astype(np.float32)


RULE = CandidateRule(
    exclude=np.array([2]),
    exclude_for=seen_from_pairs(np.array([5, 6]), np.array([11, 12]), USERS, ITEMS),
    candidates=np.array([item for item in range(ITEMS) if item % 5]),
)


@pytest.mark.parametrize("rule", [CandidateRule(), RULE], ids=["whole catalog", "rule"])
def test_every_value_agrees_with_loops_over_the_same_negatives(example, rule):
    train, test, table = example
    key = jax.random.key(1)
    report = measure(TableScorer(table), test, key, seen=seen_items(train), rule=rule, **SETTINGS)
    seen = [set(seen_items(train).of(user).tolist()) for user in range(USERS)]
    relevant = [set(seen_items(test).of(user).tolist()) for user in range(USERS)]
    allowed = [item for item in range(ITEMS) if rule.allowed(ITEMS)[item]]
    if rule.exclude_for is not None:
        for user in range(USERS):
            seen[user] |= set(rule.exclude_for.of(user).tolist())
    expected = {f"{name}@{k}": [] for name in NAMES for k in CUTS}
    for user in report.users.tolist():
        free = [item for item in allowed if item not in seen[user] | relevant[user]]
        values = {name: [] for name in expected}
        for item in sorted(relevant[user]):
            # Position j of the items that are free is drawn with the key of the pair; no user of this one lacks any.
            own = jax.random.fold_in(jax.random.fold_in(key, user), item)
            nobody = SeenItems(np.zeros(2, np.int32), np.zeros(0, np.int32))
            draws = uniform_negatives(nobody, jnp.zeros(1, jnp.int32), N, max(len(free), 1), own)[0][0].tolist()
            rank = slow.rank_among(table[user], item, [free[at] for at in draws]) if free else 1
            found = item in allowed and item not in seen[user]
            for name in expected:
                metric, _, k = name.partition("@")
                values[name].append(getattr(slow, metric)(rank, int(k)) if found else 0.0)
        for name in expected:
            expected[name].append(np.mean(values[name]) if free else np.nan)
    assert report.names == tuple(f"{name} (sampled {N})" for name in expected)
    for name, values in expected.items():
        np.testing.assert_allclose(report.per_user[f"{name} (sampled {N})"], values, atol=1e-6, err_msg=name)
    assert report.counts["users_without_negatives"] == sum(np.isnan(expected["recall@2"])) > 0
    assert report.counts["test_pairs_masked"] == 1
    assert report.counts["users_without_test_items"] == USERS - len(report.users) > 0
    assert ("test_pairs_excluded" in report.counts) == (rule is RULE)


def test_the_hit_rate_of_a_known_place_is_the_binomial_one():
    """Item 12 is behind 12 of 48 negatives of each of 3,000 users, who have seen item 49."""
    num_users, num_items, place, n = 3000, 50, 12, 20
    everybody = np.arange(num_users)
    test = interactions(everybody, np.full(num_users, place), num_users, num_items)
    seen = seen_items(interactions(everybody, np.full(num_users, 49), num_users, num_items))
    scorer = TableScorer(np.tile(-np.arange(num_items, dtype=np.float32), (num_users, 1)))
    report = measure(scorer, test, jax.random.key(0), seen=seen, sampled=n, k=(2, 5, 8), metrics=["hit_rate"])
    for k in (2, 5, 8):
        p = slow.binomial_hit_rate(n, place, num_items - 2, k)
        deviation = np.sqrt(p * (1 - p) / num_users)
        assert abs(report.mean(f"hit_rate@{k} (sampled {n})") - p) < 4 * deviation
        assert 0.02 < p < 0.98  # the places tell something
    # The exact figure is 0 at each of these lengths: item 12 stands at place 13.


def test_ties_go_to_the_lower_item_and_what_is_never_recommended_is_not_found():
    table = np.zeros((3, 5), np.float32)
    table[2] = -np.inf
    test, seen = interactions([0, 1, 2], [0, 4, 0], 3, 5), seen_items(interactions([], [], 3, 5))
    with pytest.warns(UserWarning, match="2 of 3 lists have one score from first to last: .* say nothing about it"):
        report = measure(TableScorer(table), test, jax.random.key(0), seen=seen, sampled=3, k=3)
    assert (report.counts["tied_lists"], report.counts["test_pairs_with_ties"]) == (2, 2)
    # Item 0 goes before all others; all three negatives go before item 4; user 2 can be recommended nothing.
    np.testing.assert_array_equal(report.per_user["recall@3 (sampled 3)"], [1, 0, 0])


def test_a_scorer_that_does_not_tell_items_apart_is_told(example):
    train, test, _ = example
    pairs = len(set(zip(test.user.tolist(), test.item.tolist(), strict=True)))
    with pytest.warns(UserWarning, match="lists have one score from first to last: the scorer does not tell items"):
        report = measure(
            TableScorer(np.zeros((USERS, ITEMS), np.float32)),
            test,
            jax.random.key(0),
            seen=seen_items(train),
            **SETTINGS,
        )
    # All pairs but those that are masked, and those of users who lack nothing.
    assert pairs - 6 < report.counts["tied_lists"] == report.counts["test_pairs_with_ties"] <= pairs


def test_single_ties_are_counted():
    # Item 0 has the score of item 1 and another than items 2 to 4; items 1 to 4 are the negatives of each draw.
    table = TableScorer(np.array([[1, 1, 0, 0, 0]], np.float32))
    seen = seen_items(interactions([], [], 1, 5))
    report = measure(table, interactions([0], [0], 1, 5), jax.random.key(0), seen=seen, sampled=50, k=1)
    assert (report.counts["tied_lists"], report.counts["test_pairs_with_ties"]) == (0, 1)


def test_users_without_training_are_counted(example):
    train, test, table = example
    report = measure(TableScorer(table), test, jax.random.key(0), seen=seen_items(train), **SETTINGS)
    trained = set(train.user.tolist())
    assert report.counts["users_untrained"] == len(set(test.user.tolist()) - trained)
    assert report.trained.tolist() == [user in trained for user in report.users.tolist()]


def test_the_draw_depends_on_the_key_and_the_pair_alone(example):
    train, test, table = example
    name = f"ndcg@5 (sampled {N})"
    run = lambda part, seed=1, memory=256: measure(  # noqa: E731
        TableScorer(table), part, jax.random.key(seed), seen=seen_items(train), memory_mb=memory, **SETTINGS
    )
    whole = run(test)
    some = run(test.select(test.user >= 20), memory=0.01)  # other users, and other tiles of them
    np.testing.assert_array_equal(some.per_user[name], whole.per_user[name][whole.users >= 20])
    assert (run(test, seed=2).per_user[name] != whole.per_user[name]).any()


def test_it_always_warns_and_says_what_it_is(example):
    train, test, table = example
    with pytest.warns(SampledMetricsWarning, match="order of models .* may differ .*Rendle, .*, KDD 2020"):
        report = evaluate_scorer_sampled(
            TableScorer(table), test, jax.random.key(0), seen=seen_items(train), rule=RULE, **SETTINGS
        )
    assert report.catalogue == (
        "6 sampled negatives for each test item, drawn from 24 candidates of all 30 items, without 1 excluded"
    )
    assert all(name.endswith(" (sampled 6)") for name in report.names)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sampled": 0}, JaxrecError, "sampled is 0; pass a whole number of negatives"),
        ({"k": 7}, JaxrecError, "k is 7, but a list has only 6 negatives; pass k <= sampled"),
        ({"k": ()}, JaxrecError, "k is empty"),
        ({"k": 0}, JaxrecError, "k is 0"),
        ({"metrics": ["novelty"]}, JaxrecError, "the metric 'novelty' is no function of hits"),
        ({"truth": interactions([], [])}, DataError, "truth has no interaction"),
        ({"scorer": TableScorer(np.zeros((3, ITEMS), np.float32))}, MismatchError, "the scorer is of 3 users"),
        ({"scorer": TableScorer(np.full((USERS, ITEMS), np.nan, np.float32))}, JaxrecError, "hold NaN or"),
        ({"seen": seen_items(interactions([0], [0], 3))}, MismatchError, "seen has 3 users"),
        ({"rule": CandidateRule(np.arange(ITEMS))}, JaxrecError, "leave no item"),
    ],
)
def test_bad_input_is_refused(example, change, error, message):
    train, test, table = example
    given = {"scorer": TableScorer(table), "truth": test, "seen": seen_items(train), **SETTINGS, **change}
    with pytest.raises(error, match=message):
        measure(given.pop("scorer"), given.pop("truth"), jax.random.key(0), **given)


def test_a_fitted_model_is_measured_on_its_split():
    rng = np.random.default_rng(0)
    pairs = rng.choice(30 * 40, size=400, replace=False)
    split = jaxrec.split(jaxrec.from_arrays(pairs // 40, pairs % 40), "user_random", test=0.3, key=jax.random.key(0))
    model = jaxrec.fit(jaxrec.Popularity(), split, key=jax.random.key(0))
    key = jax.random.key(1)
    with pytest.warns(SampledMetricsWarning):
        report = jaxrec.evaluate_sampled(model, split, key, sampled=9, k=3, exclude=[7], mask="train")
    expected = measure(
        model.scorer, split.test, key, seen=seen_items(split.train), sampled=9, k=3, rule=CandidateRule(np.array([7]))
    )
    name = "ndcg@3 (sampled 9)"
    np.testing.assert_array_equal(report.per_user[name], expected.per_user[name])
    assert (report.masked, report.user_ids is None) == ("train", False)
    assert report.catalogue == "9 sampled negatives for each test item, drawn from 40 items, without 1 excluded"
