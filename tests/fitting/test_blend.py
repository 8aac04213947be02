"""Blends of fitted models: against hand-made weights and the twin, what is refused, and everything that models do."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import blending as reference
from worlds import middle, middle_split

import jaxrec
from jaxrec.blending import LogShare, LogSoftmax, ZScore
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.fitting import Blend, _learnt_blend, fit_again
from jaxrec.fitting._blend_learning import Heldout, held_out_of, heldout, learn_calibration, learn_weights
from jaxrec.fitting._learnt_blend import learnt_calibrations
from jaxrec.models import SolvedModel, with_sizes
from jaxrec.protocols import Solution
from jaxrec.scorers import TableScorer
from jaxrec.testing import checkerboard, leaves_of
from jaxrec.testing._models import _Conformance
from jaxrec.testing._worlds import strict
from jaxrec.training import Adam

BPR = jaxrec.TrainingOptions(
    loss=jaxrec.losses.BPR(), epochs=4, batch_size=32, optimizer=Adam(0.05), regularizer=0.01, refit=False
)
KEYS = jax.random.split(jax.random.key(5), 3)


@functools.cache
def members():
    """EASE, MF and popularity on the training part of the middle world."""
    split = middle_split()
    return (
        jaxrec.fit(jaxrec.EASE(l2=5.0), split, refit=False, key=KEYS[0]),
        jaxrec.fit(jaxrec.MF(dim=4), split, BPR, key=KEYS[1]),
        jaxrec.fit(jaxrec.Popularity(), split, refit=False, key=KEYS[2]),
    )


@functools.cache
def learnt(**how):
    return jaxrec.blend(members(), middle_split(), key=jax.random.key(1), **how)


def lists_of(model, k=24):
    return {user: [one.item for one in shown] for user, shown in jaxrec.recommend(model, k=k)}


def table_of(model):
    return np.asarray(model.scorer.scores(jnp.arange(model.num_users, dtype=jnp.int32)))


# What is negative has no share, so that calibration would tie items of EASE and MF.
@pytest.mark.parametrize(
    ("at", "calibration"), [*((at, word) for at in range(3) for word in ("softmax", "zscore")), (2, "share")]
)
def test_weight_1_and_zeros_give_the_lists_of_the_member(at, calibration):
    weights = np.eye(3)[at].tolist()
    made = jaxrec.blend(
        members(), middle_split(), weights=weights, calibration=calibration, refit=False, key=jax.random.key(0)
    )
    assert lists_of(made, 12) == lists_of(members()[at], 12)


def test_hand_made_weights_are_the_formula_of_the_twin():
    calibration = [LogSoftmax(0.5), LogSoftmax(), LogShare(smoothing=0.0)]
    made = jaxrec.blend(
        members(), middle_split(), weights=[1, 0.5, 0.8], calibration=calibration, refit=False, key=jax.random.key(0)
    )
    twins = [
        functools.partial(reference.log_softmax, temperature=0.5),
        functools.partial(reference.log_softmax, temperature=1.0),
        functools.partial(reference.log_share, power=1.0, smoothing=0.0),
    ]
    seen = [set(np.asarray(made.seen.of(user)).tolist()) for user in range(made.num_users)]
    wanted = reference.blended([table_of(one) for one in members()], twins, [1, 0.5, 0.8], seen)
    unseen = np.array([[item not in seen[user] for item in range(24)] for user in range(30)])
    np.testing.assert_allclose(table_of(made)[unseen], wanted[unseen], rtol=1e-4, atol=1e-4)
    assert made.info["blend"]["learnt_on"].startswith("nothing")
    assert made.info["valid"]["recall@10"] > 0


def test_learnt_weights_are_where_the_loss_of_the_twin_is_least():
    split, seen_items = middle_split(), members()[0].seen
    seen = [set(np.asarray(seen_items.of(user)).tolist()) for user in range(30)]
    tables = [table_of(one) for one in members()]
    held = heldout([TableScorer(jnp.asarray(table)) for table in tables], *held_out_of(split.valid), seen_items)
    found, loss = learn_weights(held, 0.0)
    wanted = {}
    for user, item in zip(split.valid.user.tolist(), split.valid.item.tolist(), strict=True):
        wanted.setdefault(user, []).append(item)
    plain = [lambda scores, shown: scores] * 3

    def of_twin(weights):
        return reference.softmax_loss(reference.blended(tables, plain, weights, seen), seen, wanted)

    assert loss == pytest.approx(of_twin(found), rel=1e-4)
    for step in (*np.eye(3), *-np.eye(3)):
        assert of_twin(found + 0.2 * step / np.abs(tables).max()) > loss - 1e-4


def test_weights_that_must_not_be_negative_are_the_least_of_those():
    split, seen_items = middle_split(), members()[0].seen
    # A member and its negative: the best weight of the second is below 0.
    tables = [table_of(members()[0]), -table_of(members()[0]), table_of(members()[2])]
    held = heldout([TableScorer(jnp.asarray(table)) for table in tables], *held_out_of(split.valid), seen_items)
    free, _ = learn_weights(held, 1e-3)
    assert free[1] < 0
    found, loss = learn_weights(held, 1e-3, nonnegative=True)
    assert (found >= 0).all()
    assert found[1] == 0
    # On the boundary of what is allowed nothing near is better, and what is free is at its minimum.
    least, penalty = loss + 5e-4 * found @ found, lambda weights: 5e-4 * weights @ weights
    seen = [set(np.asarray(seen_items.of(user)).tolist()) for user in range(30)]
    wanted = {}
    for user, item in zip(split.valid.user.tolist(), split.valid.item.tolist(), strict=True):
        wanted.setdefault(user, []).append(item)
    for step in (*np.eye(3), *-np.eye(3)):
        near = np.maximum(found + 0.2 * step / np.abs(tables[0]).max(), 0)
        blended = reference.blended(tables, [lambda scores, shown: scores] * 3, near, seen)
        assert reference.softmax_loss(blended, seen, wanted) + penalty(near) > least - 1e-4


def test_a_blend_with_weights_of_at_least_0_says_so():
    both = learnt(nonnegative=True)
    assert both.info["blend"]["nonnegative"] is True
    assert min(both.info["blend"]["weights"]) >= 0
    assert learnt().info["blend"]["nonnegative"] is False


def test_a_temperature_is_learnt_where_the_scores_are_logits_times_a_factor():
    """Of scores 8 log p with items drawn from p, the temperature is 8."""
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(20), size=400)
    drawn = np.array([rng.choice(20, p=row) for row in chances])
    data = jaxrec.from_arrays(np.arange(400), drawn)
    catalog = np.unique(drawn)
    table = TableScorer(jnp.asarray(8 * np.log(chances[:, catalog] / chances[:, catalog].sum(1)[:, None]), jnp.float32))
    nothing = jaxrec.data.SeenItems(np.zeros(401, np.int32), np.zeros(0, np.int32))
    held = heldout([table], *held_out_of(data), nothing)
    found, _ = learn_calibration(LogSoftmax(), held.scores[0], held)
    assert found.temperature == pytest.approx(8, rel=0.1)


def test_the_temperature_of_a_ranker_of_candidates_is_that_of_its_candidates():
    """Its scores of all other items are just below those of the candidates, and say nothing of how likely they are."""
    rng = np.random.default_rng(0)
    users, items, candidates = 400, 60, 5
    chances = rng.dirichlet(np.ones(candidates), size=users)
    logits = 8 * np.log(chances)
    scores = np.repeat(logits.min(axis=1, keepdims=True) - 1, items, axis=1)
    columns = np.stack([rng.permutation(items)[:candidates] for _ in range(users)])
    np.put_along_axis(scores, columns, logits, axis=1)
    drawn = np.array([rng.choice(own, p=row) for own, row in zip(columns, chances, strict=True)])
    held = Heldout(
        (scores.astype(np.float32),),
        np.ones(scores.shape, bool),
        drawn[:, None].astype(np.int32),
        np.ones((users, 1), np.float32),
    )
    found, _ = learn_calibration(LogSoftmax(), held.scores[0], held, candidates)
    assert found.temperature == pytest.approx(8, rel=0.1)
    of_all, _ = learn_calibration(LogSoftmax(), held.scores[0], held)
    assert abs(of_all.temperature / 8 - 1) > 0.3
    # A held-out item that is no candidate says nothing either.
    other = dataclasses.replace(held, at=np.concatenate([held.at, held.at], axis=1), share=np.full((users, 2), 0.5))
    rest = np.array([np.setdiff1d(np.arange(items), own)[0] for own in columns])
    other.at[:, 1] = rest
    again, _ = learn_calibration(LogSoftmax(), held.scores[0], other, candidates)
    assert again.temperature == pytest.approx(found.temperature, rel=1e-3)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"calibrate_on": "candidates"}, 'calibrate_on="candidates" needs their number; pass candidates=40'),
        (
            {"calibrate_on": "candidates", "candidates": 5, "weights": (1, 1, 1)},
            "calibrate_on is for calibrations that are",
        ),
        (
            {"calibrate_on": "candidates", "weights": "equal"},
            'calibrate_on="candidates" needs their number; pass candidates=40',
        ),
        (
            {"candidates": 5, "weights": (1, 1, 1)},
            "candidates=5 is for weights that are learnt; leave it out",
        ),
        ({"candidates": 5, "weights": "equal"}, 'candidates=5 is for weights that are learnt; add calibrate_on="cand'),
        ({"nonnegative": True, "weights": "equal"}, "nonnegative is for weights that are learnt"),
        ({"l2": 0.5, "weights": "equal"}, "l2 is for weights that are learnt, got 0.5; leave it out, or leave out"),
        ({"weights": 3}, 'weights must be numbers, one for each member, "equal", or None to learn; got 3'),
        ({"weights": b"abc"}, 'weights must be numbers, one for each member, "equal", or None to learn; got b'),
        ({"weights": "even"}, "weights must be numbers, one for each member, \"equal\", or None to learn; got 'even'"),
        ({"calibrate_on": "best", "candidates": 5}, 'calibrate_on must be "all" or "candidates", got \'best\''),
    ],
)
def test_options_of_the_learning_without_use_are_refused(how, message):
    with pytest.raises(JaxrecError, match=message):
        learnt(**how)


def test_calibrations_are_of_all_items_but_where_candidates_are_asked_for():
    found = {how: learnt(candidates=5, calibrate_on=how).info["blend"] for how in ("all", "candidates")}
    assert found["all"]["calibrations"] == learnt().info["blend"]["calibrations"]
    assert found["candidates"]["calibrations"] != found["all"]["calibrations"]
    assert {how: each["calibrate_on"] for how, each in found.items()} == {"all": "all", "candidates": "candidates"}


def test_equal_weights_are_of_learnt_calibrations():
    found, plain = learnt(weights="equal"), learnt()
    assert found.info["blend"]["weights"] == [1 / 3] * 3
    assert found.info["blend"]["calibrations"] == plain.info["blend"]["calibrations"]
    assert {name: found.info["blend"][name] for name in ("weighed", "learnt_on")} == {
        "weighed": "equal",
        "learnt_on": "valid",
    }
    assert plain.info["blend"]["weighed"] == "learnt"
    assert found.info["blend"]["loss"] > plain.info["blend"]["loss"]  # which is the least there is
    by_hand = jaxrec.blend(
        members(),
        middle_split(),
        weights=[1 / 3] * 3,
        calibration=[jax.tree.map(float, one) for one in found.scorer.calibrations],
        key=jax.random.key(1),
    )
    np.testing.assert_array_equal(table_of(found), table_of(by_hand))
    few = learnt(weights="equal", candidates=5, calibrate_on="candidates").info["blend"]
    assert few["calibrations"] == learnt(candidates=5, calibrate_on="candidates").info["blend"]["calibrations"]


def test_learning_depends_on_the_key_alone_and_members_are_fitted_again_with_their_own():
    first, again = learnt(), jaxrec.blend(members(), middle_split(), key=jax.random.key(1))
    for one, other in zip(leaves_of(first.scorer), leaves_of(again.scorer), strict=True):
        np.testing.assert_array_equal(one, other)
    whole = jaxrec.fit(jaxrec.MF(dim=4), middle_split(), dataclasses.replace(BPR, refit=True), key=KEYS[1])
    np.testing.assert_array_equal(first.scorer.members[1].items, whole.scorer.items)
    assert first.info["fitted_on"] == whole.info["fitted_on"] == "train and valid"
    assert first.info["data"]["fingerprint"] == whole.info["data"]["fingerprint"]
    assert first.name == "blend"
    kept = learnt(refit=False)
    np.testing.assert_array_equal(kept.scorer.weights, first.scorer.weights)
    np.testing.assert_array_equal(kept.scorer.members[1].items, members()[1].scorer.items)
    assert kept.info["fitted_on"] == "train"


@pytest.mark.parametrize("model", [jaxrec.MF(dim=4), jaxrec.ItemKNN(neighbors=5), jaxrec.NMF(dim=2)])
@pytest.mark.parametrize("refit", [True, "all"])
def test_fitting_again_is_what_refit_does(model, refit):
    options = dataclasses.replace(BPR, refit=refit) if isinstance(model, jaxrec.MF) else None
    how = {} if options else {"refit": refit}
    wanted = jaxrec.fit(model, middle_split(), options, key=KEYS[0], **how)
    first = jaxrec.fit(model, middle_split(), options and BPR, key=KEYS[0], **({} if options else {"refit": False}))
    again = fit_again(first, middle_split(), refit)
    for one, other in zip(
        leaves_of(again.variables, again.scorer), leaves_of(wanted.variables, wanted.scorer), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.seen.items, wanted.seen.items)
    for name in ("fitted_on", "best_epoch", "valid", "data", "notes", "key", "split"):
        assert again.info[name] == wanted.info[name], name
    assert [one["stage"] for one in again.info["records"]] == [one["stage"] for one in wanted.info["records"]]


def test_held_out_users_are_served_by_every_member():
    split = jaxrec.split(middle(), "user_kfold", folds=3, key=jax.random.key(0))
    assert split.fold_in is not None
    fitted = [
        jaxrec.fit(jaxrec.EASE(l2=5.0), split, refit=False, key=KEYS[0]),
        jaxrec.fit(jaxrec.MF(dim=4), split, BPR, key=KEYS[1]),
    ]
    made = jaxrec.blend(fitted, split, key=jax.random.key(0))
    alone = jaxrec.fit(jaxrec.MF(dim=4), split, dataclasses.replace(BPR, refit=True), key=KEYS[1])
    np.testing.assert_array_equal(made.scorer.members[1].users, alone.scorer.users)
    assert jaxrec.evaluate(made, split, k=5, metrics="recall", space=None).mean("recall@5") > 0
    assert made.info["shown_users"] == alone.info["shown_users"]


def test_a_blend_is_better_than_its_members_where_they_know_different_things():
    """Each member knows the likes of one half of the users, and draws the others' scores."""
    rng = np.random.default_rng(1)
    split = middle_split()
    truth = np.zeros((30, 24), np.float32)
    truth[split.valid.user, split.valid.item] = 1
    truth[split.test.user, split.test.item] = 1
    noise = rng.normal(size=(2, 30, 24)).astype(np.float32)
    knows = np.arange(30)[:, None] % 4 < 2
    tables = [np.where(knows, 3 * truth + noise[0], noise[0]), np.where(~knows, 3 * truth + noise[1], noise[1])]

    @dataclasses.dataclass(frozen=True)
    class Known(SolvedModel):
        at: int = 0
        num_users: int | None = None
        num_items: int | None = None

        def solve(self, data, key):
            return Solution(TableScorer(jnp.asarray(tables[self.at])))

    fitted = [jaxrec.fit(Known(at), split, refit=False, key=KEYS[0]) for at in (0, 1)]
    made = jaxrec.blend(fitted, split, key=jax.random.key(0))
    for one in fitted:
        assert made.info["valid"]["recall@10"] > one.info["valid"]["recall@10"] + 0.05
    with pytest.raises(JaxrecError, match=r"the blend cannot serve new users, since member 1 cannot: .*Known"):
        jaxrec.recommend(made, history=[0])


def test_fewer_candidates_give_other_weights_and_all_candidates_the_same():
    everything = learnt(candidates=24, validation=None)
    np.testing.assert_allclose(everything.scorer.weights, learnt().scorer.weights, rtol=1e-3, atol=1e-3)
    few = learnt(candidates=3, validation=None)
    assert not np.allclose(few.scorer.weights, everything.scorer.weights, atol=1e-3)
    assert few.info["blend"]["candidates"] == 3
    assert few.info["valid"] == {}


def test_users_are_drawn_where_memory_is_short():
    little = learnt(memory_mb=0.01)
    told = little.info["blend"]
    assert told["users"] == 17  # of 24 items, by 3 members, twice 4 bytes, and a mask
    assert told["users_with_held_out_items"] == 30


def refuse(message, *args, kind=JaxrecError, **how):
    with pytest.raises(kind, match=message):
        jaxrec.blend(*args, **{"key": jax.random.key(0), **how})


def test_what_does_not_go_together_is_refused_with_the_remedy():
    split, (ease, mf, popular) = middle_split(), members()
    refuse("at least two", [ease], split)
    refuse("member 2 is of type str", [ease, "mf"], split)
    seen = jaxrec.fit(jaxrec.ItemKNN(), split, key=KEYS[0])
    refuse(r"member 2 \(itemknn\) was fitted on 47 of the 47 .*refit=False", [ease, seen], split, kind=MismatchError)
    bare = jaxrec.split(middle(), "user_random", test=0.2, valid=0.0, key=jax.random.key(0))
    refuse("the split has none; split with valid=0.1", [ease, mf], bare)
    other = jaxrec.split(middle(), "user_random", test=0.2, valid=0.2, key=jax.random.key(1))
    alien = jaxrec.fit(jaxrec.ItemKNN(), other, refit=False, key=KEYS[0])
    refuse("was fitted on", [ease, alien], split, kind=MismatchError)
    rated = middle_split(rated=True)
    rates = jaxrec.fit(jaxrec.MF(dim=2), rated, loss="mse", epochs=1, refit=False, key=KEYS[0])
    refuse(r"member 1 \(mf\) predicts ratings", [rates, rates], rated)
    refuse("weights is given for 1 of 2 members", [ease, mf], split, weights=[1.0])
    refuse("a weight must be a finite number", [ease, mf], split, weights=[1.0, float("nan")])
    refuse("calibration is given for 3 members and there are 2", [ease, mf], split, calibration=["softmax"] * 3)
    refuse("no calibration is named 'sofmax'; did you mean softmax", [ease, mf], split, calibration="sofmax")
    refuse("candidates must be a whole number of at least 1", [ease, mf], split, candidates=0)
    refuse("refit must be True, False", [ease, mf], split, refit="no")
    refuse("nonnegative must be True or False, got 'yes'", [ease, mf], split, nonnegative="yes")
    refuse("leave it out, or leave out weights", [ease, mf], split, nonnegative=True, weights=[1, 2])
    refuse("key must be one key", [ease, mf], split, key=0)
    warm = jaxrec.fit(jaxrec.MF(dim=4), split, BPR, init=mf, key=KEYS[0])
    refuse(r"member 2 .* started from another model", [ease, warm], split)
    assert jaxrec.blend([ease, warm], split, refit=False, key=KEYS[0]).info["fitted_on"] == "train"
    refuse(r"member 1 .*a blend is not fitted by itself", [learnt(refit=False), popular], split)


def test_given_weights_take_members_that_know_the_validation_part():
    split = middle_split()
    fitted = [jaxrec.fit(one, split, key=KEYS[0]) for one in (jaxrec.ItemKNN(), jaxrec.EASE(l2=5.0))]
    made = jaxrec.blend(fitted, split, weights=[1, 2], key=jax.random.key(0))
    assert made.info["fitted_on"] == "train and valid"
    assert made.info["valid"] == {}
    assert isinstance(made.scorer.calibrations[0], LogSoftmax)
    refuse(
        "member 2 .*other interactions than member 1",
        [fitted[0], members()[0]],
        split,
        weights=[1, 2],
        kind=MismatchError,
    )


def test_a_blend_of_blends_is_restored_and_serves(tmp_path):
    inner = jaxrec.blend(members()[:2], middle_split(), weights=[1, 1], refit=False, key=KEYS[0])
    outer = jaxrec.blend([inner, members()[2]], middle_split(), calibration=ZScore(), refit=False, key=KEYS[0])
    restored = jaxrec.restore(jaxrec.save(outer, tmp_path / "run"))
    assert restored.model == outer.model
    assert lists_of(restored) == lists_of(outer)
    assert (
        jaxrec.recommend(restored, history=[1, 2], k=3).to_dict()
        == jaxrec.recommend(outer, history=[1, 2], k=3).to_dict()
    )


def test_damaged_parts_of_a_blend_are_refused():
    from jaxrec.fitting._array_checks import check_arrays

    scorer = learnt().scorer
    check_arrays(scorer)
    for wrong in (
        {"weights": jnp.ones(2)},
        {"weights": jnp.ones(3, jnp.int32)},
        {"members": ()},
        {"calibrations": scorer.calibrations[:2]},
        {"calibrations": (LogSoftmax(jnp.float32(np.nan)), *scorer.calibrations[1:])},
        {"members": (scorer.members[0], scorer.members[1], TableScorer(jnp.ones((2, 24))))},
        {"longest": 1},
    ):
        with pytest.raises(MismatchError):
            check_arrays(dataclasses.replace(scorer, **wrong))


class TestBlendConformance(_Conformance):
    """A blend under the suite of models, but for what only `fit` does."""

    model = Blend(())
    options = None

    @pytest.fixture(scope="class")
    @classmethod
    def parts(cls, data):
        options = jaxrec.TrainingOptions(epochs=40, batch_size=32, optimizer=Adam(0.05), regularizer=0.01, refit=False)
        return data, [
            jaxrec.fit(jaxrec.EASE(l2=2.0), data, refit=False, key=jax.random.key(2)),
            jaxrec.fit(jaxrec.MF(dim=4), data, options, key=jax.random.key(3)),
            jaxrec.fit(jaxrec.Popularity(), data, refit=False, key=jax.random.key(4)),
        ]

    @staticmethod
    def made(parts):
        data, fitted = parts
        nothing = data.select([])
        split = jaxrec.Split(data, nothing, nothing, "none")
        calibration = ["softmax", "zscore", "share"]
        return jaxrec.blend(
            fitted, split, weights=[8.0, 1.0, 0.1], calibration=calibration, refit=False, key=jax.random.key(0)
        )

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, parts):
        with strict():
            return cls.made(parts)

    @pytest.fixture(scope="class")
    @classmethod
    def sized(cls, fitted):
        return fitted.model

    @pytest.fixture(scope="class")
    @classmethod
    def scorer(cls, fitted):
        return fitted.scorer

    def test_it_is_hashable_and_can_be_cloned(self, sized):
        assert with_sizes(sized, sized.num_users, sized.num_items) == sized
        assert hash(with_sizes(sized, sized.num_users, sized.num_items)) == hash(sized)
        assert with_sizes(sized, 3, 4) != sized

    def test_sizes_other_than_those_of_the_data_are_refused(self, parts):
        other = jaxrec.fit(jaxrec.EASE(l2=2.0), checkerboard(full=True), refit=False, key=jax.random.key(2))
        data, fitted = parts
        with pytest.raises(MismatchError, match="member 2"):
            self.made((data, [fitted[0], other, fitted[2]]))

    def test_the_same_key_gives_the_same_bits(self, fitted, parts):
        again = self.made(parts)
        for one, other in zip(
            leaves_of(fitted.variables, fitted.scorer), leaves_of(again.variables, again.scorer), strict=True
        ):
            np.testing.assert_array_equal(one, other)

    def test_it_cannot_be_fitted_by_itself(self, data):
        with pytest.raises(JaxrecError, match="a blend is not fitted by itself"):
            jaxrec.fit(Blend(()), data, key=jax.random.key(0))


@pytest.mark.parametrize("candidates", [None, 5])
def test_calibrations_are_learnt_on_a_sample_and_not_on_the_first_users(monkeypatch, candidates):
    """Users may be numbered by their activity or by the time that they came."""
    given = []

    def spy(scorers, users, *rest):
        given.append(users)
        return heldout(scorers, users, *rest)

    def learn(few, start, best):
        given.append(len(few.where))
        return learnt_calibrations(few, start, best)

    monkeypatch.setattr(_learnt_blend, "CALIBRATION_USERS", 8)
    monkeypatch.setattr(_learnt_blend, "heldout", spy)
    monkeypatch.setattr(_learnt_blend, "learnt_calibrations", learn)
    split = middle_split()
    jaxrec.blend(members(), split, candidates=candidates, validation=None, refit=False, key=KEYS[0])
    users, count, *_ = given
    assert count == 8
    assert not np.isin(users[:8], np.unique(split.valid.user)[:8]).all()
