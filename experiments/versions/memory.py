"""Print the bytes of some steps of Gowalla, as the programs of one version state them: one line a width and order.

It is started with the version's folder first on PYTHONPATH. The program is that of `experiments.mesh order`: LightGCN,
20 steps with 64 columns, 5 with 256, shuffling and negatives included. A version with orders of nodes prints both.
"""

from __future__ import annotations

import dataclasses
import functools
import warnings

import jax
import optax

import jaxrec
from jaxrec.losses import BPR, SquaredL2
from jaxrec.sampling import Uniform
from jaxrec.training import DenseStep, Objective, OptaxOptimizer, init_state, train_data, train_epoch

BATCH, LAYERS, RATE, L2 = 2048, 3, 1e-3, 1e-4
STEPS = {64: 20, 256: 5}


def program(part, data, dim, steps):
    """The compiled steps in the order of the data, by functions that all versions have."""
    model = jaxrec.LightGCN(dim=dim, layers=LAYERS, num_users=part.num_users, num_items=part.num_items)
    params = model.lazy_init(jax.random.key(0), jax.eval_shape(lambda: data.adjacency))["params"]
    cut = dataclasses.replace(data, user=data.user[: steps * BATCH], item=data.item[: steps * BATCH], rating=None)
    step = DenseStep(Objective(model, BPR(), SquaredL2(L2)), OptaxOptimizer(optax.adam(RATE)))
    state = init_state(params, step, jax.random.key(1))
    once = functools.partial(train_epoch, step=step, negatives=Uniform(1), batch_size=BATCH)
    return jax.jit(once, donate_argnums=0).lower(state, data=cut).compile()


def clustered_program(part, data, dim, steps):
    """The same steps by clusters; None where the version has no orders of nodes."""
    try:
        from experiments.mesh.order import block, clustered
        from jaxrec.parallel import Layout, placement_for
    except ImportError:
        return None
    return block(part, data, dim, steps, placement_for(data.adjacency, part.num_users, Layout(), clustered(part)))[1]


def main():
    """Print the bytes of both widths."""
    warnings.simplefilter("ignore")
    part = jaxrec.split(jaxrec.load("gowalla"), "predefined").train
    data = train_data(part)
    for dim, steps in STEPS.items():
        programs = {"data": program(part, data, dim, steps), "clusters": clustered_program(part, data, dim, steps)}
        for order, made in programs.items():
            if made is None:
                continue
            told = made.memory_analysis()
            both = told.argument_size_in_bytes + told.temp_size_in_bytes
            print(
                f"{dim} columns, order of {order}: arguments {told.argument_size_in_bytes / 1e6:.2f} MB, "
                f"temporaries {told.temp_size_in_bytes / 1e6:.2f} MB, together {both / 1e6:.2f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
