"""The objective: which loss it applies to which scores, its L2 term and its options, against slow twins."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import losses as slow

import jaxrec
from jaxrec import MF
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.losses import BPR, InBatchSoftmax, Logistic, NormL2, SampledSoftmax, SquaredError, SquaredL2
from jaxrec.pytrees import stack
from jaxrec.sampling import Uniform
from jaxrec.training import Batch, Objective, train_data

USERS, ITEMS, DIM = 4, 6, 3
PAIRS = [(0, 0), (0, 1), (1, 0), (1, 2), (2, 3), (3, 4), (3, 5), (2, 0)]
RATINGS = np.array([5, 3, 4, 1, 2, 5, 4, 3], np.float32)
DATA = train_data(jaxrec.from_arrays(*zip(*PAIRS, strict=True), rating=RATINGS))
MODEL = MF(dim=DIM, scale=1.0, num_users=USERS, num_items=ITEMS)
PARAMS = MODEL.init(jax.random.key(3))["params"]
P, Q = (np.asarray(PARAMS[name], np.float64) for name in ("user_embedding", "item_embedding"))
# Rows 0 and 2 hold the same item, 0, which user 0 has; user 0 also has item 1, of row 3. Row 4 fills the batch.
USER, ITEM = np.array([0, 1, 2, 0, 3]), np.array([0, 2, 0, 1, 4])
NEGATIVES = np.array([[2, 3], [1, 4], [5, 4], [4, 5], [0, 1]])
WHERE = np.array([True, True, True, True, False])


def batch_of(negatives=2, rating=True):
    return Batch(
        jnp.asarray(USER, jnp.int32),
        jnp.asarray(ITEM, jnp.int32),
        jnp.array([5, 1, 3, 3, 0], jnp.float32) if rating else None,
        jnp.asarray(NEGATIVES[:, :negatives], jnp.int32),
        jnp.asarray(WHERE),
    )


def value(objective, batch, params=PARAMS):
    loss, info = jax.jit(objective)(params, DATA, batch, jax.random.key(0))
    assert set(info) >= {"ranking", "penalty", "count"}
    assert float(info["count"]) == WHERE.sum()
    np.testing.assert_allclose(loss, info["ranking"] + info["penalty"], rtol=1e-5)
    return loss, info


POSITIVE = (P[USER] * Q[ITEM]).sum(axis=1)
NEGATIVE = np.einsum("bd,bmd->bm", P[USER], Q[NEGATIVES])
ONES = np.ones(len(USER))


def test_bpr_compares_each_positive_with_its_negatives():
    loss, _ = value(Objective(MODEL, BPR()), batch_of())
    np.testing.assert_allclose(loss, slow.bpr(POSITIVE, NEGATIVE, ONES, WHERE), rtol=1e-5)


def test_mse_compares_the_scores_with_the_ratings():
    loss, _ = value(Objective(MODEL, SquaredError()), batch_of(negatives=0))
    np.testing.assert_allclose(loss, slow.mse(POSITIVE, [5, 1, 3, 3, 0], ONES, WHERE), rtol=1e-5)


def test_logistic_labels_positives_1_and_negatives_0():
    loss, _ = value(Objective(MODEL, Logistic()), batch_of())
    scores = np.concatenate([POSITIVE[:, None], NEGATIVE], axis=1)[WHERE].ravel()
    labels = np.array([[1, 0, 0]] * WHERE.sum()).ravel()
    expected = slow.logistic(scores, labels, np.ones(len(scores)), np.ones(len(scores), bool))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_softmax_over_sampled_negatives(similarity):
    loss, _ = value(Objective(MODEL, SampledSoftmax(0.5, similarity)), batch_of())
    p, q = (slow.unit(P), slow.unit(Q)) if similarity == "cosine" else (P, Q)
    positive = (p[USER] * q[ITEM]).sum(axis=1)
    negative = np.einsum("bd,bmd->bm", p[USER], q[NEGATIVES])
    np.testing.assert_allclose(loss, slow.softmax(positive, negative, ONES, WHERE, temperature=0.5), rtol=1e-5)


def hits(kind):
    """mask[b, c]: whether row c's item is a negative of row b."""
    mask = np.ones((5, 5), bool)
    for b in range(5):
        for c in range(5):
            if kind == "same_item":
                mask[b, c] = ITEM[b] != ITEM[c]
            if kind == "seen":
                mask[b, c] = (USER[b], ITEM[c]) not in PAIRS
    return mask


@pytest.mark.parametrize("chunks", [1, 5])
@pytest.mark.parametrize("hits_are", ["keep", "same_item", "seen"])
@pytest.mark.parametrize("correct", [True, False])
def test_softmax_in_the_batch(hits_are, correct, chunks):
    softmax = InBatchSoftmax(0.5, "dot", chunks, hits_are, logq_correction=correct)
    loss, _ = value(Objective(MODEL, softmax), batch_of(negatives=0))
    counts = np.array([sum(item == i for _, i in PAIRS) for item in range(ITEMS)])
    log_q = np.log(counts / len(PAIRS))[ITEM] if correct else None
    mask = hits(hits_are) if chunks == 1 else None  # a row alone has nothing to mask
    expected = slow.in_batch_softmax(
        P[USER], Q[ITEM], ONES, WHERE, temperature=0.5, cosine=False, log_probability=log_q, mask=mask, groups=chunks
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_the_ways_to_mask_hits_differ_on_this_batch():
    losses = {
        kind: float(value(Objective(MODEL, InBatchSoftmax(accidental_hits=kind)), batch_of(negatives=0))[0])
        for kind in ("keep", "same_item", "seen")
    }
    assert losses["keep"] > losses["same_item"] > losses["seen"]  # fewer negatives, smaller sums


@pytest.mark.parametrize(("form", "twin"), [(SquaredL2, slow.l2), (NormL2, slow.l2_norms)])
def test_the_penalty_acts_on_the_embeddings_of_the_batch(form, twin):
    _, info = value(Objective(MODEL, BPR(), form(0.1)), batch_of())
    np.testing.assert_allclose(info["penalty"], 0.1 * twin([P[USER], Q[ITEM], Q[NEGATIVES]], WHERE), rtol=1e-5)
    _, info = value(Objective(MODEL, SquaredError(), form(0.1)), batch_of(negatives=0))
    np.testing.assert_allclose(info["penalty"], 0.1 * twin([P[USER], Q[ITEM]], WHERE), rtol=1e-5)


CASES = {
    "bpr": ((BPR(), SquaredL2(0.1)), 2),
    "logistic": ((Logistic(), NormL2(0.1)), 2),
    "mse": ((SquaredError(), SquaredL2(0.1)), 0),
    "softmax": ((SampledSoftmax(),), 2),
    "in-batch": ((InBatchSoftmax(accidental_hits="seen", logq_correction=True),), 0),
}


@pytest.mark.parametrize(("name", "bias"), [*((name, False) for name in CASES), ("mse", True)])
def test_the_row_that_fills_the_batch_changes_nothing(name, bias):
    parts, negatives = CASES[name]
    model = MODEL.clone(bias=bias)
    params = model.init(jax.random.key(3))["params"]
    slope = jax.jit(jax.value_and_grad(Objective(model, *parts), has_aux=True))
    batch = batch_of(negatives)
    (loss, _), gradient = slope(params, DATA, batch, jax.random.key(0))
    assert not np.any(gradient["user_embedding"][3])  # only the filling row has user 3
    other_row = batch._replace(user=batch.user.at[4].set(0), item=batch.item.at[4].set(5))
    far_away = params | {"user_embedding": params["user_embedding"].at[3].set(1e4)}
    for values, filled in ((params, other_row), (far_away, batch)):
        (again, _), other = slope(values, DATA, filled, jax.random.key(0))
        np.testing.assert_allclose(again, loss, rtol=1e-6)
        for table in gradient:
            np.testing.assert_allclose(other[table], gradient[table], rtol=1e-5, atol=1e-7)


def test_the_sum_over_rows_is_the_mean_times_their_number():
    mean, _ = value(Objective(MODEL, SquaredError(), SquaredL2(0.1)), batch_of(negatives=0))
    objective = Objective(MODEL, SquaredError(), SquaredL2(0.1), "sum")
    total, _ = objective(PARAMS, DATA, batch_of(negatives=0), jax.random.key(0))
    np.testing.assert_allclose(total, float(WHERE.sum()) * mean, rtol=1e-6)


def test_biases_take_part_in_the_score_and_in_the_penalty():
    model = MODEL.clone(bias=True, mean=2.0)
    params = model.init(jax.random.key(0))["params"]
    params = params | {
        name: jnp.arange(table.size, dtype=jnp.float32).reshape(table.shape) / 10
        for name, table in params.items()
        if name.endswith("bias")
    }
    loss, info = value(Objective(model, SquaredError(), SquaredL2(0.1)), batch_of(negatives=0), params)
    p, q, b_u, b_i = (
        np.asarray(params[name], np.float64) for name in ("user_embedding", "item_embedding", "user_bias", "item_bias")
    )
    b_u, b_i = b_u.reshape(-1, 1), b_i.reshape(-1, 1)
    scores = 2 + b_u[USER, 0] + b_i[ITEM, 0] + (p[USER] * q[ITEM]).sum(axis=1)
    np.testing.assert_allclose(info["ranking"], slow.mse(scores, [5, 1, 3, 3, 0], ONES, WHERE), rtol=1e-5)
    tables = [np.hstack([p, b_u])[USER], np.hstack([q, b_i])[ITEM]]
    np.testing.assert_allclose(info["penalty"], 0.1 * slow.l2(tables, WHERE), rtol=1e-5)
    np.testing.assert_allclose(loss, slow.mse(scores, [5, 1, 3, 3, 0], ONES, WHERE) + info["penalty"], rtol=1e-5)


def test_the_log_probability_of_an_item_is_its_share_of_the_interactions():
    shares = np.array([3, 1, 1, 1, 1, 1]) / 8
    np.testing.assert_allclose(DATA.log_probability, np.log(shares), rtol=1e-6)
    rare = train_data(jaxrec.from_arrays([0, 0, 1], [0, 1, 2]).select([0, 1]))
    assert rare.log_probability[2] == -np.inf


def test_it_is_hashable_and_equal_by_value():
    one, other = (Objective(model, BPR(), SquaredL2(0.1)) for model in (MODEL, MODEL.clone()))
    assert one == other
    assert hash(one) == hash(other)
    assert one != dataclasses.replace(one, regularizer=SquaredL2(0.2))


BAD = {
    "weight": (lambda: SquaredL2(-1.0), "weight.*-1.0"),
    "norm weight": (lambda: NormL2(-1.0), "weight.*-1.0"),
    "temperature": (lambda: InBatchSoftmax(0.0), "temperature.*0.0"),
    "sampled temperature": (lambda: SampledSoftmax(-0.1), "temperature.*-0.1"),
    "similarity": (lambda: SampledSoftmax(similarity="angle"), "similarity.*'angle'"),
    "hits": (lambda: InBatchSoftmax(accidental_hits="some"), "accidental_hits.*'some'"),
    "chunks": (lambda: InBatchSoftmax(chunks=0), "chunks.*0"),
    "adjustment": (lambda: InBatchSoftmax(logit_adjustment=-1.0), "logit_adjustment.*-1.0"),
    "both corrections": (lambda: InBatchSoftmax(logq_correction=True, logit_adjustment=1.0), "choose one"),
    "scale": (lambda: SquaredError((5, 1)), r"scale.*\(5, 1\)"),
    "negatives": (lambda: Uniform(0), "num.*0"),
    "reduction": (lambda: Objective(MODEL, BPR(), reduction="max"), "reduction.*'max'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_options_raise(name):
    make, message = BAD[name]
    with pytest.raises(JaxrecError, match=message):
        make()


def test_a_batch_without_ratings_is_named():
    with pytest.raises(JaxrecError, match="rating"):
        Objective(MODEL, SquaredError())(PARAMS, DATA, batch_of(0, rating=False), jax.random.key(0))


@pytest.mark.parametrize(
    ("loss", "negatives", "message"),
    [
        *((loss, None, "compares with drawn negatives") for loss in (BPR(), Logistic(), SampledSoftmax())),
        (InBatchSoftmax(), Uniform(4), "from the batch"),
        (SquaredError(), Uniform(1), "learns from ratings"),
        (InBatchSoftmax(chunks=3), None, "divide the batch size of 8"),
    ],
)
def test_a_sampler_that_does_not_go_with_the_loss_is_refused(loss, negatives, message):
    with pytest.raises(JaxrecError, match=message):
        loss.check(batch_size=8, negatives=negatives)


def test_numbers_are_leaves_and_one_program_serves_them():
    traces = []

    @jax.jit
    def loss_of(objective, batch):
        traces.append(1)
        return objective(PARAMS, DATA, batch, jax.random.key(0))[0]

    made = [Objective(MODEL, InBatchSoftmax(t), SquaredL2(w)) for t, w in ((0.1, 0.5), (1, np.float64(0.25)))]
    batch = batch_of(negatives=0)
    values = [float(loss_of(objective, batch)) for objective in made]
    assert len(traces) == 1
    stacked = jax.vmap(lambda objective: objective(PARAMS, DATA, batch, jax.random.key(0))[0])(stack(made))
    np.testing.assert_allclose(stacked, values, rtol=1e-6)
    with pytest.raises(MismatchError, match="differ in more"):
        stack([BPR(), Logistic()])
