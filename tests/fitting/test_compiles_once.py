"""A second fit with other numbers compiles nothing; an Optax object is compiled once."""

import dataclasses

import jax
import optax
import pytest

import jaxrec
from jaxrec.losses import InBatchSoftmax, SampledSoftmax, SquaredL2
from jaxrec.testing import checkerboard, compiled
from jaxrec.training import SGD, Adagrad, Adam

DATA = checkerboard()
OPTIMIZERS = [
    *(kind(0.05, sparse=sparse) for kind in (Adam, SGD, Adagrad) for sparse in (False, True)),
    SGD(0.05, momentum=0.9),
    Adam(0.05, decay=0.9),
]


def fit(model=None, data=DATA, **how):
    model = jaxrec.MF(dim=4) if model is None else model
    return jaxrec.fit(model, data, epochs=2, batch_size=32, key=jax.random.key(0), **how)


def programs(**how):
    with compiled() as found:
        fit(**how)
    return found


def named(optimizer):
    return f"{type(optimizer).__name__}-{'sparse' if optimizer.sparse else 'dense'}"


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=named)
def test_another_learning_rate_l2_or_temperature_compiles_nothing(optimizer):
    loss, regularizer = SampledSoftmax(temperature=0.2), SquaredL2(0.01)
    given = {"loss": loss, "negatives": 2, "regularizer": regularizer, "optimizer": optimizer}
    first = fit(**given)
    rates = {"learning_rate": 0.02}
    rates |= {name: 0.8 for name in ("momentum", "decay") if getattr(optimizer, name, None) is not None}
    others = {
        "optimizer": dataclasses.replace(optimizer, **rates),
        "regularizer": SquaredL2(0.02),
        "loss": SampledSoftmax(temperature=0.3),
    }
    with compiled() as found:
        for name, other in others.items():
            again = fit(**{**given, name: other})
            # The number has an effect, so it is no constant of the program.
            assert again.info["records"][-1]["loss"] != first.info["records"][-1]["loss"]
    assert found == []


def test_another_adjustment_of_the_scorer_compiles_nothing():
    loss = InBatchSoftmax(temperature=0.2, logit_adjustment=0.7)
    fit(jaxrec.LightGCN(dim=4, layers=1), loss=loss)
    other = dataclasses.replace(loss, temperature=0.3, logit_adjustment=0.8)
    assert programs(model=jaxrec.LightGCN(dim=4, layers=1), loss=other) == []


def test_validated_fits_compile_nothing_anew():
    split = jaxrec.split(jaxrec.from_arrays(DATA.user, DATA.item), "user_random", test=0.2, key=jax.random.key(0))
    fit(data=split)
    assert programs(data=split, optimizer=Adam(0.1), regularizer=0.5) == []


def test_another_word_or_size_is_noticed():
    fit(loss=SampledSoftmax(temperature=0.2), negatives=2)
    assert any("epoch" in name for name in programs(loss=SampledSoftmax(temperature=0.2), negatives=3))
    assert any("epoch" in name for name in programs(loss=SampledSoftmax(0.2, similarity="dot"), negatives=2))


def test_an_optax_object_is_compiled_once_each():
    one, other = optax.adamw(1e-2), optax.adamw(2e-2)
    for each in (one, other):
        epochs = [name for name in programs(optimizer=each) if "epoch" in name]
        assert len(epochs) == 1
        assert programs(optimizer=each) == []


def test_several_members_with_other_numbers_compile_nothing_anew():
    keys = list(jax.random.split(jax.random.key(0)))
    how = {"keys": keys, "epochs": 2, "batch_size": 32}

    def several(*temperatures):
        losses = [InBatchSoftmax(temperature=value) for value in temperatures]
        return jaxrec.fit_many(jaxrec.MF(dim=4), DATA, loss=losses, **how)

    several(0.1, 0.2)
    with compiled() as found:
        several(0.3, 0.4)
    assert found == []
