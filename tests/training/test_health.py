"""A training in which nothing moves is an error, and so is an optimizer that overflows; batches fit the data."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrec
from jaxrec.errors import JaxrecError, NonFiniteLossError
from jaxrec.losses import BPR, InBatchSoftmax
from jaxrec.training import Adam, init_state
from jaxrec.training._health import health

KEY = jax.random.key(0)
DATA = jaxrec.from_arrays([0, 0, 1, 1], [0, 1, 1, 2])


def state(params, chain=None):
    return init_state({"w": jnp.asarray(params, jnp.float32)}, chain or optax.adam(0.1), KEY)


def test_health_sees_what_moved_and_what_overflowed():
    before, after = state([1.0, 2.0]), state([1.0, 2.5])
    assert [bool(answer) for answer in health(before, before)] == [False, True]
    assert [bool(answer) for answer in health(before, after)] == [True, True]
    overflown = jax.tree.map(lambda leaf: leaf * jnp.inf + jnp.inf if leaf.ndim else leaf, after.opt_state)
    after = type(after)(after.params, overflown, after.key, after.step)
    assert [bool(answer) for answer in health(before, after)] == [True, False]
    # What was infinite from the start, as a best value so far is, is no fault.
    assert [bool(answer) for answer in health(after, after)] == [False, True]
    stacked = [jax.tree.map(lambda *leaves: jnp.stack(leaves), *pair) for pair in ((before, before), (before, after))]
    moved, sound = health(*stacked, several=True)
    assert (moved.tolist(), sound.tolist()) == ([False, True], [True, False])


@pytest.mark.parametrize("optimizer", [optax.sgd(0.0), Adam(1e-30)])
def test_a_training_in_which_nothing_moves_is_an_error(optimizer):
    with pytest.raises(JaxrecError, match="no parameter moved in 2 epochs, so nothing was learned: raise the learning"):
        jaxrec.fit(jaxrec.MF(dim=2), DATA, optimizer=optimizer, epochs=2, key=KEY)


def test_users_who_have_every_item_teach_nothing():
    whole = jaxrec.from_arrays([0, 0, 1, 1], [0, 1, 0, 1])
    with pytest.raises(JaxrecError, match="4 interactions an epoch are of users who have every item"):
        jaxrec.fit(jaxrec.MF(dim=2), whole, loss=BPR(), epochs=1, key=KEY)


def test_a_pause_within_a_training_is_none():
    # Gradients of 3 epochs of one step each are gathered before the first move.
    fitted = jaxrec.fit(jaxrec.MF(dim=2), DATA, optimizer=optax.MultiSteps(optax.sgd(0.1), 3), epochs=4, key=KEY)
    assert len(fitted.info["records"]) == 4


def test_an_optimizer_that_overflows_is_an_error_though_the_loss_is_finite():
    # The squares of gradients of 1e25 do not fit float32; the parameters then stand still and the loss stays finite.
    loud = optax.chain(optax.scale(1e25), optax.adam(1e-3))
    with pytest.raises(NonFiniteLossError, match="the optimizer's state is not finite in epoch 1") as told:
        jaxrec.fit(jaxrec.MF(dim=2), DATA, optimizer=loud, epochs=2, key=KEY)
    assert np.isfinite(told.value.state.params["user_embedding"]).all()
    with pytest.raises(NonFiniteLossError, match="the optimizer's state of member 0 is not finite in epoch 1"):
        jaxrec.fit_many(jaxrec.MF(dim=2), DATA, optimizer=loud, epochs=2, keys=[KEY, KEY])


def test_a_batch_is_no_larger_than_the_data_fill():
    assert BPR().batch_for(2**31 - 1, 4) == 1024
    assert BPR().batch_for(2**31 - 1, 1025) == 2048
    assert BPR().batch_for(512, 4) == 512
    assert BPR().batch_for(4096, 10**6) == 4096
    assert InBatchSoftmax(chunks=4).batch_for(4096, 4) == 4096  # the chunks are what their negatives come from
    fitted = jaxrec.fit(jaxrec.MF(dim=2), DATA, batch_size=2**31 - 1, epochs=1, key=KEY)  # not 16 GiB of places
    assert fitted.options.batch_size == 2**31 - 1
