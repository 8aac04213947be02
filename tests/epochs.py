"""An epoch as a function of (state, data), for any loss function, optimizer and number of negatives."""

import jax

from jaxrec.pytrees import structure_of
from jaxrec.sampling import Uniform
from jaxrec.training import DenseStep, Objective, as_optimizer
from jaxrec.training._epoch import run_epoch


def make_epoch(loss_fn, optimizer, batch_size, negatives, steps=1):
    """Jitted; the state is donated. `loss_fn` is an objective, or a plain function (params, data, batch, key)."""
    if not isinstance(loss_fn, Objective):
        loss_fn = jax.tree_util.Partial(loss_fn)
    return epoch_of(DenseStep(loss_fn, as_optimizer(optimizer), steps), batch_size, negatives)


def epoch_of(step, batch_size, negatives):
    sampler = Uniform(negatives) if negatives else None
    structure = structure_of((step, sampler))
    return lambda state, data: run_epoch(state, step, sampler, data, batch_size=batch_size, structure=structure)
