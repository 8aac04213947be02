"""Options of the ranking metrics, graded nDCG, R-precision and AUC: arithmetic, twins, scikit-learn, properties."""

import functools
import importlib.util
import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import metrics as slow

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.metrics._auc import auc, auc_of_items
from jaxrec.metrics._ranking import average_precision, graded_ndcg, ndcg, precision, r_precision, recall

ITEMS, LENGTH, MOST, CUTS = 40, 12, 15, (1, 3, 7, 12)
SLOW_GAINS = {"linear": lambda grade: grade, "exponential": lambda grade: 2**grade - 1}
discount = lambda place: 1 / math.log2(place + 1)  # noqa: E731


# Compiled once each: the examples of one test are all of one shape.
fast_graded = jax.jit(graded_ndcg, static_argnames=("k", "gain"))
fast_auc = jax.jit(auc)
fast_auc_of_items = jax.jit(auc_of_items)


@pytest.fixture(scope="module")
def sklearn_metrics():
    if importlib.util.find_spec("sklearn") is None:
        pytest.skip("scikit-learn is not installed; it comes with the test extra")
    import sklearn.metrics

    return sklearn.metrics


@pytest.fixture(scope="module")
def graded_lists():
    """Lists [U, 12] with padding, and the grades of each user's relevant items; short lists and empty truth too."""
    rng = np.random.default_rng(5)
    users = 150
    lists, grades = np.full((users, LENGTH), -1), []
    for user in range(users):
        size = rng.integers(0, LENGTH + 1)
        lists[user, :size] = rng.permutation(ITEMS)[:size]
        chosen = rng.permutation(ITEMS)[: rng.integers(0, MOST + 1)].tolist()
        grades.append({item: float(rng.integers(1, 11)) / 2 for item in chosen})  # half stars
    return lists, grades


def arrays_of(lists, grades):
    """Hits [U, K], relevant items [U], gains [U, K] and ideal gains [U, M]."""
    hits = np.array([slow.hits_of(listed, truth) for listed, truth in zip(lists, grades, strict=True)], bool)
    counts = np.array([len(truth) for truth in grades], np.int32)
    gains = [[truth.get(item, 0) for item in listed] for listed, truth in zip(lists.tolist(), grades, strict=True)]
    ideal = [[*truth.values(), *[0] * (MOST - len(truth))] for truth in grades]
    return hits, counts, np.array(gains, np.float32), np.array(ideal, np.float32)


def test_recall_of_the_vae_and_ials_papers_and_lenskit_is_over_what_fits_in_the_list():
    hits, relevant = jnp.array([True, True, False, False]), jnp.array(5)
    assert recall(hits, relevant, k=2) == np.float32(2 / 5)
    assert recall(hits, relevant, k=2, over="min") == 2 / min(2, 5)
    assert recall(hits, jnp.array(2), over="min") == recall(hits, jnp.array(2)) == 1.0


def test_ndcg_of_rectools_is_over_k_hits():
    # Two examples of RecTools' documentation, k = 3: a list [hit, miss] of a user with one relevant item, which it
    # gives as 0.46927873, and [hit, miss, hit] of one with three, which it gives as 0.70391809.
    one, three = jnp.array([True, False, False]), jnp.array([True, False, True])
    np.testing.assert_allclose(ndcg(one, jnp.array(1), ideal="k"), 0.46927873, atol=1e-6)
    np.testing.assert_allclose(ndcg(three, jnp.array(3), ideal="k"), 0.70391809, atol=1e-6)
    assert ndcg(one, jnp.array(1)) == 1.0
    np.testing.assert_allclose(ndcg(three, jnp.array(3)), 0.70391809, atol=1e-6)


def test_precision_of_lenskit_is_over_the_length_of_the_list():
    hits, two = jnp.array([True, False, False, False]), jnp.array(2)  # two items and two places of padding
    assert precision(hits, jnp.array(9)) == 1 / 4
    assert precision(hits, jnp.array(9), over="length", length=two) == 1 / 2
    assert precision(hits, jnp.array(9), k=1, over="length", length=two) == 1.0
    assert precision(hits, jnp.array(9), over="length", length=jnp.array(0)) == 0.0
    assert precision(hits, jnp.array(0), over="length", length=two) == 0.0


def test_a_hit_behind_the_length_of_the_list_does_not_count():
    assert precision(jnp.ones(4, bool), jnp.array(9), over="length", length=jnp.array(2)) == 1.0


def test_average_precision_of_recbole_is_over_what_fits_in_the_list():
    hits, relevant = jnp.array([True, False, True]), jnp.array(6)
    np.testing.assert_allclose(average_precision(hits, relevant), (1 + 2 / 3) / 6, rtol=1e-6)
    np.testing.assert_allclose(average_precision(hits, relevant, over="min"), (1 + 2 / 3) / 3, rtol=1e-6)


def test_gain_of_elliot_is_the_exponential_one_of_the_rating_above_the_threshold():
    ratings, threshold = np.array([3.0, 5.0], np.float32), 3
    gains = [2 ** (rating - threshold + 1) - 1 for rating in ratings]  # 1 and 7
    expected = (gains[0] * discount(1) + gains[1] * discount(2)) / (gains[1] * discount(1) + gains[0] * discount(2))
    grades = jnp.asarray(ratings - threshold + 1)
    np.testing.assert_allclose(fast_graded(grades, grades, gain="exponential"), expected, rtol=1e-6)
    linear = (1 * discount(1) + 3 * discount(2)) / (3 * discount(1) + 1 * discount(2))
    np.testing.assert_allclose(fast_graded(grades, grades), linear, rtol=1e-6)


def test_precision_over_the_length_agrees_with_the_slow_twin(graded_lists):
    lists, grades = graded_lists
    hits, counts, _, _ = arrays_of(lists, grades)
    lengths = jnp.asarray((lists >= 0).sum(axis=1), jnp.int32)
    for k in CUTS:
        single = lambda hits, n, length, k=k: precision(hits, n, k=k, over="length", length=length)  # noqa: E731
        expected = [slow.precision_of_length(own, truth, k) for own, truth in zip(lists.tolist(), grades, strict=True)]
        np.testing.assert_allclose(jax.jit(jax.vmap(single))(hits, counts, lengths), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_graded_ndcg_agrees_with_the_slow_twin(gain, graded_lists):
    lists, grades = graded_lists
    _, _, gains, ideal = arrays_of(lists, grades)
    assert min(map(len, grades)) == 0
    for k in CUTS:
        fast = jax.jit(jax.vmap(functools.partial(graded_ndcg, k=k, gain=gain)))(gains, ideal)
        expected = [
            slow.graded_ndcg(own, truth, k, SLOW_GAINS[gain]) for own, truth in zip(lists.tolist(), grades, strict=True)
        ]
        np.testing.assert_allclose(fast, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_grades_of_0_and_1_give_the_binary_ndcg(gain, graded_lists):
    hits, counts, gains, ideal = arrays_of(*graded_lists)
    graded = jax.jit(jax.vmap(functools.partial(graded_ndcg, k=7, gain=gain)))(
        (gains > 0).astype(np.float32), (ideal > 0).astype(np.float32)
    )
    np.testing.assert_allclose(graded, jax.jit(jax.vmap(functools.partial(ndcg, k=7)))(hits, counts), atol=1e-6)


def test_graded_ndcg_without_a_grade_above_zero_is_zero():
    assert fast_graded(jnp.zeros(3), jnp.zeros(2)) == 0.0
    assert fast_graded(jnp.zeros(3), jnp.zeros(0)) == 0.0
    assert fast_graded(jnp.array([-2.0, 1.0]), jnp.array([1.0, -2.0])) == np.float32(discount(2))  # -2 counts as 0


@st.composite
def graded_list(draw):
    """Grades of a list of 12 places, the grades of 15 relevant items among which they are, and a cut."""
    grades = np.array(draw(st.lists(st.integers(0, 5), min_size=MOST, max_size=MOST)), np.float32)
    order = draw(st.permutations(range(MOST)))
    return grades[list(order)][:LENGTH], grades, draw(st.sampled_from(CUTS))


@pytest.mark.parametrize("gain", ["linear", "exponential"])
@hypothesis.given(graded_list(), st.data())
def test_graded_ndcg_is_bounded_and_rises_when_a_better_item_moves_up(gain, example, data):
    gains, ideal, k = example
    before = float(fast_graded(gains, ideal, k=k, gain=gain))
    assert 0 <= before <= 1 + 1e-6
    place = data.draw(st.integers(1, LENGTH - 1))
    moved = gains.copy()
    moved[place - 1], moved[place] = max(gains[place - 1 : place + 1]), min(gains[place - 1 : place + 1])
    assert fast_graded(moved, ideal, k=k, gain=gain) >= before - 1e-6


@hypothesis.given(graded_list(), st.permutations(range(MOST)))
def test_the_order_of_the_relevant_items_does_not_matter(example, order):
    gains, ideal, k = example
    assert fast_graded(gains, ideal, k=k, gain="linear") == fast_graded(gains, ideal[list(order)], k=k, gain="linear")


@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_a_perfect_list_gives_exactly_one(gain):
    grades = jnp.array([5.0, 4.5, 4.0, 2.0, 0.5])
    assert fast_graded(jnp.pad(grades, (0, 7)), grades, gain=gain) == 1.0


def test_r_precision_is_cut_at_the_number_of_relevant_items():
    hits = jnp.array([True, False, True, True, False])
    assert r_precision(hits, jnp.array(2)) == 1 / 2
    np.testing.assert_allclose(r_precision(hits, jnp.array(3)), 2 / 3, rtol=1e-6)
    np.testing.assert_allclose(r_precision(hits, jnp.array(9)), 3 / 9, rtol=1e-6)  # four places are missing: misses
    assert r_precision(hits, jnp.array(0)) == 0.0


def test_r_precision_agrees_with_the_slow_twin_and_is_precision_and_recall_at_its_cut(graded_lists):
    lists, grades = graded_lists
    hits, counts, _, _ = arrays_of(lists, grades)
    fast = np.asarray(jax.jit(jax.vmap(r_precision))(hits, counts))
    expected = [slow.r_precision(listed, truth) for listed, truth in zip(lists.tolist(), grades, strict=True)]
    np.testing.assert_allclose(fast, expected, atol=1e-6, rtol=0)
    for listed, truth, value in zip(lists.tolist(), grades, fast, strict=True):
        if truth:
            assert abs(slow.precision(listed, truth, len(truth)) - value) < 1e-6
            assert abs(slow.recall(listed, truth, len(truth)) - value) < 1e-6


def padded_items(relevant, size=MOST):
    return np.array([*np.flatnonzero(relevant), *[-1] * (size - int(np.sum(relevant)))], np.int32)


@st.composite
def scored_items(draw):
    """Scores of 40 items with many ties and infinities, the relevant ones (15 at most), and those that count."""
    values = [-math.inf, -1.0, -0.0, 0.0, 0.5, 2.0, math.inf]
    scores = np.array(draw(st.lists(st.sampled_from(values), min_size=ITEMS, max_size=ITEMS)), np.float32)
    relevant = np.isin(np.arange(ITEMS), draw(st.lists(st.integers(0, ITEMS - 1), max_size=MOST)))
    counted = np.array(draw(st.lists(st.booleans(), min_size=ITEMS, max_size=ITEMS)))
    return scores, relevant, counted


@hypothesis.given(scored_items())
def test_auc_agrees_with_the_slow_twin(example):
    scores, relevant, counted = example
    expected = slow.auc(scores, set(np.flatnonzero(relevant)), set(np.flatnonzero(counted)))
    scores = np.where(counted, scores, np.float32(np.nan))  # what does not count may score anything
    np.testing.assert_allclose(fast_auc(scores, relevant, counted), expected, atol=1e-6)
    np.testing.assert_allclose(fast_auc_of_items(scores, padded_items(relevant), counted), expected, atol=1e-6)


@hypothesis.given(scored_items(), st.permutations(range(ITEMS)))
def test_auc_is_bounded_and_depends_neither_on_labels_nor_on_the_scale_and_turns_with_the_scores(example, order):
    scores, relevant, counted = example
    value, order = float(fast_auc(scores, relevant, counted)), np.array(order)
    assert 0 <= value <= 1
    assert abs(fast_auc(scores[order], relevant[order], counted[order]) - value) < 1e-6
    ranks = np.unique(scores, return_inverse=True)[1].astype(np.float32)  # rises with the scores, ties kept
    assert abs(fast_auc(ranks, relevant, counted) - value) < 1e-6
    if (relevant & counted).any() and (~relevant & counted).any():
        assert abs(fast_auc(-scores, relevant, counted) - (1 - value)) < 1e-6


def test_auc_of_constant_scores_is_a_half_and_of_one_kind_alone_zero():
    some = jnp.arange(ITEMS) < 3
    assert fast_auc(jnp.zeros(ITEMS), some, jnp.ones(ITEMS, bool)) == 0.5
    assert fast_auc_of_items(jnp.zeros(ITEMS), jnp.array([0, 1, 2])) == 0.5
    for only in (some, ~some):
        assert fast_auc(jnp.arange(ITEMS, dtype=jnp.float32), some, only) == 0.0
        assert fast_auc_of_items(jnp.arange(ITEMS, dtype=jnp.float32), jnp.array([0, 1, 2]), only) == 0.0


def test_padding_between_the_items_or_no_item_at_all():
    scores = jnp.array([3.0, 1.0, 2.0])
    assert fast_auc_of_items(scores, jnp.array([-1, 0, -1])) == 1.0
    assert fast_auc_of_items(scores, jnp.zeros(0, jnp.int32)) == 0.0


def test_auc_of_items_mapped_over_users_one_by_one_is_that_of_all_at_once():
    rng = np.random.default_rng(9)
    scores, relevant = rng.normal(size=(6, ITEMS)).astype(np.float32), rng.random((6, ITEMS)) < 0.2
    items = np.array([padded_items(own, 20) for own in relevant])
    one_by_one = jax.jit(lambda *users: jax.lax.map(lambda user: auc_of_items(*user), users))(scores, items)
    np.testing.assert_array_equal(one_by_one, jax.jit(jax.vmap(auc_of_items))(scores, items))
    np.testing.assert_allclose(one_by_one, jax.jit(jax.vmap(auc))(scores, relevant), atol=1e-6)


def test_auc_of_a_score_that_is_not_a_number_is_not_a_number():
    scores, relevant = np.ones(ITEMS, np.float32), np.arange(ITEMS) == 0
    scores[:2] = 2, np.nan
    everything, finite = np.ones(ITEMS, bool), np.isfinite(scores)
    assert np.isnan(fast_auc(scores, relevant, everything))
    assert np.isnan(fast_auc_of_items(scores, padded_items(relevant), everything))
    assert fast_auc(scores, relevant, finite) == fast_auc_of_items(scores, padded_items(relevant), finite) == 1.0


def test_full_rankings_agree_with_scikit_learn_where_there_are_no_ties(sklearn_metrics):
    rng = np.random.default_rng(7)
    for _ in range(5):
        scores = rng.permutation(ITEMS).astype(float)
        grades = np.where(rng.random(ITEMS) < 0.3, rng.integers(1, 6, ITEMS), 0).astype(np.float32)
        gains = grades[np.argsort(-scores)]
        for k in (1, 5, 40):
            linear = sklearn_metrics.ndcg_score([grades], [scores], k=k)
            exponential = sklearn_metrics.ndcg_score([2**grades - 1], [scores], k=k)
            np.testing.assert_allclose(fast_graded(gains, grades, k=k, gain="linear"), linear, atol=1e-6)
            np.testing.assert_allclose(fast_graded(gains, grades, k=k, gain="exponential"), exponential, atol=1e-6)
        found = average_precision(gains > 0, jnp.array((grades > 0).sum(), jnp.int32))
        np.testing.assert_allclose(found, sklearn_metrics.average_precision_score(grades > 0, scores), atol=1e-6)


def test_both_numbers_where_scores_tie(sklearn_metrics):
    # The relevant item ties with one other. A list puts the lower id first; scikit-learn takes the mean over orders.
    relevant, scores = np.array([1.0, 0.0], np.float32), [0.3, 0.3]
    assert graded_ndcg(relevant, relevant) == 1.0
    mean = (discount(1) + discount(2)) / 2
    np.testing.assert_allclose(sklearn_metrics.ndcg_score([relevant], [scores]), mean)
    broken = sklearn_metrics.ndcg_score([relevant], [[0.3 + 1e-9, 0.3]])
    np.testing.assert_allclose(broken, 1.0)


def test_bad_options_are_refused():
    hits, relevant = jnp.ones(3, bool), jnp.array(1)
    with pytest.raises(JaxrecError, match="over is 'k'; choose 'relevant' or 'min'"):
        recall(hits, relevant, over="k")  # type: ignore[arg-type]
    with pytest.raises(JaxrecError, match="over is 'all'; choose 'relevant' or 'min'"):
        average_precision(hits, relevant, over="all")  # type: ignore[arg-type]
    with pytest.raises(JaxrecError, match="over is 'min'; choose 'k' or 'length'"):
        precision(hits, relevant, over="min")  # type: ignore[arg-type]
    with pytest.raises(JaxrecError, match="over is 'length' but length is None; pass the number of places"):
        precision(hits, relevant, over="length")
    with pytest.raises(JaxrecError, match="length is given but over is 'k'; pass over='length'"):
        precision(hits, relevant, length=jnp.array(2))
    with pytest.raises(MismatchError, match=r"length must be one number, got shape \(1,\)"):
        precision(hits, relevant, over="length", length=jnp.array([2]))
    with pytest.raises(JaxrecError, match="ideal is 'max'; choose 'min' or 'k'"):
        ndcg(hits, relevant, ideal="max")  # type: ignore[arg-type]


def test_bad_grades_and_lists_are_refused():
    grades = jnp.ones(3)
    with pytest.raises(JaxrecError, match="gain is 'square'; choose 'linear' or 'exponential'"):
        graded_ndcg(grades, grades, gain="square")  # type: ignore[arg-type]
    with pytest.raises(MismatchError, match=r"gains must be one list, .* got shape \(1, 3\)"):
        graded_ndcg(grades[None], grades)
    with pytest.raises(MismatchError, match=r"ideal_gains must be the grades of one user, \[M\], got shape \(1, 3\)"):
        graded_ndcg(grades, grades[None])
    with pytest.raises(MismatchError, match="k is 4 but the list has 3 places"):
        graded_ndcg(grades, grades, k=4)
    with pytest.raises(JaxrecError, match="k is -1; a list has at least one place"):
        graded_ndcg(grades, grades, k=-1)
    with pytest.raises(MismatchError, match=r"hits must be one list, .* got shape \(1, 3\)"):
        r_precision(jnp.ones((1, 3), bool), jnp.array(1))


def test_bad_scores_are_refused():
    scores, some = jnp.ones(3), jnp.ones(3, bool)
    with pytest.raises(
        MismatchError, match=r"scores must be those of one user, \[I\], got shape \(1, 3\); use jax.vmap"
    ):
        auc(scores[None], some)
    with pytest.raises(MismatchError, match=r"relevant has shape \(2,\), expected \(3,\): one entry for each item"):
        auc(scores, some[:2])
    with pytest.raises(MismatchError, match=r"where has shape \(4,\), expected \(3,\): one entry for each item"):
        auc(scores, some, jnp.ones(4, bool))
    with pytest.raises(MismatchError, match=r"items must be those of one user, \[R\], got shape \(\); use jax.vmap"):
        auc_of_items(scores, jnp.array(1))
