"""`fit_many`: each member is what `fit` alone gives, one compilation serves all, and bad input."""

import dataclasses
import json
import logging

import jax
import numpy as np
import pytest
from worlds import middle_split

import jaxrec
from jaxrec import EASE, GCN, MF, SVDPP, LightGCN, Random, TrainingOptions, Validation
from jaxrec.errors import JaxrecError, NonFiniteLossError
from jaxrec.losses import BPR, InBatchSoftmax, Logistic, SquaredError, SquaredL2
from jaxrec.training import SGD, Adam

OPTIONS = TrainingOptions(epochs=6, batch_size=64, optimizer=Adam(0.02), validation=Validation(every=1, patience=2))
KEYS = [jax.random.key(seed) for seed in range(3)]


SPLIT = middle_split(rated=True)


def assert_same(member, alone):
    """The same fit up to rounding: the epochs, what was measured, the parameters, and what is left out of lists."""
    assert member.info["best_epoch"] == alone.info["best_epoch"]
    assert member.info["valid"] == pytest.approx(alone.info["valid"], rel=1e-5)
    for name in ("fitted_on", "data", "key", "task", "rating_scale"):
        assert member.info[name] == alone.info[name]
    assert member.options == alone.options
    epochs = [[(record["stage"], record["epoch"]) for record in fitted.info["records"]] for fitted in (member, alone)]
    assert epochs[0] == epochs[1]
    losses = [[record["loss"] for record in fitted.info["records"]] for fitted in (member, alone)]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    for one, other in zip(jax.tree.leaves(member.scorer), jax.tree.leaves(alone.scorer), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert np.array_equal(member.seen.items, alone.seen.items)


SHORT = {"epochs": 3, "validation": Validation(every=1, patience=0), "refit": False}
MODELS = {
    "mf": (MF(dim=4), {"loss": BPR()}, {}),
    "rows": (
        MF(dim=4, bias=True),
        {"loss": SquaredError(), "reduction": "sum", **SHORT},
        {"optimizer": [Adam(rate, sparse=True) for rate in (0.001, 0.01)]},
    ),
    "lightgcn": (  # each member is ranked with its own temperature, in validation too
        LightGCN(dim=4, layers=2),
        SHORT,
        {
            "loss": [InBatchSoftmax(t, logit_adjustment=0.8) for t in (0.1, 0.5)],
            "regularizer": [SquaredL2(0.0), SquaredL2(0.5)],
            "optimizer": [Adam(0.01, decay=0.8), Adam(0.1, decay=0.8)],
        },
    ),
    "corrected": (
        MF(dim=4),
        SHORT,
        {"loss": [InBatchSoftmax(t, logq_correction=True) for t in (0.1, 0.5)]},
    ),
    "svdpp": (SVDPP(dim=4, implicit_l2=0.1), {"loss": SquaredError(), **SHORT, "epochs": 30, "tolerance": 20.0}, {}),
    "gcn": (GCN(dim=4, hidden=4), SHORT, {}),
}


SLOW = dict.fromkeys(("gcn", "svdpp", "rows", "corrected"), pytest.mark.slow)


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in MODELS])
def test_every_member_is_what_fit_alone_gives_for_its_key_and_its_settings(name):
    model, changes, settings = MODELS[name]
    options = dataclasses.replace(OPTIONS, **changes)
    keys = KEYS[:2] if settings else KEYS
    together = jaxrec.fit_many(model, SPLIT, options, keys=keys, **settings)
    for at, (member, key) in enumerate(zip(together, keys, strict=True)):
        own = dataclasses.replace(options, **{option: values[at] for option, values in settings.items()})
        assert_same(member, jaxrec.fit(model, SPLIT, own, key=key))
        assert member.info["together"] == len(keys)
        json.dumps(member.info, allow_nan=False)
    if name == "mf":  # so that the refits have different lengths
        assert len({member.info["best_epoch"] for member in together}) > 1
    if name == "svdpp":  # stopped by the tolerance, before the end
        assert max(len(member.info["records"]) for member in together) < 30


def test_one_key_array_is_a_list_of_keys_and_interactions_are_trained_on_as_they_are():
    options = dataclasses.replace(OPTIONS, epochs=2)
    keys = jax.random.split(jax.random.key(7), 3)
    for member, key in zip(jaxrec.fit_many(MF(dim=4), SPLIT.fitted, options, keys=keys), keys, strict=True):
        assert_same(member, jaxrec.fit(MF(dim=4), SPLIT.fitted, options, key=key))


def compiled(caplog):
    """The programs that were compiled since the last time that this was asked."""
    messages = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return [message.split()[1] for message in messages if message.startswith("Compiling")]


def test_all_members_are_compiled_once_and_nothing_between_epochs_or_for_other_numbers(caplog):
    model = LightGCN(dim=5, layers=1)  # a width that no other test here has compiled
    short = dataclasses.replace(OPTIONS, **{**SHORT, "epochs": 2})
    longer = dataclasses.replace(short, epochs=5)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        jaxrec.fit_many(model, SPLIT, short, keys=KEYS, optimizer=[Adam(rate) for rate in (0.01, 0.02, 0.03)])
        names = compiled(caplog)
        assert [names.count(f"jit({name})") for name in ("run_epoch_of_many", "member_of", "model_scorer")] == [
            1,
            1,
            1,
        ]
        # More epochs, each validated, of other seeds and rates: were an epoch compiled anew, it would be seen here.
        others = [Adam(rate) for rate in (0.3, 0.2, 0.1)]
        jaxrec.fit_many(model, SPLIT, longer, keys=[jax.random.key(9)] * 3, optimizer=others)
        assert compiled(caplog) == []


def test_fit_compiles_its_epoch_once_and_nothing_between_epochs_or_for_another_seed(caplog):
    model = MF(dim=6)  # a width that no other test here has compiled
    short = dataclasses.replace(OPTIONS, **{**SHORT, "epochs": 2})
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        jaxrec.fit(model, SPLIT, short, key=KEYS[0])
        assert compiled(caplog).count("jit(run_epoch)") == 1
        jaxrec.fit(model, SPLIT, dataclasses.replace(short, epochs=5), key=KEYS[1])
        assert compiled(caplog) == []


def test_models_without_training_are_solved_for_each_key():
    for member, key in zip(jaxrec.fit_many(Random(), SPLIT, keys=KEYS), KEYS, strict=True):
        alone = jaxrec.fit(Random(), SPLIT, key=key)
        assert np.array_equal(member.scorer.key_data, alone.scorer.key_data)
        assert member.info["valid"] == alone.info["valid"]


def test_the_log_has_a_line_for_each_epoch_and_member(tmp_path):
    path = tmp_path / "log"
    options = dataclasses.replace(OPTIONS, epochs=2, validation=None)
    for _ in range(2):  # the second replaces the first
        together = jaxrec.fit_many(MF(dim=4), SPLIT, options, keys=KEYS, log=path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["epoch"], line["member"]) for line in lines] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert [line["loss"] for line in lines[1::3]] == [record["loss"] for record in together[1].info["records"]]


def test_a_member_whose_loss_is_not_finite_is_named():
    # Squares of 1e30 leave the range of float32 at the first step that moves.
    options = dataclasses.replace(OPTIONS, loss=SquaredError(), regularizer=None)
    with pytest.raises(NonFiniteLossError, match=r"loss of member 1 is not finite in epoch 1 .*lower the"):
        jaxrec.fit_many(MF(dim=4), SPLIT, options, keys=KEYS[:2], optimizer=[SGD(0.01), SGD(1e30)])


def test_the_lists_of_numbers_of_0_1_still_work_and_warn():
    options = dataclasses.replace(OPTIONS, loss=BPR(), **SHORT)
    with pytest.warns(DeprecationWarning, match="l2 is a name of 0.1.*pass regularizer="):
        old = jaxrec.fit_many(MF(dim=4), SPLIT, options, keys=KEYS[:2], l2=[0.0, 0.1])
    assert [each.options.regularizer for each in old] == [SquaredL2(0.0), SquaredL2(0.1)]
    with pytest.raises(JaxrecError, match="BPR has no temperature"):
        jaxrec.fit_many(MF(dim=4), SPLIT, options, keys=KEYS, temperature=[0.1] * 3)


WEIGHTS = [SquaredL2(0.1)] * 3
BAD_CALLS = {
    "no key": ({"keys": []}, "keys is .*; pass one key for each member"),
    "a seed": ({"keys": 3}, "keys is 3; pass one key for each member"),
    "seeds": ({"keys": [0, 1, 2]}, "key must be one key of jax.random, got 0"),
    "one key": ({"keys": KEYS[0]}, r"keys has shape \(\), expected one key for each member"),
    "lengths": ({"regularizer": WEIGHTS[:1]}, "regularizer has 1 values and there are 3 keys; give one for each key"),
    "solved": ({"model": EASE(), "options": None, "regularizer": WEIGHTS}, "regularizer: EASE is solved, not trained"),
    "words": ({"loss": [BPR(), Logistic(), BPR()]}, "must differ in numbers only"),
    "structure": ({"optimizer": [Adam(0.1), Adam(0.1, decay=0.5), Adam(0.1)]}, "must differ in numbers only"),
    "data": ({"data": [1, 2]}, "data must be a Split or Interactions, got list"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls_raise(name):
    arguments, message = BAD_CALLS[name]
    call = {"model": MF(dim=4), "data": SPLIT, "options": OPTIONS, "keys": KEYS} | arguments
    with pytest.raises(JaxrecError, match=message):
        jaxrec.fit_many(call.pop("model"), call.pop("data"), call.pop("options"), **call)
