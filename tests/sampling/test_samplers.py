"""The samplers beside the uniform one: exact distributions, what is never drawn, steps with the hardest of several."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from reference import sampling as slow

import jaxrec
from jaxrec import MF, LightGCN
from jaxrec.data import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.losses import BPR, SquaredL2
from jaxrec.protocols import Batch, Encoded
from jaxrec.sampling import Hardest, InBatch, Popularity, hardest, mass_of, other_rows, weighted_negatives
from jaxrec.training import Adagrad, Adam, DenseStep, Objective, RowStep, init_state, make_batch, train_data

SIGNIFICANCE = 1e-4
# Users 0 to 3 have these items of 8; item 7 has no interaction. Degrees of items 0 to 6: 4, 3, 2, 2, 1, 1, 1.
SETS = [{0, 1, 3, 5}, {0, 1, 2}, {0, 1, 2, 4}, {0, 3, 6}]
PAIRS = [(user, item) for user, items in enumerate(SETS) for item in sorted(items)]


def world():
    """Interactions of these users in a catalog with one item more."""
    whole = jaxrec.from_arrays([*(user for user, _ in PAIRS), 0], [*(item for _, item in PAIRS), 7])
    return whole.select(np.arange(len(PAIRS)))


DATA = train_data(world())
DEGREES = np.bincount([item for _, item in PAIRS], minlength=8)


def draw(sampler, user, size=4000, seed=0):
    users = jnp.full(size, user, jnp.int32)
    call = jax.jit(lambda sampler, users, key: sampler(DATA, users, users, key))
    return jax.device_get(call(sampler, users, jax.random.key(seed)))


@pytest.mark.parametrize("user", range(4))
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_popularity_draws_by_the_power_of_the_degrees_from_what_the_user_lacks(alpha, user):
    items, where = draw(Popularity(alpha, 5), user)
    assert where.all()
    power = {item: DEGREES[item] ** alpha for item in range(8) if item not in SETS[user] and DEGREES[item]}
    expected = {item: value / sum(power.values()) for item, value in power.items()}
    assert slow.chi_square(items, expected) <= scipy.stats.chi2.isf(SIGNIFICANCE, len(expected) - 1)
    every = jnp.asarray([list(expected)], jnp.int32)
    known = np.exp(Popularity(alpha).log_probability(DATA, jnp.array([user], jnp.int32), every))[0]
    np.testing.assert_allclose(known, list(expected.values()), rtol=1e-5)


def test_popularity_to_the_power_0_is_uniform_over_all_that_the_user_lacks():
    items, _ = draw(Popularity(0.0, 5), 1)
    assert slow.chi_square(items, dict.fromkeys((3, 4, 5, 6, 7), 1 / 5)) <= scipy.stats.chi2.isf(SIGNIFICANCE, 4)


def test_a_user_who_lacks_only_items_without_interactions_has_no_negative():
    everything = jaxrec.from_arrays([0, 0, 1, 1], [0, 1, 0, 2])
    data = train_data(everything.select([0, 1, 2]))  # item 2 has no interaction left
    items, where = Popularity(1.0, 3)(data, jnp.array([0, 1]), jnp.array([0, 0]), jax.random.key(0))
    assert where.tolist() == [False, True]
    assert items.tolist() == [[0, 0, 0], [1, 1, 1]]


def test_masses_are_exact_where_sums_over_all_users_pass_32_bits():
    # 5,000 users have nearly all of the mass: the running sum wraps round 1,000 times.
    num_users, num_items = 5000, 40
    own = np.arange(1, num_items - 1, dtype=np.int32)
    seen = SeenItems(np.arange(num_users + 1, dtype=np.int32) * len(own), np.tile(own, num_users).astype(np.int32))
    shares = np.linspace(1, 3, num_items).astype(np.float32)
    mass = mass_of(jnp.asarray(shares), seen, 1)
    assert 2**30 < int(mass.before[-1]) < 2**31
    users = np.full(2000, num_users - 1, np.int32)
    items, where = jax.jit(weighted_negatives, static_argnums=3)(mass, seen, users, 4, jax.random.key(2))
    assert where.all()
    expected = {0: 1 / 4, num_items - 1: 3 / 4}
    assert slow.chi_square(items, expected) <= scipy.stats.chi2.isf(SIGNIFICANCE, 1)


def test_ranks_of_great_masses_are_uniform():
    # Two items with 1 and 2 parts of 2^31: a draw modulo the mass would give the first part half as often again.
    seen = SeenItems(np.array([0, 0], np.int32), np.zeros(0, np.int32))
    mass = mass_of(jnp.array([1.0, 1.0, 1.0]), seen, 1)
    items, _ = weighted_negatives(mass, seen, np.zeros(5000, np.int32), 4, jax.random.key(3))
    assert slow.chi_square(items, dict.fromkeys(range(3), 1 / 3)) <= scipy.stats.chi2.isf(SIGNIFICANCE, 2)


def test_other_rows_are_drawn_uniformly_and_accidental_hits_left_out():
    user = np.array([0, 1, 2, 3, 0, 2], np.int32)
    item = np.array([3, 2, 4, 6, 5, 2], np.int32)
    where = np.array([True, True, True, True, True, False])
    call = jax.jit(other_rows, static_argnums=4)
    items, possible = call(DATA.seen, user, item, where, 3000, jax.random.key(0))
    assert possible.all()
    for row in range(5):
        others = [item[c] for c in range(5) if item[c] not in SETS[user[row]]]
        expected = {one: others.count(one) / len(others) for one in set(others)}
        assert slow.chi_square(items[row], expected) <= scipy.stats.chi2.isf(SIGNIFICANCE, max(len(expected) - 1, 1))


@pytest.mark.parametrize("lacking", [0, 1, 2])
def test_a_user_who_has_nearly_the_whole_batch_still_gets_an_exact_draw(lacking):
    # User 0 has all but `lacking` of the batch's 64 items, so 24 refusals are likely and all rows are looked at.
    size = 64
    own = np.arange(size - lacking, dtype=np.int32)
    seen = SeenItems(np.array([0, len(own), len(own) + 1], np.int32), np.append(own, np.int32(size - 1)))
    user = np.append(np.zeros(size - 1), 1).astype(np.int32)
    item = np.arange(size, dtype=np.int32)
    items, possible = other_rows(seen, user, item, np.ones(size, bool), 500, jax.random.key(1))
    assert possible[:-1].all() == (lacking > 0)
    if lacking:
        expected = {size - 1 - at: 1 / lacking for at in range(lacking)}
        assert slow.chi_square(items[:-1], expected) <= scipy.stats.chi2.isf(SIGNIFICANCE, max(lacking - 1, 1))
    assert possible[-1]
    rest = dict.fromkeys(range(size - 1), 1 / (size - 1))
    assert slow.chi_square(items[-1], rest) <= scipy.stats.chi2.isf(SIGNIFICANCE, size - 2)


def test_rows_that_fill_the_last_batch_are_not_drawn():
    index, where = np.array([0, 4, 11, 0, 0, 0]), np.array([True, True, True, False, False, False])
    batch, skipped = make_batch(DATA, index, where, jax.random.key(0), negatives=InBatch(400))
    real = {int(DATA.item[at]) for at in index[where]}
    for row in range(3):
        if batch.where[row]:
            assert set(batch.negatives[row].tolist()) <= real - SETS[int(batch.user[row])]
    assert int(skipped) == 3 - int(np.sum(np.asarray(batch.where)))


def test_the_hardest_are_those_with_the_highest_scores_without_a_gradient():
    rng = np.random.default_rng(0)
    user, negative = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=(5, 7, 3)).astype(np.float32)
    scores = np.einsum("bd,bmd->bm", user, negative)
    np.testing.assert_array_equal(hardest(user, negative, 2), np.argsort(-scores, axis=1)[:, :2])
    cosines = scores / np.linalg.norm(negative, axis=2)
    np.testing.assert_array_equal(hardest(user, negative, 2, cosine=True), np.argsort(-cosines, axis=1)[:, :2])


def batch_of_hardest(sampler, rows=7):
    index = jnp.arange(8, dtype=jnp.int32)
    return make_batch(DATA, index, index < rows, jax.random.key(0), negatives=sampler)[0]


def test_the_objective_sees_the_hardest_alone():
    sampler = Hardest(of=5, num=2)
    model = MF(dim=3, scale=1.0, num_users=4, num_items=8)
    params = model.init(jax.random.key(1))["params"]
    batch = batch_of_hardest(sampler)
    assert batch.negatives.shape == (8, 5)
    p, q = np.asarray(params["user_embedding"]), np.asarray(params["item_embedding"])
    scores = np.einsum("bd,bmd->bm", p[batch.user], q[batch.negatives])
    places = np.argsort(-scores, axis=1)[:, :2]
    kept = np.take_along_axis(np.asarray(batch.negatives), places, axis=1)
    expected = Objective(model, BPR(), SquaredL2(0.1))(
        params, DATA, batch._replace(negatives=jnp.asarray(kept)), jax.random.key(0)
    )[0]
    loss = Objective(model, BPR(), SquaredL2(0.1), negatives=sampler)(params, DATA, batch, jax.random.key(0))[0]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_row_sparse_steps_move_what_dense_steps_move_with_the_hardest():
    sampler = Hardest(of=5, num=2)
    model = MF(dim=3, scale=1.0, num_users=4, num_items=8)
    params = model.init(jax.random.key(1))["params"]
    objective = Objective(model, BPR(), SquaredL2(0.1), negatives=sampler)
    batch = batch_of_hardest(sampler, 2)
    after = {}
    for name, step in {
        "rows": RowStep(objective, Adagrad(0.1, sparse=True)),
        "all": DenseStep(objective, Adagrad(0.1)),
    }.items():
        after[name] = step(init_state(params, step, jax.random.key(2)), batch, DATA)[0].params
    for name in params:
        np.testing.assert_allclose(after["rows"][name], after["all"][name], rtol=1e-5, atol=1e-6)
    # Lazy Adam moves every row of its batch; items that were drawn and not kept stay where they are.
    lazy = RowStep(objective, Adam(0.1, sparse=True))
    moved = lazy(init_state(params, lazy, jax.random.key(2)), batch, DATA)[0].params["item_embedding"]
    rows = Encoded(
        params["user_embedding"][batch.user],
        params["user_embedding"][batch.user],
        params["item_embedding"][batch.negatives],
    )
    kept = sampler.chosen(rows, batch)[1].negatives[:2]
    still = set(range(8)) - set(np.asarray(kept).ravel().tolist()) - set(batch.item[:2].tolist())
    assert still
    np.testing.assert_array_equal(moved[jnp.array(sorted(still))], params["item_embedding"][jnp.array(sorted(still))])


@pytest.mark.parametrize("model", [MF(dim=3), LightGCN(dim=3, layers=1)])
@pytest.mark.parametrize("negatives", ["popularity", "in_batch", "hardest", Hardest(of=6, num=3, similarity="cosine")])
def test_models_train_with_every_sampler(model, negatives):
    fitted = jaxrec.fit(model, world(), loss="bpr", negatives=negatives, epochs=2, batch_size=16, key=jax.random.key(0))
    assert math.isfinite(fitted.info["records"][-1]["loss"])


def test_a_batch_without_choice_stays_as_it_is():
    rows = Encoded(jnp.ones((1, 1)), jnp.ones((1, 1)), jnp.ones((1, 2, 1)))
    batch = Batch(jnp.array([0]), jnp.array([0]), None, jnp.array([[1, 2]]), jnp.array([True]))
    assert Hardest(of=2, num=2).chosen(rows, batch) == (rows, batch)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Popularity(num=0), "num must be at least 1, got 0"),
        (lambda: Popularity(alpha=-1), "alpha must be finite and not negative, got -1"),
        (lambda: InBatch(0), "num must be at least 1, got 0"),
        (lambda: Hardest(of=2, num=3), "num must lie in 1..of, got num=3 and of=2"),
        (lambda: Hardest(similarity="euclid"), "similarity"),
        (lambda: weighted_negatives(mass_of(jnp.ones(8), DATA.seen, 1), DATA.seen, jnp.array([0]), 0, None), "num"),
    ],
)
def test_options_out_of_range_raise(make, word):
    with pytest.raises(JaxrecError, match=word):
        make()
