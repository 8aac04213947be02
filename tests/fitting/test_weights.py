"""Weights of interactions: rules, arrays, what they do to a training, what refuses them, and what survives."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec import EASE, GCN, MF, LightGCN
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.losses import (
    BPR,
    BilateralSoftmax,
    CosineContrastive,
    Logistic,
    PairwiseSoftmax,
    SampledSoftmax,
    SoftmaxAtK,
    SquaredError,
    SquaredL2,
)
from jaxrec.models import SolvedModel
from jaxrec.protocols import Loss, Solution
from jaxrec.pytrees import options
from jaxrec.scorers import PopularityScorer
from jaxrec.training import (
    SGD,
    DenseStep,
    Objective,
    RatingConfidence,
    TimeDecay,
    init_state,
    make_batch,
    train_data,
    weights_of,
)

DAY = 86_400
RNG = np.random.default_rng(0)
USER, ITEM = np.divmod(RNG.permutation(20 * 15)[:160], 15)
RATED = jaxrec.from_arrays(USER, ITEM, RNG.integers(1, 6, 160), RNG.integers(0, 100 * DAY, 160))
SPLIT = jaxrec.split(RATED, "user_random", key=jax.random.key(0))
KEY = jax.random.key(3)
SHORT = {"epochs": 2, "batch_size": 32, "key": KEY}


def losses_of(fitted):
    return [record["loss"] for record in fitted.info["records"]]


def test_rules_are_what_their_formulas_say():
    decay = TimeDecay(half_life=10, time_unit="s")(RATED)
    age = (RATED.timestamp.max() - RATED.timestamp) / DAY
    np.testing.assert_allclose(decay, 0.5 ** (age / 10))
    np.testing.assert_allclose(TimeDecay(10, "ms")(RATED), 0.5 ** (age / 10_000), rtol=1e-6)
    np.testing.assert_allclose(RatingConfidence(alpha=0.5)(RATED), 1 + RATED.rating / 2)
    dated = jaxrec.from_arrays([0, 0], [0, 1], timestamp=np.array(["2020-01-01", "2020-01-11"], "datetime64[D]"))
    np.testing.assert_allclose(TimeDecay(10)(dated), [0.5, 1])  # dates say their unit


@pytest.mark.parametrize(
    ("rule", "data", "word"),
    [
        (TimeDecay(10), RATED, "do not say the unit"),
        (TimeDecay(10), jaxrec.from_arrays([0], [0]), "no timestamps"),
        (RatingConfidence(), jaxrec.from_arrays([0], [0]), "the data have none"),
        (RatingConfidence(), jaxrec.from_arrays([0], [0], [-1.0]), "the lowest is -1"),
    ],
)
def test_data_that_a_rule_cannot_weigh_raise(rule, data, word):
    with pytest.raises(JaxrecError, match=word):
        rule(data)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: TimeDecay(0), "half_life"),
        (lambda: TimeDecay(float("nan")), "half_life"),
        (lambda: TimeDecay(time_unit="h"), "time_unit must be one of s, ms, us, ns, got 'h'"),
        (lambda: RatingConfidence(-1), "alpha"),
    ],
)
def test_options_of_rules_out_of_range_raise(make, word):
    with pytest.raises(JaxrecError, match=word):
        make()


@pytest.mark.parametrize(
    ("values", "error", "word"),
    [
        ([1, 2], MismatchError, r"shape \(2,\), expected \(3,\)"),
        ([1, np.nan, 1], JaxrecError, r"weights\[1\] is nan"),
        ([1, -1, 1], JaxrecError, r"weights\[1\] is -1"),
        ([0, 0, 0], JaxrecError, "all weights are 0"),
        (["a", "b", "c"], JaxrecError, "must be numbers"),
    ],
)
def test_weights_out_of_range_raise(values, error, word):
    with pytest.raises(error, match=word):
        weights_of(values, 3, "weights given")


def test_weights_are_divided_by_their_mean():
    given = weights_of([1e300, 3e300], 2, "mine")
    assert given.values.tolist() == [0.5, 1.5]
    assert given.note == "mine: 0.5 to 1.5 after division by their mean"


def test_a_batch_has_the_weights_of_its_rows_and_none_without():
    weight = np.arange(160, dtype=np.float32)
    data = train_data(RATED, weight)
    index = jnp.array([5, 0, 7])
    assert make_batch(data, index, jnp.ones(3, bool), KEY, negatives=None)[0].weight.tolist() == [5, 0, 7]
    assert make_batch(train_data(RATED), index, jnp.ones(3, bool), KEY, negatives=None)[0].weight is None


@pytest.mark.parametrize("loss", [SquaredError(), BilateralSoftmax()])
@pytest.mark.parametrize("batch_size", [160, 1])
def test_a_weight_of_2_moves_the_parameters_as_a_row_that_occurs_twice(loss, batch_size):
    """By SGD on the sum: also where each batch is one row, so that a mean by weight would lose the weights."""
    weight = np.ones(160, np.float32)
    weight[3] = 2
    model = MF(dim=3, num_users=20, num_items=15)
    params = model.init(KEY)["params"]
    step = DenseStep(Objective(model, loss, None, "sum"), SGD(0.01))

    def gradient(rows, weight):
        data = train_data(RATED, weight)
        total = jax.tree.map(jnp.zeros_like, params)
        for start in range(0, len(rows), batch_size):
            index = jnp.asarray(rows[start : start + batch_size], jnp.int32)
            batch, _ = make_batch(data, index, jnp.ones(len(index), bool), KEY, negatives=None)
            state, _ = step(init_state(params, step, KEY), batch, data)
            total = jax.tree.map(lambda sums, new, old: sums + new - old, total, state.params, params)
        return total

    if batch_size == 1 and loss.task == "ranking":
        pytest.skip("a batch of one row has no other rows to compare with")
    few = np.arange(160) if batch_size > 1 else np.array([2, 3])
    weighted = gradient(few, weight)
    if loss.task == "rating":
        repeated = gradient(np.append(few, 3), None)
        for one, other in zip(jax.tree.leaves(weighted), jax.tree.leaves(repeated), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
    plain = gradient(few, None)
    assert any(np.any(one != other) for one, other in zip(*map(jax.tree.leaves, (weighted, plain)), strict=True))


DRAWN = [
    BPR(),
    SampledSoftmax(),
    BilateralSoftmax(),
    PairwiseSoftmax(),
    SoftmaxAtK(top=2),
    CosineContrastive(),
]


@pytest.mark.parametrize("loss", DRAWN, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("model", [MF(dim=3), LightGCN(dim=3, layers=1), GCN(dim=3, hidden=4)])
def test_a_weight_of_2_is_a_row_that_occurs_twice_with_the_same_negatives(model, loss):
    model = model.clone(num_users=20, num_items=15)
    drawn = np.random.default_rng(0).integers(0, 15, (160, 4)).astype(np.int32)

    def value_and_gradient(rows, weight):
        data = train_data(RATED, weight)
        every = jnp.ones(len(rows), bool)
        batch, _ = make_batch(data, jnp.asarray(rows, jnp.int32), every, KEY, negatives=None)
        batch = batch._replace(negatives=jnp.asarray(drawn[rows]))
        objective = Objective(model, loss, None, "sum")
        params = model.init(KEY, data.adjacency)["params"]
        return jax.jit(jax.value_and_grad(lambda params: objective(params, data, batch, KEY)[0]))(params)

    rows = np.arange(0, 160, 3)
    weight = np.ones(160, np.float32)
    weight[[3, 30]] = 2
    weighted = value_and_gradient(rows, weight)
    repeated = value_and_gradient(np.append(rows, [3, 30]), None)
    for one, other in zip(*map(jax.tree.leaves, (weighted, repeated)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert abs(value_and_gradient(rows, None)[0] - weighted[0]) > 1e-3


@pytest.mark.parametrize("model", [MF(dim=3), LightGCN(dim=3, layers=1), GCN(dim=3, hidden=4)])
def test_a_fit_weighs_and_says_so(model):
    plain = jaxrec.fit(model, SPLIT, loss=BPR(), refit=False, **SHORT)
    weighted = jaxrec.fit(model, SPLIT, loss=BPR(), refit=False, weights=RatingConfidence(2.0), **SHORT)
    assert losses_of(plain) != losses_of(weighted)
    assert not any("weights" in note for note in plain.info["notes"])
    rule = SPLIT.train.rating * 2 + 1
    low, high = rule.min() / rule.mean(), rule.max() / rule.mean()
    assert weighted.info["notes"][-1] == (
        f"weights by RatingConfidence(alpha=2.0): {low:.4g} to {high:.4g} after division by their mean"
    )
    given = jaxrec.fit(model, SPLIT, loss=BPR(), refit=False, weights=rule, **SHORT)
    assert losses_of(given) == losses_of(weighted)
    assert given.info["notes"][-1].startswith("weights given: ")
    ones = jaxrec.fit(model, SPLIT, loss=BPR(), refit=False, weights=np.full(len(rule), 7.0), **SHORT)
    np.testing.assert_allclose(losses_of(ones), losses_of(plain), rtol=1e-5)


def test_a_weight_of_0_leaves_an_interaction_out_of_the_loss():
    weights = np.where(RATED.user == 0, 0.0, 1.0)
    options = {"loss": SquaredError(), "regularizer": None, "weights": weights, **SHORT}
    fitted = jaxrec.fit(MF(dim=3), RATED, **options)
    start = MF(dim=3, num_users=20, num_items=15).init(jax.random.split(KEY)[0])["params"]["user_embedding"]
    moved = np.any(np.asarray(fitted.variables["params"]["user_embedding"]) != np.asarray(start), axis=1)
    assert not moved[0]
    assert moved[1:].all()


def test_a_refit_takes_the_rule_anew_and_arrays_of_both_parts():
    train, valid = (part.rating * 2 + 1 for part in (SPLIT.train, SPLIT.valid))
    by_rule = jaxrec.fit(MF(dim=3), SPLIT, weights=RatingConfidence(2.0), **SHORT)
    given = jaxrec.fit(MF(dim=3), SPLIT, weights={"train": train, "valid": valid}, **SHORT)
    assert len({record["stage"] for record in given.info["records"]}) == 2
    assert losses_of(given) == losses_of(by_rule)
    whole = {**{"train": train, "valid": valid}, "test": SPLIT.test.rating * 2 + 1}
    by_rule, given = (
        jaxrec.fit(MF(dim=3), SPLIT, weights=weights, refit="all", **SHORT)
        for weights in (RatingConfidence(2.0), whole)
    )
    assert losses_of(given) == losses_of(by_rule)
    with pytest.raises(JaxrecError, match=r"the valid part is fitted too, and weights has none for it; .*refit=False"):
        jaxrec.fit(MF(dim=3), SPLIT, weights=train, **SHORT)
    with pytest.raises(JaxrecError, match="weights has 'tset'; the parts are train, valid, test"):
        jaxrec.fit(MF(dim=3), SPLIT, weights={"train": train, "tset": valid}, **SHORT)
    with pytest.raises(MismatchError, match="weights of the train part"):
        jaxrec.fit(MF(dim=3), SPLIT, weights=train[1:], refit=False, **SHORT)


@options
class Deaf(Loss):
    """A loss that knows nothing of weights."""

    def __call__(self, rows, batch, data, key):
        return jnp.mean(jnp.where(batch.where, -jnp.sum(rows.user * rows.positive, axis=1), 0))


@dataclasses.dataclass(frozen=True)
class Counted(SolvedModel):
    """Popularity by weight: a solved model that honors them."""

    takes_weights = True
    num_users: int | None = None
    num_items: int | None = None

    def solve(self, data, key):
        weight = jnp.ones(data.user.shape) if data.weight is None else data.weight
        return Solution(PopularityScorer(jnp.bincount(data.item, weight, length=self.num_items), num_users=20))


@pytest.mark.parametrize("weights", [RatingConfidence(), RATED.rating])
def test_what_would_ignore_weights_refuses_them(weights):
    with pytest.raises(JaxrecError, match="Deaf does not weigh the rows of a batch"):
        jaxrec.fit(MF(dim=3), RATED, loss=Deaf(), weights=weights, **SHORT)
    for model in (EASE(), jaxrec.ItemKNN(), jaxrec.NMF(dim=2)):
        with pytest.raises(JaxrecError, match=f"{type(model).__name__} is solved from its interactions as they are"):
            jaxrec.fit(model, RATED, weights=weights, key=KEY)


def test_a_solved_model_that_takes_weights_gets_them():
    fitted = jaxrec.fit(Counted(), RATED, weights=RATED.rating, key=KEY)
    expected = np.bincount(RATED.item, RATED.rating / RATED.rating.mean(), minlength=15)
    np.testing.assert_allclose(fitted.scorer.counts, expected, rtol=1e-5)
    assert fitted.info["notes"][-1].startswith("weights given")


def test_weights_survive_saving_and_are_part_of_what_a_resumed_fit_must_be(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    how = {"loss": Logistic(), "epochs": 3, "batch_size": 32, "key": KEY, "refit": False}
    whole = jaxrec.fit(MF(dim=3), SPLIT, weights=TimeDecay(20, "s"), **how)
    restored = jaxrec.restore(jaxrec.save(whole, tmp_path / "run"))
    assert restored.options.weights == TimeDecay(20, "s")

    class Stop(Exception):
        pass

    def stop(event):
        if event.record.epoch == 2:
            raise Stop

    for at, (weights, other) in enumerate(
        [(TimeDecay(20, "s"), TimeDecay(30, "s")), (SPLIT.train.rating, SPLIT.train.rating + 1)]
    ):
        folder = tmp_path / f"kept{at}"
        keep = jaxrec.Checkpoint(folder, every=1)
        with pytest.raises(Stop):
            jaxrec.fit(MF(dim=3), SPLIT, weights=weights, checkpoint=keep, callbacks=[stop], **how)
        with pytest.raises(MismatchError, match="weights"):
            jaxrec.fit(MF(dim=3), SPLIT, weights=other, resume=folder, **how)
        resumed = jaxrec.fit(MF(dim=3), SPLIT, weights=weights, resume=folder, **how)
        again = jaxrec.fit(MF(dim=3), SPLIT, weights=weights, **how)
        np.testing.assert_array_equal(
            resumed.variables["params"]["item_embedding"], again.variables["params"]["item_embedding"]
        )


def test_many_members_share_the_weights_and_a_search_tries_rules():
    rule = RatingConfidence(2.0)
    penalties = [SquaredL2(0.0), SquaredL2(0.1)]
    keys = [KEY, KEY]
    how = {"epochs": 2, "batch_size": 32, "refit": False}
    many = jaxrec.fit_many(MF(dim=3), SPLIT, keys=keys, regularizer=penalties, weights=rule, **how)
    alone = jaxrec.fit(MF(dim=3), SPLIT, regularizer=penalties[1], weights=rule, key=KEY, **how)
    np.testing.assert_allclose(losses_of(many[1]), losses_of(alone), rtol=1e-4)
    space = {"weights": [rule, TimeDecay(5.0, "s")]}
    study = jaxrec.tune(MF(dim=3), SPLIT, space, key=KEY, epochs=2, batch_size=32, weights=rule)
    assert [trial.state for trial in study.trials] == ["complete", "complete"]
    assert study.options.weights in space["weights"]
    space = {"weights.alpha": [0.0, 50.0]}
    study = jaxrec.tune(MF(dim=3), SPLIT, space, key=KEY, epochs=2, batch_size=32, weights=rule, together=2)
    assert len({trial.value for trial in study.trials}) == 2
