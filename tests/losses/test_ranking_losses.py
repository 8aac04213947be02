"""The ranking losses of the literature against slow NumPy twins: value, gradient, masks, weights, extreme scores."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from reference import losses as basic
from reference import ranking_losses as slow

import jaxrec
from jaxrec import GCN, MF, LightGCN, losses
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.losses import (
    AdaptiveTemperature,
    BilateralSoftmax,
    CosineContrastive,
    DirectAU,
    PairwiseSoftmax,
    SampledSoftmax,
    SoftmaxAtK,
)
from jaxrec.losses._rows import compared
from jaxrec.protocols import Batch, Encoded
from jaxrec.sampling import Hardest, InBatch, Popularity, Uniform
from jaxrec.testing import checkerboard
from jaxrec.training import Adam, train_data

B, M, D = 6, 3, 4
RNG = np.random.default_rng(5)
SOME = RNG.random((B, M)) < 0.6
SOME[1] = False  # a row whose negatives are all masked
OWNER = np.array([3, 1, 3, 0, 1, 3], np.int32)
WHERE = np.array([True, True, False, True, True, True])
WEIGHTS = np.array([0.5, 2.0, 1.0, 0.0, 1.5, 1.0], np.float32)
THRESHOLD = RNG.normal(size=B).astype(np.float32)
INVERSE = RNG.uniform(0.5, 3, B).astype(np.float32)

SCORED = {
    "bilateral_softmax": {"owner": OWNER, "temperature": 0.3, "positive_temperature": 0.5},
    "pairwise_softmax-tanh": {"surrogate": "tanh", "temperature": 0.3},
    "pairwise_softmax-relu": {"surrogate": "relu", "temperature": 0.3},
    "pairwise_softmax-atan": {"surrogate": "atan", "temperature": 0.3},
    "softmax_at_k": {"threshold": THRESHOLD, "temperature": 0.3, "weight_temperature": 0.7},
    "cosine_contrastive": {"margin": 0.1, "negative_weight": 3.0},
    "adaptive_softmax": {"inverse": 2.0, "user_inverse": INVERSE},
}
ROWS = {"plain": (None, None), "where": (None, WHERE), "weights": (WEIGHTS, None), "both": (WEIGHTS, WHERE)}


@functools.cache
def program(case, masked):
    """The loss and its gradient by the scores, in one program a case."""
    name, options = case.partition("-")[0], SCORED[case]
    arrays = {key: value for key, value in options.items() if isinstance(value, (np.ndarray, np.floating))}
    plain = {key: value for key, value in options.items() if key not in arrays}

    def call(scores, rows):
        mask = {"negative_where": SOME} if masked else {}
        return getattr(losses, name)(*scores, **arrays, **plain, **mask, **rows)

    return jax.jit(jax.value_and_grad(call))


def drawn(seed=1):
    rng = np.random.default_rng(seed)
    return [np.tanh(rng.normal(size=shape)).astype(np.float32) for shape in ((B,), (B, M))]


def rows_of(weights, where):
    return {
        "weights": np.ones(B, np.float32) if weights is None else weights,
        "where": np.ones(B, bool) if where is None else where,
    }


def twin(case, scores, rows, masked, **more):
    mask = SOME if masked else np.ones((B, M), bool)
    return getattr(slow, case.partition("-")[0])(*scores, **rows, **SCORED[case], negative_where=mask, **more)


def close(got, expected):
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=max(2e-6 * np.max(np.abs(expected)), 1e-6))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("case", SCORED)
def test_value_and_gradient_agree_with_the_twin(case, rows, masked):
    scores, given = drawn(), rows_of(*ROWS[rows])
    value, slopes = jax.device_get(program(case, masked)(scores, given))
    exact = [np.float64(part) for part in scores]
    close(value, twin(case, exact, given, masked))
    # The factor of SL@K has no gradient, so its twin keeps the scores that it is of.
    fixed = {"at": exact[0]} if case == "softmax_at_k" else {}
    expected = basic.gradient(lambda *scores: twin(case, scores, given, masked, **fixed), *exact)
    for got, want in zip(slopes, expected, strict=True):
        close(got, want)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("case", SCORED)
def test_masked_rows_and_negatives_do_not_count_whatever_they_hold(case, bad):
    scores, given = drawn(), rows_of(WEIGHTS, WHERE)
    value, slopes = jax.device_get(program(case, True)(scores, given))
    dirty = [np.where(WHERE, scores[0], np.float32(bad)), np.where(SOME & WHERE[:, None], scores[1], np.float32(bad))]
    again, others = jax.device_get(program(case, True)(dirty, given))
    np.testing.assert_allclose(again, value, rtol=1e-6)
    for got, want in zip(others, slopes, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)
    assert not np.any(others[1][~SOME])


@pytest.mark.parametrize("case", SCORED)
def test_nothing_that_counts_gives_0_with_a_gradient_of_0(case):
    for given in (rows_of(None, np.zeros(B, bool)), rows_of(np.zeros(B, np.float32), None)):
        value, slopes = jax.device_get(program(case, False)(drawn(), given))
        assert value == 0
        assert not any(np.any(slope) for slope in slopes)


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1)])
@pytest.mark.parametrize("scale", [1e4, 1.0, 0.0])
@pytest.mark.parametrize("case", SCORED)
def test_extreme_scores_give_finite_values_and_gradients(case, scale, signs):
    scores = [np.full(shape, sign * scale, np.float32) for sign, shape in zip(signs, ((B,), (B, M)), strict=True)]
    value, slopes = jax.device_get(program(case, False)(scores, rows_of(None, None)))
    assert np.isfinite(value)
    assert all(np.isfinite(slope).all() for slope in slopes)


@pytest.mark.parametrize("case", SCORED)
def test_a_weight_of_2_is_a_row_that_occurs_twice(case):
    name, scores = case.partition("-")[0], drawn()
    weights = np.array([2, 1, 1, 1, 1, 1], np.float32)
    twice = np.array([0, 0, 1, 2, 3, 4, 5])
    options = SCORED[case]
    by_row = {key: value for key, value in options.items() if np.ndim(value)}
    rest = {key: value for key, value in options.items() if key not in by_row}
    weighted = getattr(losses, name)(*scores, weights=weights, **options)
    repeated = {key: value[twice] for key, value in by_row.items()}
    doubled = getattr(losses, name)(*(part[twice] for part in scores), **repeated, **rest)
    np.testing.assert_allclose(weighted, doubled, rtol=1e-5)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("name", ["alignment", "uniformity"])
def test_alignment_and_uniformity_agree_with_their_twins(name, rows):
    rng, given = np.random.default_rng(2), rows_of(*ROWS[rows])
    tables = [rng.normal(size=(B, D)).astype(np.float32) for _ in range(2 if name == "alignment" else 1)]
    loss = jax.jit(jax.value_and_grad(lambda tables: getattr(losses, name)(*tables, **given)))
    value, slopes = jax.device_get(loss(tables))
    exact = [np.float64(table) for table in tables]
    close(value, getattr(slow, name)(*exact, **given))
    expected = basic.gradient(lambda *tables: getattr(slow, name)(*tables, **given), *exact)
    for got, want in zip(slopes, expected, strict=True):
        close(got, want)


@pytest.mark.parametrize("rows", ROWS)
def test_uniformity_in_chunks_is_of_the_pairs_within_a_run(rows):
    given = rows_of(*ROWS[rows])
    vectors = np.random.default_rng(2).normal(size=(B, D)).astype(np.float32)
    value, slope = jax.value_and_grad(lambda x: losses.uniformity(x, chunks=2, **given))(jnp.asarray(vectors))
    own, x = np.arange(B) // (B // 2), basic.unit(np.float64(vectors))
    pairs = np.outer(given["weights"] * given["where"], given["weights"] * given["where"])
    pairs = pairs * (own[:, None] == own) * (1 - np.eye(B))
    total = pairs.sum()
    mean = np.sum(pairs * np.exp(-2 * np.sum((x[:, None] - x) ** 2, axis=2))) / total if total else 1.0
    close(value, np.log(mean))
    assert np.isfinite(slope).all()
    with pytest.raises(JaxrecError, match=f"chunks must divide the batch size of {B}, got {B + 1}"):
        losses.uniformity(jnp.asarray(vectors), chunks=B + 1)


def test_directau_compares_runs_of_512_rows_in_large_batches():
    rows, batch, data = a_batch(64)
    rows, batch = times(rows, 64), times(batch, 64)
    found, given, whole = (
        loss(rows, batch, data, jax.random.key(0)) for loss in (DirectAU(), DirectAU(chunks=8), DirectAU(chunks=1))
    )
    assert found == given
    assert abs(float(whole - given)) < 0.1


def test_one_row_and_a_row_at_the_origin_have_no_pair_and_no_direction():
    value, slope = jax.value_and_grad(losses.uniformity)(jnp.ones((1, D)))
    assert value == 0
    assert not np.any(slope)
    value, slope = jax.value_and_grad(losses.uniformity)(jnp.zeros((3, D)))
    np.testing.assert_allclose(value, -4, rtol=1e-6)  # as if orthogonal, |x - y|^2 = 2
    assert np.isfinite(slope).all()


def test_bilateral_softmax_without_owners_is_the_softmax_over_negatives_alone():
    positive, negative = drawn()
    plain = losses.bilateral_softmax(positive, negative, temperature=0.2, positive_temperature=0.2)
    expected = np.mean(scipy.special.logsumexp(negative / 0.2, axis=1) - positive / 0.2)
    np.testing.assert_allclose(plain, expected, rtol=1e-5)
    # Another temperature of the positives scales it, since each user has one row.
    other = losses.bilateral_softmax(positive, negative, temperature=0.2, positive_temperature=0.4)
    np.testing.assert_allclose(other, expected / 2, rtol=1e-5)


def test_a_low_temperature_of_positives_leaves_noise_out():
    # One user with a positive at .9 and one at -.9; at t1 = .1 the mean of exponentials hears the first alone.
    positive, negative = jnp.array([0.9, -0.9]), jnp.zeros((2, 1))
    slope = jax.grad(
        lambda positive: losses.bilateral_softmax(
            positive, negative, positive_temperature=0.1, owner=jnp.zeros(2, jnp.int32)
        )
    )(positive)
    assert abs(slope[1]) < 1e-6 * abs(slope[0])


def test_pairwise_softmax_of_small_gaps_is_a_softmax_of_half_the_temperature():
    # The slope of each log sigma at 0 is 1, so the gap of cosines is divided by 2 t.
    positive, negative = (part * np.float32(1e-3) for part in drawn())
    expected = np.mean(scipy.special.logsumexp((negative - positive[:, None]) / 0.2, axis=1))
    for surrogate in ("tanh", "relu", "atan"):
        value = losses.pairwise_softmax(positive, negative, surrogate=surrogate, temperature=0.1)
        np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_the_threshold_of_all_items_is_the_kth_largest_score(key):
    """Where every other item is drawn once, each stands for itself."""
    scores = jax.random.normal(key, (5, 30))
    for top in (1, 2, 7, 29):
        found = losses.top_threshold(scores[:, 0], scores[:, 1:], top=top, num_items=30)
        np.testing.assert_array_equal(found, np.sort(scores, axis=1)[:, -top])


def test_a_draw_stands_for_as_many_items_as_its_probability_says():
    # Two draws, of probability .5 and .1: one item and five; with the own item, 8 after 3 scores.
    positive, negative = jnp.array([3.0]), jnp.array([[4.0, 2.0]])
    given = {"num_items": 100, "log_probability": jnp.log(jnp.array([[0.5, 0.1]]))}
    found = [losses.top_threshold(positive, negative, top=top, **given).item() for top in (1, 2, 3, 7, 8, 50)]
    assert found == [4.0, 3.0, 2.0, 2.0, 2.0, 2.0]
    # Of uniform draws each stands for 99 / 2 items, so no K up to 49 changes anything.
    uniform = [losses.top_threshold(positive, negative, top=top, num_items=100).item() for top in (1, 20, 49, 51)]
    assert uniform == [4.0, 4.0, 4.0, 2.0]


def test_the_threshold_of_popular_draws_is_that_of_all_items():
    """Draws by popularity, the scores of popular items higher: what the rows of a batch are to one another."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, 2_001)
    share /= share.sum()
    of_item = np.log(share) + rng.normal(size=2_000)
    drawn = rng.choice(2_000, (40, 1_000), p=share)
    given = {"num_items": 2_001, "log_probability": jnp.asarray(np.log(share[drawn]), jnp.float32)}
    scores = np.full(40, -1e3, np.float32), of_item[drawn].astype(np.float32)  # the own item is the last of all
    for top in (5, 20, 100):
        found = losses.top_threshold(*map(jnp.asarray, scores), top=top, **given)
        places = [int(np.sum(of_item >= score)) for score in found]
        assert abs(np.mean(places) / top - 1) < 0.25  # counted as uniform, they are 1.5 to 4 times too few


def test_masked_negatives_are_no_draws():
    scores = np.array([[9.0, 1, 2, 3, 4, 5, 6, 7, 8]])
    mask = np.array([[False] * 6 + [True, True]])  # two draws of 89 others
    masked = losses.top_threshold(scores[:, 0], scores[:, 1:], top=20, num_items=90, negative_where=mask)
    assert masked.tolist() == [8.0]
    both = losses.top_threshold(scores[:, 0], scores[:, 1:], top=50, num_items=90, negative_where=mask)
    assert both.tolist() == [7.0]
    nothing = np.zeros((1, 8), bool)
    assert losses.top_threshold(scores[:, 0], scores[:, 1:], top=20, num_items=90, negative_where=nothing)[0] == 9.0


def test_k_matters_in_a_large_catalog(key):
    """With the items of 511 other rows, as in training, of 40,000 items that go by Zipf's law."""
    rng = np.random.default_rng(1)
    share = 1 / np.arange(1, 40_001)
    share /= share.sum()
    item = jnp.asarray(rng.choice(40_000, 512, p=share), jnp.int32)
    rows = Encoded(*(jax.random.normal(key, (512, 8)) for key in jax.random.split(key)), jnp.zeros((512, 0, 8)))
    none = jnp.zeros((512, 0), jnp.int32)
    batch = Batch(jnp.arange(512), item, None, none, jnp.ones(512, bool))
    data = train_data(jaxrec.from_arrays(np.zeros(40_000, np.int32), np.arange(40_000)))
    data = dataclasses.replace(data, log_probability=jnp.asarray(np.log(share), jnp.float32))
    found = [float(SoftmaxAtK(top=top)(rows, batch, data, key)) for top in (1, 5, 20, 100)]
    assert np.all(np.diff(found) > 0.01)


def test_lambert_w_agrees_with_scipy():
    x = np.float32([-1 / math.e, -0.3678, -0.36, -0.2, -1e-3, 0, 1e-4, 0.5, 1, 2.9, 3.1, 10, 1e3, 1e6])
    expected = scipy.special.lambertw(np.maximum(np.float64(x), -math.exp(-1) + 1e-12)).real
    np.testing.assert_allclose(losses.lambert_w(jnp.asarray(x)), expected, rtol=1e-4, atol=1e-4)
    assert losses.lambert_w(jnp.array(-5.0)) == -1


def test_the_temperature_of_all_is_the_closed_form():
    # log(U I / (2 E)) / (mean of pairs - mean of all): 29,858 users, 40,981 items, 810,128 pairs and a gap of .5.
    inverse = losses.overall_inverse(jnp.array(0.5), num_users=29_858, num_items=40_981, num_pairs=810_128)
    np.testing.assert_allclose(inverse, math.log(29_858 * 40_981 / (2 * 810_128)) / 0.5, rtol=1e-6)
    least = losses.overall_inverse(jnp.array(-1.0), num_users=100, num_items=100, num_pairs=50, least_gap=0.25)
    np.testing.assert_allclose(least, math.log(100) / 0.25, rtol=1e-6)


def test_users_who_are_hard_to_fit_get_a_higher_temperature():
    values = jnp.array([1.0, 3.0, 6.0, 9.0])  # user 0 has two rows, whose mean is 2; the mean over users is 17 / 3
    factors = losses.user_factors(values, jnp.array([0, 0, 2, 3]), jnp.ones(4, bool), regularization=10.0)
    expected = np.exp(-scipy.special.lambertw((np.array([2, 2, 6, 9]) - 17 / 3) / 10).real)
    np.testing.assert_allclose(factors, expected, rtol=1e-4)


def test_weights_count_in_the_loss_of_a_user():
    values, owner, where = jnp.array([1.0, 3.0, 6.0, 9.0]), jnp.array([0, 0, 2, 3]), jnp.ones(4, bool)
    found = losses.user_factors(values, owner, where, weights=jnp.array([3.0, 1.0, 2.0, 0.0]), regularization=10.0)
    # User 0 has (3 x 1 + 3) / 4, user 2 has 6, and user 3 weighs nothing.
    expected = np.exp(-scipy.special.lambertw((np.array([1.5, 1.5, 6]) - 7.5 / 2) / 10).real)
    np.testing.assert_allclose(found[:3], expected, rtol=1e-4)
    ones = losses.user_factors(values, owner, where, weights=jnp.ones(4))
    np.testing.assert_allclose(ones, losses.user_factors(values, owner, where), rtol=1e-6)


def test_adaptive_temperatures_refuse_negatives_that_are_chosen_by_their_scores():
    with pytest.raises(JaxrecError, match=r"estimates the mean cosine of all pairs .* chooses the most alike"):
        AdaptiveTemperature().check(batch_size=8, negatives=Hardest(of=4))
    AdaptiveTemperature().check(batch_size=8, negatives=Uniform(4))


def test_only_losses_of_other_rows_say_that_they_compare_rows():
    assert CosineContrastive(in_batch=True).compares_rows
    assert not CosineContrastive().compares_rows
    assert not SampledSoftmax().compares_rows


def test_adaptive_temperatures_are_those_of_the_whole_data_where_the_batch_is_the_data():
    pairs = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 0), (2, 3), (2, 4)]
    data = train_data(jaxrec.from_arrays(*zip(*pairs, strict=True)))
    rng = np.random.default_rng(0)
    p, q = rng.normal(size=(3, D)).astype(np.float32), rng.normal(size=(5, D)).astype(np.float32)
    user, item = np.asarray(data.user), np.asarray(data.item)
    rows = Encoded(jnp.asarray(p[user]), jnp.asarray(q[item]), jnp.zeros((7, 0, D)))
    batch = Batch(data.user, data.item, None, jnp.zeros((7, 0), jnp.int32), jnp.ones(7, bool))
    cosines = basic.unit(np.float64(p)) @ basic.unit(np.float64(q)).T
    gap = cosines[user, item].mean() - cosines.mean()
    inverse = max(math.log(15 / 14), 0.1) / max(gap, 0.01)
    loss = AdaptiveTemperature(personal=False, least_gap=0.01, accidental_hits="keep")
    value = loss(rows, batch, data, jax.random.key(0))
    each = []
    for b in range(7):
        others = [cosines[user[b], item[c]] * inverse for c in range(7) if c != b]
        each.append(scipy.special.logsumexp(others) - cosines[user[b], item[b]] * inverse)
    np.testing.assert_allclose(value, np.mean(each), rtol=1e-4)


def test_the_logq_correction_estimates_the_whole_sum_without_bias():
    # Items 0..5 with degrees 3, 2, 2, 1, 1, 1; user 0 has items 0 and 3. Over many draws the mean of
    # sum(e^n / (M q)) is the sum of e^n over what the user lacks.
    pairs = [(0, 0), (0, 3), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 2), (3, 4), (1, 5)]
    data = train_data(jaxrec.from_arrays(*zip(*pairs, strict=True)))
    scores = np.array([0.3, -1.0, 2.0, 0.1, 1.0, 0.5], np.float32)
    for sampler in (Uniform(4), Popularity(0.75, 4), Popularity(1.5, 4)):
        user = jnp.zeros(20_000, jnp.int32)
        drawn, _ = jax.jit(lambda sampler, user: sampler(data, user, user, jax.random.key(1)))(sampler, user)
        log_q = sampler.log_probability(data, user, drawn)
        estimates = np.exp(scores[np.asarray(drawn)] - log_q - math.log(4)).sum(axis=1)
        exact = np.exp(scores[[1, 2, 4, 5]]).sum()
        assert abs(estimates.mean() - exact) < 4 * estimates.std() / math.sqrt(20_000)
        # And the loss is -log of the positive's share of that sum.
        value = losses.softmax(
            jnp.full(20_000, scores[0]), jnp.asarray(scores)[drawn], log_probability=log_q, temperature=1.0
        )
        np.testing.assert_allclose(value, np.mean(np.log(np.exp(scores[0]) + estimates) - scores[0]), rtol=1e-5)


def test_a_correction_by_unknown_probabilities_is_refused():
    with pytest.raises(JaxrecError, match="Hardest does not know"):
        jaxrec.TrainingOptions(loss=SampledSoftmax(logq_correction=True), negatives=Hardest(of=4, num=2))
    jaxrec.TrainingOptions(loss=SampledSoftmax(logq_correction=True), negatives=InBatch(4))


OPTIONS = jaxrec.TrainingOptions(epochs=40, batch_size=32, optimizer=Adam(0.05), regularizer=0.001)
CHUNKED = (BilateralSoftmax, PairwiseSoftmax, SoftmaxAtK, AdaptiveTemperature, CosineContrastive)
OBJECTS = {
    "bsl": (BilateralSoftmax(0.2, 0.3), BilateralSoftmax(0.2, 0.3), 16),
    "psl": (PairwiseSoftmax("atan", 0.1), PairwiseSoftmax("relu", 0.1), 16),
    "sl_at_k": (SoftmaxAtK(2, 0.2), SoftmaxAtK(2, 0.2), 16),
    "adap_tau": (AdaptiveTemperature(), AdaptiveTemperature(personal=False), 16),
    "ccl": (CosineContrastive(0.2, 2.0, in_batch=True), CosineContrastive(0.2, 2.0), 16),
}


def finds_the_withheld_item(model, loss, negatives=None, **more):
    fitted = jaxrec.fit(model, checkerboard(), OPTIONS, loss=loss, negatives=negatives, key=jax.random.key(2), **more)
    lists = jaxrec.recommend(fitted, list(range(16)), k=1, exclude=[999])
    found = {user: shown[0].item for user, shown in lists}
    return sum(found[user] == 100 + user for user in range(16))


MODELS = {"lightgcn": LightGCN(dim=8, layers=2), "gcn": GCN(dim=8, hidden=8), "mf": MF(dim=4)}


@pytest.mark.parametrize("name", [*OBJECTS, "directau"])
@pytest.mark.parametrize("model", ["lightgcn", "gcn"])
def test_graph_models_learn_with_the_items_of_other_rows(model, name):
    loss = DirectAU(0.5, "cosine") if name == "directau" else OBJECTS[name][0]
    assert finds_the_withheld_item(MODELS[model], loss) >= 15


def a_batch(rows, seed=0):
    """Vectors and a batch of rows of a checkerboard, one of which does not count."""
    data = train_data(checkerboard())
    at = np.random.default_rng(seed).choice(data.user.shape[0], rows, replace=False)
    vectors = jax.random.normal(jax.random.key(seed), (2, rows, D))
    where = jnp.arange(rows) != 2
    encoded = Encoded(vectors[0], vectors[1], jnp.zeros((rows, 0, D)))
    return encoded, Batch(data.user[at], data.item[at], None, jnp.zeros((rows, 0), jnp.int32), where), data


def times(part, count):
    return jax.tree.map(lambda rows: jnp.concatenate([rows] * count), part)


@pytest.mark.parametrize("hits", ["keep", "same_item", "seen"])
def test_rows_in_chunks_are_compared_with_those_of_their_own_run(hits):
    rows, batch, data = a_batch(12)
    whole = compared(rows, batch, data, hits)
    runs = compared(rows, batch, data, hits, chunks=3)
    own = np.arange(12) // 4
    places = np.stack([np.flatnonzero(own == own[b]) for b in range(12)])
    np.testing.assert_array_equal(runs.positive, whole.positive)
    np.testing.assert_allclose(
        runs.negative, np.take_along_axis(np.asarray(whole.negative), places, 1), rtol=0, atol=1e-6
    )
    wanted = np.take_along_axis(np.asarray(whole.negative_where), places, 1)
    np.testing.assert_array_equal(runs.negative_where, wanted)


@pytest.mark.parametrize("name", OBJECTS)
def test_equal_runs_lose_what_one_of_them_loses(name):
    rows, batch, data = a_batch(12)
    loss = dataclasses.replace(OBJECTS[name][0], accidental_hits="keep")
    value, slopes = jax.value_and_grad(loss)(rows, batch, data, jax.random.key(0))
    three = dataclasses.replace(loss, chunks=3)
    again, others = jax.value_and_grad(three)(times(rows, 3), times(batch, 3), data, jax.random.key(0))
    np.testing.assert_allclose(again, value, rtol=1e-5)
    np.testing.assert_allclose(others.user[:12] * 3, slopes.user, rtol=1e-4, atol=1e-6)
    together = dataclasses.replace(loss, chunks=1)(times(rows, 3), times(batch, 3), data, jax.random.key(0))
    assert abs(float(together - value)) > 1e-3  # since an item is then among its own negatives


@pytest.mark.parametrize("name", OBJECTS)
def test_large_batches_are_compared_in_runs_of_512(name):
    rows, batch, data = a_batch(64)
    rows, batch = times(rows, 64), times(batch, 64)
    loss, given = OBJECTS[name][0], dataclasses.replace(OBJECTS[name][0], chunks=8)
    key = jax.random.key(0)
    assert loss(rows, batch, data, key) == given(rows, batch, data, key)
    # A fit on few rows takes a smaller batch, but not where the chunks are given.
    assert loss.batch_for(4096, 4) < given.batch_for(4096, 4) == 4096


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_learns_with_drawn_negatives(model, name):
    _, loss, num = OBJECTS[name]
    assert finds_the_withheld_item(MODELS[model], loss, Uniform(num)) >= 15


@pytest.mark.parametrize(
    ("loss", "word"),
    [
        (lambda: BilateralSoftmax(0), "temperature must be finite and above 0, got 0"),
        (lambda: BilateralSoftmax(positive_temperature=-1), "positive_temperature"),
        (lambda: BilateralSoftmax(logit_adjustment=-1), "logit_adjustment"),
        *((lambda made=made: made(chunks=0), "chunks must be at least 1, got 0") for made in CHUNKED),
        *((lambda made=made: made(chunks=1.5), "chunks must be a whole number, got 1.5") for made in CHUNKED),
        (lambda: PairwiseSoftmax("exp"), "surrogate must be one of tanh, relu, atan, got 'exp'"),
        (lambda: PairwiseSoftmax(temperature=float("inf")), "temperature"),
        (lambda: SoftmaxAtK(0), "top must be a whole number of at least 1"),
        (lambda: SoftmaxAtK(weight_temperature=0), "weight_temperature"),
        (lambda: AdaptiveTemperature(regularization=0), "regularization"),
        (lambda: AdaptiveTemperature(accidental_hits="none"), "accidental_hits"),
        (lambda: CosineContrastive(margin=-2), "margin must be finite and at least -1"),
        (lambda: CosineContrastive(negative_weight=-1), "negative_weight"),
        (lambda: DirectAU(gamma=-1), "gamma"),
        (lambda: DirectAU(ranking="euclid"), "ranking"),
        (lambda: losses.pairwise_softmax(jnp.zeros(1), jnp.zeros((1, 1)), surrogate="exp"), "surrogate"),
        (lambda: losses.softmax_at_k(*drawn(), threshold=THRESHOLD, weight_temperature=0), "weight_temperature"),
    ],
)
def test_options_out_of_range_raise(loss, word):
    with pytest.raises(JaxrecError, match=word):
        loss()


@pytest.mark.parametrize(
    "given",
    [
        {"loss": DirectAU(), "negatives": 2},
        {"loss": CosineContrastive(in_batch=True), "negatives": 2},
        *({"loss": made(chunks=2), "negatives": 2} for made in CHUNKED),
        {"loss": BilateralSoftmax(accidental_hits="seen"), "negatives": 2},
        {"loss": CosineContrastive(accidental_hits="seen")},
    ],
)
def test_what_would_be_ignored_is_refused(given):
    with pytest.raises(JaxrecError, match="leave"):
        jaxrec.TrainingOptions(**given)


@pytest.mark.parametrize(
    "loss", [*(made(chunks=3) for made in CHUNKED[:4]), CosineContrastive(in_batch=True, chunks=3), DirectAU(chunks=3)]
)
def test_chunks_of_unequal_size_are_refused(loss):
    with pytest.raises(JaxrecError, match="chunks must divide the batch size of 64, got 3"):
        jaxrec.TrainingOptions(loss=loss, batch_size=64)


def test_a_list_as_long_as_the_catalog_is_refused():
    with pytest.raises(JaxrecError, match="top is 20, and there are 17 items"):
        jaxrec.fit(MF(dim=2), checkerboard(), loss=SoftmaxAtK(20), epochs=1, key=jax.random.key(0))


@pytest.mark.parametrize("case", SCORED)
def test_shapes_that_do_not_fit_raise(case):
    positive, negative = drawn()
    call = functools.partial(getattr(losses, case.partition("-")[0]), **SCORED[case])
    for bad in ((positive, positive), (positive, negative[:1]), (negative, negative)):
        with pytest.raises(MismatchError):
            call(*bad)
    with pytest.raises(MismatchError):
        call(positive, negative, negative_where=SOME[:1])
    with pytest.raises(MismatchError):
        call(positive, negative, where=WHERE[:1])
