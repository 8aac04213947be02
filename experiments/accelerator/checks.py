"""What must be the same on an accelerator as on the CPU: each check is a function that runs where it is told."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrec
from jaxrec.factorization import implicit_als, implicit_als_objective
from jaxrec.losses import BPR, InBatchSoftmax, SquaredL2
from jaxrec.protocols import Loss
from jaxrec.ranking import recommend_lists
from jaxrec.sampling import Uniform
from jaxrec.scorers import FactorScorer
from jaxrec.sparse import operator, spmm, spmm_rows
from jaxrec.spectral import truncated_svd
from jaxrec.training import Adam, Objective, TrainData, TrainState, init_state, step_for, train_data, train_epoch


@dataclasses.dataclass(frozen=True)
class Check:
    """Numbers that two devices must agree on.

    Attributes:
      name: of the check.
      run: data to a list of arrays, on whatever device is the default one.
      tolerance: the largest difference, as a share of the largest number of the array; 0 for the same bits.
    """

    name: str
    run: Callable[[jaxrec.Interactions], list[np.ndarray]]
    tolerance: float

    def difference(self, data: jaxrec.Interactions, device: Any, reference: Any) -> float:
        """The largest difference between the two devices, relative as `tolerance` is."""
        found = []
        for one in (device, reference):
            with jax.default_device(one):
                found.append(self.run(data))
        return largest_difference(*found)


def largest_difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest difference of two lists of arrays, each as a share of the largest number; NaN is infinitely far.

    >>> largest_difference([np.array([1.0, 2.0])], [np.array([1.0, 1.0])])
    1.0
    """
    worst = 0.0
    for one, other in zip(ours, theirs, strict=True):
        scale = max(float(np.abs(other).max(initial=0)), 1e-30)
        apart = np.abs(one.astype(np.float64) - other).max(initial=0) / scale
        worst = max(worst, float(apart) if np.isfinite(apart) else np.inf)
    return worst


def table(data: jaxrec.Interactions, dim: int = 64) -> jax.Array:
    """A table [N, dim], the same on every platform."""
    numbers = np.random.default_rng(0).normal(size=(data.num_users + data.num_items, dim))
    return jnp.asarray(numbers.astype(np.float32))


def product(data: jaxrec.Interactions, moved: Any = "float32") -> list[np.ndarray]:
    """A product with the adjacency, its gradient, and some of its rows."""
    adjacency, x = train_data(data).adjacency, table(data)
    rows = jnp.arange(0, x.shape[0], 7, dtype=jnp.int32)

    @jax.jit
    def all_of(adjacency: Any, x: jax.Array) -> tuple[jax.Array, ...]:
        y, pullback = jax.vjp(lambda x: spmm(adjacency, x, moved=moved), x)
        return y, pullback(x)[0], spmm_rows(adjacency, x, rows, moved=moved)

    return [np.asarray(one) for one in all_of(adjacency, x)]


@functools.partial(jax.jit, static_argnames=("batch_size",))
def epoch(
    state: TrainState, step: Any, negatives: Any, data: TrainData, *, batch_size: int
) -> tuple[TrainState, dict[str, jax.Array]]:
    """An epoch."""
    return train_epoch(state, step, negatives, data, batch_size=batch_size)


def begun(model: Any, loss: Loss, data: jaxrec.Interactions, **options: Any) -> tuple[Any, ...]:
    """State, step, sampler and data of a training before its first epoch."""
    sized = model.clone(num_users=data.num_users, num_items=data.num_items)
    tables = train_data(data)
    params = sized.init(jax.random.key(0), tables.adjacency)["params"]
    step = step_for(Objective(sized, loss, SquaredL2(1e-4)), Adam(5e-3, **options))
    return init_state(params, step, jax.random.key(1)), step, loss.default_negatives(), tables


def training(data: jaxrec.Interactions, model: Any, loss: Loss) -> list[np.ndarray]:
    """The loss of an epoch of five steps; the parameters show in the loss, and Adam magnifies a gradient near 0."""
    some = data.select(np.arange(0, len(data), max(1, len(data) // 5000))[:5000])
    state, info = epoch(*begun(model, loss, some), batch_size=1024)
    return [np.asarray(info["loss"]), np.asarray(state.step)]


def drawn(data: jaxrec.Interactions) -> list[np.ndarray]:
    """Negatives, drawn by whole numbers: the same bits everywhere."""
    tables = train_data(data)
    some = np.arange(0, len(data), max(1, len(data) // 4096))
    given = (tables, tables.user[some], tables.item[some], jax.random.key(3))
    return [np.asarray(one) for one in jax.jit(lambda *given: Uniform(4)(*given))(*given)]


def ranking(data: jaxrec.Interactions) -> list[np.ndarray]:
    """The scores of the lists of 256 users: items may change places where scores are as good as equal."""
    x = table(data)
    scorer = FactorScorer(x[: data.num_users], x[data.num_users :], dim=x.shape[1])
    users = np.arange(min(256, data.num_users))
    _, scores = recommend_lists(scorer, users, min(20, data.num_items), seen=train_data(data).seen)
    return [scores]


def als(data: jaxrec.Interactions) -> list[np.ndarray]:
    """The objective after an iteration of implicit ALS, with Cholesky factors and an eigendecomposition."""
    x = operator(jaxrec.graph.biadjacency(data))
    found = implicit_als(x, 16, jax.random.key(4), iterations=1)
    return [np.asarray(implicit_als_objective(x, found.users, found.items))]


def singular_values(data: jaxrec.Interactions) -> list[np.ndarray]:
    """The leading singular values."""
    x = operator(jaxrec.graph.normalized_biadjacency(jaxrec.graph.biadjacency(data)))
    return [np.asarray(truncated_svd(x, 8, jax.random.key(5))[1])]


LIGHTGCN, MF = jaxrec.LightGCN(dim=64, layers=2), jaxrec.MF(dim=64)
CHECKS = (
    Check("product", product, 1e-5),
    Check("product in bfloat16", functools.partial(product, moved="bfloat16"), 1e-5),
    Check("negatives", drawn, 0.0),
    Check("LightGCN by BPR", functools.partial(training, model=LIGHTGCN, loss=BPR()), 1e-4),
    Check("LightGCN by in-batch softmax", functools.partial(training, model=LIGHTGCN, loss=InBatchSoftmax(0.2)), 2e-3),
    Check("MF by BPR", functools.partial(training, model=MF, loss=BPR()), 1e-4),
    Check("ranking", ranking, 1e-5),
    Check("iALS", als, 1e-3),
    Check("singular values", singular_values, 1e-3),
)
"""In-batch softmax multiplies matrices at JAX's default precision, which on accelerators is below float32's."""
