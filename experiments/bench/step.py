"""One BPR step of 3-layer LightGCN: jaxrec by epochs and by steps, beside PyTorch and PyTorch Geometric."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxrec
from experiments.bench import step_torch
from experiments.bench.config import UNIT_STEP, Options
from experiments.bench.data import ranking_split
from experiments.bench.peers import find
from experiments.bench.timing import Row, by_turns, missing
from jaxrec.losses import BPR, SquaredL2
from jaxrec.sampling import Uniform, shuffled_batches
from jaxrec.training import (
    Batch,
    DenseStep,
    Objective,
    OptaxOptimizer,
    TrainData,
    init_state,
    make_batch,
    make_step,
    train_data,
    train_epoch,
)

LAYERS = 3
BATCH = 2048
RATE = 1e-3
L2 = 1e-4
CLUSTERS = 64


class Problem(NamedTuple):
    """The common problem of all contenders.

    Attributes:
      data: the interactions on the device.
      model: the model with its sizes.
      params: the start.
      batches: the batches of every contender, in this order, repeated.
      steps: steps per epoch.
    """

    data: TrainData
    model: jaxrec.LightGCN
    params: Any
    batches: tuple[Batch, ...]
    steps: int


def run(options: Options) -> list[Row]:
    """Measure all contenders, for each width."""
    train = ranking_split(options).train
    size = 256 if options.quick else BATCH
    rows = []
    for dim in options.dims:
        given = problem(train, dim, size, options.peer_steps * (options.repeats + 1), options.seed)
        near = problem(by_clusters(train, options.seed), dim, size, 1, options.seed)
        rows += measure(given, near, options, f"{'generated' if options.quick else 'Gowalla'}, d {dim}, batch {size}")
    return rows


def problem(train: jaxrec.Interactions, dim: int, batch_size: int, count: int, seed: int) -> Problem:
    """Draw the common start and batches: shuffled pairs with one uniform negative each, as in an epoch.

    Args:
      train: E interactions.
      dim: d.
      batch_size: B, at most E.
      count: maximum number of batches; all of them are full.
      seed: seed of start, order and negatives.
    """
    data = train_data(train)
    model = jaxrec.LightGCN(dim=dim, layers=LAYERS, num_users=train.num_users, num_items=train.num_items)
    start, order, negatives = jax.random.split(jax.random.key(seed), 3)
    params = model.lazy_init(start, jax.eval_shape(lambda: data.adjacency))["params"]
    index, where = shuffled_batches(len(train), batch_size, order)
    full = min(count, max(len(train) // batch_size, 1))
    draw = jax.jit(lambda at, key: make_batch(data, index[at], where[at], key, negatives=Uniform(1))[0])
    batches = tuple(draw(jnp.int32(at), key) for at, key in enumerate(jax.random.split(negatives, full)))
    return Problem(data, model, params, batches, index.shape[0])


def by_clusters(train: jaxrec.Interactions, seed: int) -> jaxrec.Interactions:
    """The interactions with users and items numbered by cluster, as `Layout(order="clusters")` trains."""
    matrix = jaxrec.graph.normalized_biadjacency(jaxrec.graph.biadjacency(train))
    found = jaxrec.spectral.coclusters(matrix, min(CLUSTERS, sum(matrix.shape)), jax.random.key(seed))
    user, item = (np.argsort(np.argsort(np.asarray(part), kind="stable"), kind="stable") for part in found)
    return jaxrec.from_arrays(user[train.user], item[train.item])


def measure(given: Problem, near: Problem, options: Options, setting: str) -> list[Row]:
    """Measure all contenders on one problem, and ours on the same one with its nodes in the order of clusters."""
    objective, optimizer = Objective(given.model, BPR(), SquaredL2(L2)), optax.adam(RATE)
    size = given.batches[0].user.shape[0]
    first = losses_of_ours(given._replace(batches=given.batches[:1]), L2)[0]
    works: dict[str, Callable[[], Any]] = {}
    length = min(options.epoch_steps or given.steps, given.steps)
    in_one_program = "jaxrec, epoch" if length == given.steps else "jaxrec, part of an epoch"
    works[in_one_program] = _epochs(given, objective, optimizer, size, options.seed, length)
    works[f"{in_one_program}, clusters"] = _epochs(near, objective, optimizer, size, options.seed, length)
    works["jaxrec, steps"] = _steps(given, objective, optimizer, options.peer_steps, options.seed)
    steps = {in_one_program: length, f"{in_one_program}, clusters": length, "jaxrec, steps": options.peer_steps}
    losses: dict[str, float] = {}
    rows = []
    torch = find("torch")
    arrays = numpy_problem(given)
    for peer in options.step_peers:
        contender = step_torch.CONTENDERS[peer]
        name = contender.name
        if torch is None or (contender.package and find(contender.package) is None):
            rows.append(missing("step", setting, name, UNIT_STEP, contender.package or "torch"))
            continue
        torch.set_num_threads(options.threads)
        try:
            step = contender.make(arrays, LAYERS, RATE, L2)
            losses[name] = step(0)
        except (RuntimeError, NotImplementedError, ImportError) as error:
            rows.append(Row("step", setting, name, UNIT_STEP, note=f"does not run here: {_first_line(error)}"))
            continue
        works[name] = _blocks(step, options.peer_steps, len(given.batches))
        steps[name] = options.peer_steps
    found = by_turns(works, options.repeats)
    measured = []
    for name, samples in found.items():
        count = steps[name]
        wall, cpu = tuple(one / count for one in samples.wall), tuple(one / count for one in samples.cpu)
        ours = name.startswith("jaxrec")
        note = "" if ours else f"loss of the first batch {losses[name]:.6f}, ours {first:.6f}"
        if name.startswith(in_one_program):
            note = f"with shuffling and negatives; {count} steps in one program took {np.median(samples.wall):.3g} s"
        # The single step is compiled already when its first loss is compared.
        compiled = max(samples.first - float(np.median(samples.wall)), 0.0) if name == in_one_program else None
        extra = {"block_seconds": list(samples.wall), "steps_in_block": count, "first_loss": losses.get(name, first)}
        measured.append(Row("step", setting, name, UNIT_STEP, wall, cpu, compiled, note, extra))
    return measured + rows


def losses_of_ours(given: Problem, l2: float) -> list[float]:
    """Return the losses of jaxrec's steps through the batches of a problem."""
    optimizer = optax.adam(RATE)
    step = make_step(Objective(given.model, BPR(), SquaredL2(l2)), optimizer)
    state = init_state(given.params, optimizer, jax.random.key(0))
    losses = []
    for batch in given.batches:
        state, info = step(state, batch, given.data)
        losses.append(info["loss"].item())
    return losses


def numpy_problem(given: Problem) -> step_torch.Arrays:
    """Convert a problem to NumPy arrays."""
    adjacency = given.data.adjacency
    batches = tuple(
        (np.asarray(batch.user), np.asarray(batch.item), np.asarray(batch.negatives[:, 0])) for batch in given.batches
    )
    return step_torch.Arrays(
        data=np.asarray(adjacency.data),
        rows=np.asarray(adjacency.rows),
        columns=np.asarray(adjacency.columns),
        indptr=np.asarray(adjacency.indptr),
        users=np.asarray(given.params["user_embedding"]),
        items=np.asarray(given.params["item_embedding"]),
        batches=batches,
    )


def _epochs(
    given: Problem, objective: Objective, optimizer: Any, size: int, seed: int, length: int
) -> Callable[[], Any]:
    """Prepare an epoch, or its first `length` steps, with the adjacency of all interactions."""
    once = functools.partial(
        train_epoch, step=DenseStep(objective, OptaxOptimizer(optimizer)), negatives=Uniform(1), batch_size=size
    )
    epoch = jax.jit(once, donate_argnums=0)
    data = given.data
    if length < given.steps:
        data = dataclasses.replace(data, user=data.user[: length * size], item=data.item[: length * size], rating=None)
    held = [init_state(given.params, optimizer, jax.random.key(seed))]  # the epoch donates the state

    def work() -> None:
        held[0], _ = jax.block_until_ready(epoch(held[0], data=data))

    return work


def _steps(given: Problem, objective: Objective, optimizer: Any, count: int, seed: int) -> Callable[[], Any]:
    step = make_step(objective, optimizer)
    held = [init_state(given.params, optimizer, jax.random.key(seed))]
    at = [0]

    def work() -> None:
        for _ in range(count):
            held[0], info = step(held[0], given.batches[at[0] % len(given.batches)], given.data)
            at[0] += 1
            info["loss"].item()  # as the others, which give their loss back after every step

    return work


def _blocks(step: Callable[[int], float], count: int, batches: int) -> Callable[[], Any]:
    at = [1]  # the first batch is behind it

    def work() -> None:
        for _ in range(count):
            step(at[0] % batches)
            at[0] += 1

    return work


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160].replace("|", "/")
