"""Training of many networks, one per seed, in one jitted program; nothing here reads files."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.planetoid.config import Settings
from jaxrec import graph, losses, sparse
from jaxrec.data.datasets import CompressedRows, Planetoid, row_normalized
from jaxrec.errors import MismatchError, NonFiniteLossError
from jaxrec.models import GCNClassifier, transposed_order
from jaxrec.training import TrainState, init_state, train_step


class Nodes(NamedTuple):
    """A graph of N nodes on the device: an argument of the program, never a constant in it.

    Attributes:
      features: X [N, F], every row divided by its sum.
      order: int32 [E], `transposed_order(features)`.
      adjacency: A^ [N, N].
      labels: int32 [N].
      train: int32 [n], the training nodes.
      valid: two halves of the validation nodes, every other one, each int32 [n].
      test: int32 [n].
    """

    features: sparse.SparseOperator
    order: jax.Array
    adjacency: sparse.SparseOperator
    labels: jax.Array
    train: jax.Array
    valid: tuple[jax.Array, jax.Array]
    test: jax.Array


class Curves(NamedTuple):
    """Measurements after every epoch, without dropout; constant after a seed has stopped.

    Attributes:
      valid_loss: [S, T, 2], of S seeds in T epochs on both halves of the validation nodes, without the L2 term.
      valid_accuracy: [S, T, 2], shares.
      test_accuracy: [S, T].
      epochs: [S], number of trained epochs.
    """

    valid_loss: Any
    valid_accuracy: Any
    test_accuracy: Any
    epochs: Any


def put_on_device(data: Planetoid) -> Nodes:
    """Prepare a graph for training: row-normalized features and the adjacency with the renormalization trick.

    Raises:
      MismatchError: labels outside the classes in one of the parts, or fewer than two validation nodes.
    """
    if len(data.valid) < 2:
        raise MismatchError(f"{data.name} has {len(data.valid)} validation nodes, and at least 2 are needed")
    for part in ("train", "valid", "test"):
        labels = data.labels[getattr(data, part)]
        if labels.size and not (labels.min() >= 0 and labels.max() < data.num_classes):
            raise MismatchError(
                f"the {part} part of {data.name} has labels in {labels.min()}..{labels.max()}, outside the classes "
                f"0..{data.num_classes - 1}"
            )
    n, ones = data.num_nodes, np.ones(len(data.edges), np.float32)
    edges = sparse.from_entries(ones, data.edges[:, 0], data.edges[:, 1], (n, n))
    features = _operator(row_normalized(data.features))
    return Nodes(
        features,
        transposed_order(features),
        sparse.operator(graph.renormalized_adjacency(edges), symmetric=True),
        jnp.asarray(data.labels),
        jnp.asarray(data.train),
        (jnp.asarray(data.valid[0::2]), jnp.asarray(data.valid[1::2])),
        jnp.asarray(data.test),
    )


def program(settings: Settings) -> tuple[Any, ...]:
    """Return the settings that are compiled in; equal ones share a program."""
    return settings.hidden, settings.dropout, settings.epochs, settings.window


def compile_training(
    nodes: Nodes, num_classes: int, settings: Settings, seeds: range, chunk: int = 10
) -> Callable[[Settings], Curves]:
    """Compile the training of a network for every seed.

    Args:
      nodes: the graph.
      num_classes: C.
      settings: training settings; only those of `program` matter.
      seeds: each gives a key, for the start and for dropout.
      chunk: number of seeds trained together under `vmap`; the chunks follow each other in the same program, which
        limits the memory.

    Returns:
      A function of settings with the same `program`, which trains all seeds and returns NumPy arrays. It raises
      NonFiniteLossError if a loss is not finite.
    """
    keys = jax.vmap(jax.random.key)(jnp.arange(seeds.start, seeds.stop, dtype=jnp.uint32))
    model = GCNClassifier(hidden=settings.hidden, classes=num_classes, dropout=settings.dropout)
    train = functools.partial(
        _train, model=model, epochs=settings.epochs, window=settings.window, chunk=min(chunk, len(seeds))
    )
    number = jnp.zeros(())
    compiled = jax.jit(train).lower(keys, nodes, number, number).compile()

    def run(chosen: Settings) -> Curves:
        if program(chosen) != program(settings):
            raise MismatchError(f"the program was compiled for {settings} and cannot train {chosen}; compile it anew")
        curves = jax.tree.map(
            np.asarray, compiled(keys, nodes, jnp.float32(chosen.l2), jnp.float32(chosen.learning_rate))
        )
        if not np.isfinite(curves.valid_loss).all():
            seed = seeds[int(np.argmin(np.isfinite(curves.valid_loss).all(axis=(1, 2))))]
            raise NonFiniteLossError(f"the validation loss of seed {seed} is not finite; use a smaller learning_rate")
        return curves

    return run


def selected(curves: Curves, settings: Settings, halves: slice = slice(None)) -> np.ndarray:
    """Select the reported epoch of each seed, from 0, by the validation nodes or one half of them.

    Args:
      curves: curves of S seeds.
      settings: with the `selection`.
      halves: the halves that count, both by default. The test nodes never count.

    Returns:
      int [S].
    """
    if settings.selection == "loss":
        return curves.valid_loss[..., halves].mean(axis=2).argmin(axis=1)
    if settings.selection == "accuracy":
        return curves.valid_accuracy[..., halves].mean(axis=2).argmax(axis=1)
    return curves.epochs - 1


def cross_fitted_accuracy(curves: Curves, settings: Settings) -> np.ndarray:
    """Compute the validation accuracy of each seed, [S], with the epoch selected on one half and measured on the other.

    Selection and measurement on the same nodes would be optimistic, the more so the freer the selection.
    """
    halves = [
        at(curves.valid_accuracy[..., 1 - half], selected(curves, settings, slice(half, half + 1))) for half in (0, 1)
    ]
    return np.mean(halves, axis=0)


def at(values: np.ndarray, epochs: np.ndarray) -> np.ndarray:
    """Take the value of each seed at its epoch: [S] of [S, T]."""
    return np.take_along_axis(values, epochs[:, None], axis=1)[:, 0]


def _train(
    keys: jax.Array,
    nodes: Nodes,
    l2: jax.Array,
    learning_rate: jax.Array,
    *,
    model: GCNClassifier,
    epochs: int,
    window: int,
    chunk: int,
) -> Curves:
    optimizer = optax.adam(learning_rate)

    def predict(params: Any) -> jax.Array:
        return model.apply({"params": params}, nodes.features, nodes.adjacency)  # pyright: ignore[reportReturnType]

    def penalty(params: Any) -> jax.Array:
        return l2 * 0.5 * jnp.sum(jnp.square(params["w0"]))

    def loss(params: Any, nodes: Nodes, batch: None, key: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        del batch  # every step takes the whole graph
        log_probabilities: Any = model.apply(
            {"params": params},
            nodes.features,
            nodes.adjacency,
            deterministic=False,
            order=nodes.order,
            rngs={"dropout": key},
        )
        return losses.nll(log_probabilities[nodes.train], nodes.labels[nodes.train]) + penalty(params), {}

    def accuracy(log_probabilities: jax.Array, part: jax.Array) -> jax.Array:
        return jnp.mean(jnp.argmax(log_probabilities[part], axis=1) == nodes.labels[part], dtype=jnp.float32)

    def epoch(carry: tuple[TrainState, jax.Array, jax.Array], number: jax.Array) -> tuple[Any, Any]:
        state, going, recent = carry
        moved, _ = train_step(state, None, nodes, loss_fn=loss, optimizer=optimizer)
        # A seed that has stopped is still computed, beside the others of its chunk; it only keeps its state.
        state = jax.tree.map(lambda new, old: jax.lax.select(going, new, old), moved, state) if window else moved
        log_probabilities = predict(state.params)
        valid_loss = jnp.stack([losses.nll(log_probabilities[half], nodes.labels[half]) for half in nodes.valid])
        valid_accuracy = jnp.stack([accuracy(log_probabilities, half) for half in nodes.valid])
        measured = valid_loss, valid_accuracy, accuracy(log_probabilities, nodes.test), going
        if window:
            sizes = [half.shape[0] for half in nodes.valid]
            watched = jnp.sum(valid_loss * jnp.array(sizes, jnp.float32)) / sum(sizes) + penalty(state.params)
            stop = (number > window) & (watched > jnp.mean(recent))
            going, recent = going & ~stop, jnp.concatenate([recent[1:], watched[None]])
        return (state, going, recent), measured

    def one(key: jax.Array) -> Curves:
        init_key, train_key = jax.random.split(key)
        params = model.init(init_key, nodes.features, nodes.adjacency)["params"]
        start = init_state(params, optimizer, train_key), jnp.array(True), jnp.zeros(window)
        _, (loss, valid, test, going) = jax.lax.scan(epoch, start, jnp.arange(epochs, dtype=jnp.int32))
        return Curves(loss, valid, test, jnp.sum(going, dtype=jnp.int32))

    return jax.lax.map(one, keys, batch_size=chunk)


def _operator(matrix: CompressedRows) -> sparse.SparseOperator:
    return sparse.operator(sparse.from_entries(matrix.data, matrix.rows, matrix.columns, matrix.shape))
