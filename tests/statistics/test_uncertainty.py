"""Intervals, paired tests, Holm's correction and the spread over seeds: twins with the same draws, scipy, coverage."""

import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import uncertainty as slow

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.statistics import _resampling as resampling
from jaxrec.statistics import (
    bootstrap_interval,
    compare_models,
    holm,
    paired_bootstrap,
    permutation_test,
    seed_spread,
)

N, RESAMPLES, PERMUTATIONS = 40, 200, 100
p_lists = st.lists(st.floats(0, 1), min_size=0, max_size=12)


@pytest.fixture(scope="module")
def recalls():
    """Two models' values, in sevenths as recall has them, so that there are ties."""
    rng = np.random.default_rng(0)
    return (rng.integers(0, 8, N) / 7).astype(np.float32), (rng.integers(0, 7, N) / 7).astype(np.float32)


@pytest.fixture(scope="module")
def drawn():
    return slow.picks(jax.random.key(3), RESAMPLES, N)


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("level", [0.95, 0.8])
def test_an_interval_is_that_of_the_slow_twin_with_the_same_draws(method, level, recalls, drawn):
    values = recalls[0] ** 4  # skewed, so that bca moves the ends
    twin = {"percentile": slow.percentile_interval, "bca": slow.bca_interval}[method]
    expected = twin(values.astype(float).tolist(), drawn, level)
    out = bootstrap_interval(values, jax.random.key(3), resamples=RESAMPLES, level=level, method=method)
    np.testing.assert_allclose(out, expected, atol=1e-6, rtol=0)


def test_a_paired_result_is_that_of_the_slow_twin_with_the_same_draws(recalls, drawn):
    a, b = recalls
    result = paired_bootstrap(a, b, jax.random.key(3), resamples=RESAMPLES)
    difference = (a.astype(float) - b.astype(float)).tolist()
    np.testing.assert_allclose(result.difference, sum(difference) / N, rtol=1e-12)
    np.testing.assert_allclose(result[1:3], slow.percentile_interval(difference, drawn, 0.95), atol=1e-6, rtol=0)
    assert result.p_value == slow.bootstrap_p(a, b, drawn)
    assert 1 / (1 + RESAMPLES) < result.p_value < 1  # a value that could be wrong
    assert result.users == N


def test_a_permutation_test_is_that_of_the_slow_twin_with_the_same_signs(key, recalls):
    a, b = recalls
    difference = [d for d in (a.astype(float) - b.astype(float)).tolist() if d != 0]
    assert len(difference) > 32  # more than one word of random bits
    patterns = slow.signs(key, PERMUTATIONS, len(difference))
    p = permutation_test(a, b, key, permutations=PERMUTATIONS)
    assert p == slow.permutation_p(difference, patterns)
    assert 1 / (1 + PERMUTATIONS) < p < 1


def test_few_users_are_tested_exactly(key):
    a, b = [5, 3, 4, 1, 7, 2], [1, 2, 4, 3, 2, 1]  # differences 4, 1, 0, -2, 5, 1
    p = permutation_test(a, b, key)
    # Of the 32 patterns of the five, those with a sum of at least 9 turn nothing (13 - 4 = 9), the 2 (13), or the 2 and
    # one of the 1s (11, twice) or both (9): 5, and as many below -9.
    assert p == 10 / 32
    assert p == slow.exact_permutation_p(np.subtract(a, b).tolist())
    assert permutation_test(a, b, jax.random.key(9), permutations=32) == p
    drawn = permutation_test(a, b, key, permutations=31)
    assert drawn == slow.permutation_p([4, 1, -2, 5, 1], slow.signs(key, 31, 5))


@hypothesis.given(st.lists(st.integers(-6, 6), min_size=1, max_size=8))
def test_the_exact_test_counts_every_pattern(difference):
    p = permutation_test(difference, np.zeros(len(difference)), jax.random.key(0))
    assert p == slow.exact_permutation_p(difference)
    assert p == permutation_test(np.zeros(len(difference)), difference, jax.random.key(0))


def test_exact_p_agrees_with_scipy(key):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(1)
    for shift in (0.0, 0.5, 1.0):
        a, b = rng.normal(size=9) + shift, rng.normal(size=9)
        theirs = stats.permutation_test(
            (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", n_resamples=np.inf
        )
        np.testing.assert_allclose(permutation_test(a, b, key), theirs.pvalue, rtol=1e-12)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_an_interval_agrees_with_scipy_up_to_chance(method, key):
    stats = pytest.importorskip("scipy.stats")
    values, resamples = np.random.default_rng(2).exponential(size=N), 10000
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=resamples, method=method.replace("bca", "BCa"), rng=np.random.default_rng(3)
    ).confidence_interval
    ours = bootstrap_interval(values, key, resamples=resamples, method=method)
    # A quantile q of R draws from a density f has the standard error sqrt(q (1 - q) / R) / f; two of them, so sqrt(2).
    # At the 2.5% point of a normal of standard deviation s, f is 0.0584 / s. Four standard errors; bca cuts further out
    # on one side (near 1%), where the error is 1.5 times as large.
    spread = values.std() / math.sqrt(N)
    error = math.sqrt(2 * 0.025 * 0.975 / resamples) / 0.0584 * spread
    np.testing.assert_allclose(ours, theirs, atol=4 * 1.5 * error, rtol=0)


def test_an_interval_covers_the_mean_as_often_as_it_says(key):
    trials, users = 400, 200
    samples = np.random.default_rng(4).normal(0.3, 1, (users, trials))
    low, high = bootstrap_interval(samples, key, resamples=1000, level=0.9)
    covered = int(((low <= 0.3) & (high >= 0.3)).sum())
    # 400 trials of probability 0.9 have a standard deviation of 6.
    assert abs(covered - 360) <= 4 * 6


def test_a_true_null_is_refused_as_often_as_the_level_says(key):
    trials, users = 400, 100
    a, b = np.random.default_rng(5).normal(size=(2, trials, users))
    names = [f"m{trial}" for trial in range(trials)]
    models = {"a": dict(zip(names, a, strict=True)), "b": dict(zip(names, b, strict=True))}
    rows = compare_models(models, key, resamples=19999)
    refused = sum(row.p_value <= 0.05 for row in rows)
    # 400 trials of probability 0.05 have a standard deviation of 4.4; the bootstrap of 100 users refuses a little more.
    assert 2 <= refused <= 40
    assert sum(row.significant for row in rows) <= 1  # Holm: one false row at all in 20 such tables
    assert sum((row.low > 0) or (row.high < 0) for row in rows) > 1  # which the single intervals do not promise


def test_identical_models_differ_in_nothing(key, recalls):
    result = paired_bootstrap(recalls[0], recalls[0], key, resamples=RESAMPLES)
    assert tuple(result) == (0, 0, 0, 1, N)
    assert tuple(paired_bootstrap(recalls[0], recalls[0], key, resamples=RESAMPLES, method="bca")) == tuple(result)
    assert permutation_test(recalls[0], recalls[0], key) == 1


def test_a_large_shift_has_the_lowest_p_there_is(key, recalls):
    shifted = recalls[1] + 100
    result = paired_bootstrap(shifted, recalls[1], key, resamples=RESAMPLES)
    assert result.p_value == 1 / (1 + RESAMPLES)
    np.testing.assert_allclose(result[:3], [100, 100, 100], rtol=1e-6)
    assert permutation_test(shifted, recalls[1], key, permutations=PERMUTATIONS) == 1 / (1 + PERMUTATIONS)
    assert permutation_test(shifted[:5], recalls[1][:5], key) == 2 / 2**5


def test_the_order_of_the_models_turns_the_sign(key, recalls):
    a, b = recalls
    ab, ba = (paired_bootstrap(*pair, key, resamples=RESAMPLES) for pair in ((a, b), (b, a)))
    np.testing.assert_allclose(ba[:3], [-ab.difference, -ab.high, -ab.low], atol=1e-7, rtol=0)
    assert ab.p_value == ba.p_value


def test_scale_and_offset_of_the_values_carry_over(key, recalls):
    low, high = bootstrap_interval(recalls[0], key, resamples=RESAMPLES)
    for scale, offset in ((1e-60, 0), (1e60, 0), (1, 1e4)):
        moved = bootstrap_interval(recalls[0].astype(float) * scale + offset, key, resamples=RESAMPLES)
        # A float32 mean near 10,000 would be off by 5e-4.
        np.testing.assert_allclose(np.subtract(moved, offset) / scale, [low, high], atol=1e-6, rtol=0)


def test_the_memory_changes_nothing_but_rounding(key, recalls):
    a, b = recalls
    everything = []
    for memory_mb in (1e-6, 0.01, 256):  # one resample at a time, a few (not a divisor of 200), 64
        chunk = resampling.at_once(N, memory_mb, RESAMPLES)
        everything.append((chunk, paired_bootstrap(a, b, key, resamples=RESAMPLES, memory_mb=memory_mb)))
        everything[-1] += (permutation_test(a, b, key, permutations=PERMUTATIONS, memory_mb=memory_mb),)
    assert [chunk for chunk, *_ in everything] == [1, 4, 64]
    for _, result, p in everything[1:]:
        np.testing.assert_allclose(result, everything[0][1], atol=1e-7, rtol=0)
        assert (result.p_value, p) == (everything[0][1].p_value, everything[0][2])


def test_the_same_key_gives_the_same_bits_and_another_key_others(key, recalls):
    first, again, other = (
        bootstrap_interval(recalls[0], k, resamples=RESAMPLES) for k in (key, jax.random.key(0), jax.random.key(1))
    )
    assert first == again
    assert first != other


def test_no_program_holds_all_resamples_of_all_users(key):
    users, resamples = 1_000_000, 2000
    chunk = resampling.at_once(users, 256, resamples)
    shape = jax.ShapeDtypeStruct((users, 1), jnp.float32)
    compiled = resampling.resampled_sums.lower(shape, key, count=resamples, chunk=chunk).compile()
    memory = compiled.memory_analysis()
    if memory is None:
        pytest.skip("this backend does not tell what a program needs")
    assert memory.temp_size_in_bytes < 256 * 2**20  # all at once would be 2,000 x 1,000,000 x 4 bytes, 7.5 GiB


def test_a_column_has_the_same_interval_alone_and_beside_others(key, recalls):
    a, b = recalls[0].copy(), recalls[1].copy()
    a[[3, 17]] = np.nan
    low, high = bootstrap_interval(np.stack([a, b], axis=1), key, resamples=RESAMPLES)
    assert low.shape == high.shape == (2,)
    for column, values in enumerate((a, b)):
        alone = bootstrap_interval(values, key, resamples=RESAMPLES)
        np.testing.assert_allclose([low[column], high[column]], alone, atol=1e-7, rtol=0)


def test_a_user_without_a_value_is_left_out(key, recalls):
    a, b = recalls[0].copy(), recalls[1].copy()
    a[3], b[17] = np.nan, np.nan
    kept = np.delete(np.arange(N), [3, 17])
    result = paired_bootstrap(a, b, key, resamples=RESAMPLES)
    assert result == paired_bootstrap(a[kept], b[kept], key, resamples=RESAMPLES)
    assert result.users == N - 2
    assert permutation_test(a, b, key, permutations=50) == permutation_test(a[kept], b[kept], key, permutations=50)
    without = np.delete(np.arange(N), 3)
    one = bootstrap_interval(a, key, resamples=RESAMPLES)
    assert one == bootstrap_interval(a[without], key, resamples=RESAMPLES)


def test_holm_is_the_arithmetic_of_the_paper():
    # Sorted .01 .02 .03 .04 times 4 3 2 1 is .04 .06 .06 .04, and never below one before it: .06 for the last.
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.6, 0.5]), [1.0, 1.0])  # 2 x 0.5, and not below it
    assert holm([0.25]).tolist() == [0.25]
    assert holm([]).size == 0


@hypothesis.given(p_lists, st.randoms(use_true_random=False))
def test_holm_keeps_the_order_is_never_below_p_and_does_not_see_the_order(p, random):
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    assert (adjusted <= np.minimum(1, len(p) * np.asarray(p))).all()  # Bonferroni
    by_p = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[by_p]) >= 0).all()
    order = list(range(len(p)))
    random.shuffle(order)
    np.testing.assert_array_equal(holm(np.asarray(p)[order]), adjusted[order])


@hypothesis.given(st.lists(st.integers(0, 100), min_size=1, max_size=12), st.sampled_from([0.01, 0.05, 0.1, 0.3]))
def test_holm_refuses_what_the_procedure_refuses(thousandths, level):
    p = [(thousandth + 0.5) / 1000 for thousandth in thousandths]  # no product is the level itself
    assert (holm(p) <= level).tolist() == slow.holm_refused(p, level)


def test_a_comparison_has_every_pair_and_metric(key, recalls):
    a, b = recalls
    models = {
        "mf": {"recall@10": a, "ndcg@10": a / 2},
        "pop": {"ndcg@10": b / 2, "recall@10": b},
        "far": {"recall@10": a - 9, "ndcg@10": b},
    }
    rows = compare_models(models, key, resamples=RESAMPLES)
    pairs = [("mf", "pop"), ("mf", "far"), ("pop", "far")]
    assert [(row.metric, row.a, row.b) for row in rows] == [(m, *p) for m in ("recall@10", "ndcg@10") for p in pairs]
    for row in rows:
        alone = paired_bootstrap(models[row.a][row.metric], models[row.b][row.metric], key, resamples=RESAMPLES)
        np.testing.assert_allclose((row.difference, row.low, row.high), alone[:3], atol=1e-6, rtol=0)
        assert (row.p_value, row.users) == (alone.p_value, N)
        np.testing.assert_allclose(row.mean_a, models[row.a][row.metric].astype(float).mean(), rtol=1e-12)
        np.testing.assert_allclose(row.mean_a - row.mean_b, row.difference, atol=1e-12)
        assert row.significant == (row.p_holm <= 1 - 0.95)
    np.testing.assert_array_equal([row.p_holm for row in rows], holm([row.p_value for row in rows]))
    assert rows[1].significant
    assert rows[1].p_holm == 6 / (1 + RESAMPLES)
    in_blocks = compare_models(models, key, resamples=RESAMPLES, memory_mb=1e-6)
    assert [row.p_holm for row in in_blocks] == [row.p_holm for row in rows]


def test_a_metric_is_compared_over_the_users_that_every_model_has(key, recalls):
    a, b = recalls
    holes = a.copy()
    holes[:4] = np.nan
    models = {"a": {"x": a, "y": a}, "b": {"x": b, "y": b}, "c": {"x": holes, "y": b}}
    rows = compare_models(models, key, resamples=RESAMPLES)
    assert [row.users for row in rows] == [N - 4] * 3 + [N] * 3
    assert rows[0].mean_a == a[4:].astype(float).mean()
    assert rows[3].mean_a == a.astype(float).mean()


def test_too_few_resamples_for_the_correction_are_told(recalls):
    a, b = recalls
    models = {"a": {"x": a, "y": a, "z": a}, "b": {"x": b, "y": b, "z": b}}
    with pytest.warns(UserWarning, match=r"3 comparisons with resamples=40: .* 1 / 41, .* pass resamples=60 or more"):
        rows = compare_models(models, jax.random.key(0), resamples=40)
    assert not any(row.significant for row in rows)


def test_seeds_spread_by_student():
    values = [0.1, 0.2, 0.3, 0.4, 0.5]
    mean, std, low, high = seed_spread(values)
    half = 2.7764451051977987 * math.sqrt((0.04 + 0.01 + 0 + 0.01 + 0.04) / 4) / math.sqrt(5)  # t of 4 degrees, 97.5%
    np.testing.assert_allclose([mean, std], [0.3, math.sqrt(0.1 / 4)])
    np.testing.assert_allclose([low, high], [0.3 - half, 0.3 + half])
    assert seed_spread(values, level=0.5).high < high


def test_few_seeds_are_warned_of():
    with pytest.warns(UserWarning, match=r"4 seeds: a claim about methods needs at least 5"):
        seed_spread([0.1, 0.2, 0.3, 0.4])


GOOD = np.linspace(0, 1, 5)
KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_interval(np.zeros((2, 2, 2)), KEY), r"values has shape \(2, 2, 2\), expected \[U\] or"),
        (lambda: paired_bootstrap(GOOD, GOOD[:4], KEY), r"a has shape \(5,\) and b \(4,\), expected \[U\] twice"),
        (lambda: permutation_test(GOOD[:, None], GOOD[:, None], KEY), r"a has shape \(5, 1\) and b \(5, 1\)"),
        (lambda: holm([[0.5]]), r"p_values has shape \(1, 1\), expected \[M\]"),
        (lambda: seed_spread(0.5), r"values has shape \(\), expected \[S\]"),
        (
            lambda: compare_models({"a": {"x": GOOD}, "b": {"y": GOOD}}, KEY),
            r"per_user\['b'\] and per_user\['a'\] differ in their metrics \(x, y\)",
        ),
        (
            lambda: compare_models({"a": {"x": GOOD}, "b": {"x": GOOD[:3]}}, KEY),
            r"per_user\['b'\]\['x'\] has 3 users, expected 5",
        ),
        (
            lambda: compare_models({"a": {"coverage": 0.5}, "b": {"coverage": 0.4}}, KEY),
            r"per_user\['a'\]\['coverage'\] has shape \(\), .* a number of all lists together",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call, message):
    with pytest.raises(MismatchError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_interval([1.0, np.inf], KEY), r"values\[1\] is inf, which has no mean; use NaN"),
        (lambda: bootstrap_interval(["a", "b"], KEY), r"values is of type <U1; pass numbers"),
        (lambda: bootstrap_interval([], KEY), r"values has 0 user\(s\) with a value"),
        (lambda: bootstrap_interval([[1, np.nan], [2, 3]], KEY), r"values, column 1, has 1 user\(s\) with a value"),
        (lambda: paired_bootstrap([1.0], [2.0], KEY), r"a - b has 1 user\(s\) .* needs 2"),
        (lambda: permutation_test([np.nan], [2.0], KEY), r"a and b have no user with a value in both"),
        (lambda: permutation_test(GOOD, GOOD, KEY, permutations=0), r"permutations is 0; pass a whole number"),
        (lambda: permutation_test(GOOD, GOOD, 0), r"key must be one key of jax.random, got 0"),
        (lambda: bootstrap_interval(GOOD, jax.random.split(KEY)), r"pass one of them"),
        (lambda: bootstrap_interval(GOOD, KEY, resamples=2.5), r"resamples is 2.5; pass a whole number of at least 1"),
        (lambda: bootstrap_interval(GOOD, KEY, resamples=39), r"resamples is 39, too few .* pass at least 40,"),
        (lambda: bootstrap_interval(GOOD, KEY, level=1.0), r"level is 1.0; pass a probability between 0 and 1"),
        (lambda: bootstrap_interval(GOOD, KEY, method="t"), r"method is 't'; choose 'percentile' or 'bca'"),
        (lambda: bootstrap_interval(GOOD, KEY, memory_mb=0), r"memory_mb is 0; pass a positive number"),
        (lambda: holm([0.5, np.nan]), r"p_values\[1\] is nan, not from 0 to 1; leave out tests"),
        (lambda: holm([1.5]), r"p_values\[0\] is 1.5, not from 0 to 1"),
        (lambda: seed_spread([0.5]), r"values has 1 seed\(s\), and a spread needs 2"),
        (lambda: seed_spread([0.5, np.nan]), r"values\[1\] is nan; look into the training"),
        (lambda: compare_models({"a": {"x": GOOD}}, KEY), r"per_user has 1 model\(s\); pass at least two"),
        (lambda: compare_models({"a": {}, "b": {}}, KEY), r"per_user\['a'\] is empty"),
        (
            lambda: compare_models({"a": {"x": [1, np.nan, 2]}, "b": {"x": [np.nan, 2, 1]}}, KEY),
            r"metric 'x' has 1 user\(s\) with a value from every model",
        ),
    ],
)
def test_values_and_options_without_sense_are_refused(call, message):
    with pytest.raises(JaxrecError, match=message):
        call()
