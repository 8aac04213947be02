"""Metrics of the scores of the whole catalog, such as AUC, in tiles of users and within a stated memory."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import os
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax

from jaxrec.data._interactions import check_index
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation._catalog import AUC
from jaxrec.progress import work
from jaxrec.protocols import Metric, UserScores
from jaxrec.pytrees import structure_of
from jaxrec.ranking._checks import allowed_items, check_seen, on_device
from jaxrec.ranking._tiles import mask_seen
from jaxrec.ranking._topk import tile_plan
from jaxrec.types import Scorer

_FEWEST_USERS = 512  # fewer are not worth a worker of their own


def auc_of_users(
    scorer: Scorer,
    users: npt.ArrayLike,
    relevant: SeenItems,
    *,
    seen: SeenItems | None,
    exclude: npt.ArrayLike | None = None,
    candidates: npt.ArrayLike | None = None,
    memory_mb: float = 256,
) -> np.ndarray:
    r"""How often a relevant item of a user scores above another one that could be recommended; ties count one half.

    .. math:: \frac{1}{|P| \, |N|} \sum_{p \in P} \sum_{n \in N}
              \left( [s_p > s_n] + \tfrac{1}{2} [s_p = s_n] \right)

    over the items that count for the user: those that could be in the list (`seen`, `exclude` and `candidates` as in
    `recommend_lists`). P are the relevant ones among them, N the others. A score of -inf, which keeps an item out of
    lists, is the lowest score here.

    The work grows as I times the number of relevant items. The scores of a tile of users are the largest array. On CPU
    several calls run at a time, one for each core of the process, and share the memory.

    Source: see `jaxrec.metrics.auc`.

    Args:
      scorer: as in `recommend_lists`.
      users: n user indices.
      relevant: the relevant items of each of the U users.
      seen: items that do not count for a user; None leaves out nothing.
      exclude: item indices that count for nobody.
      candidates: the only item indices that count; the whole catalog by default.
      memory_mb: bound in MiB of the buffers on the device, as in `recommend_lists`.

    Returns:
      float32 [n], from 0 to 1. NaN, which means leave out, where the user has no relevant item that counts, or no other
      item.

    Raises:
      JaxrecError: a score that counts is NaN; a memory in which two users do not fit; no candidate.
      DataError: a user or item index out of range.
      MismatchError: the scorer is no pytree, or gives another shape or dtype; `seen` or `relevant` is of other users or
        items.

    >>> from jaxrec.scorers import TableScorer
    >>> table = TableScorer(jnp.array([[0.9, 0.5, 0.5, 0.1, 7.0]]))
    >>> relevant = SeenItems(np.array([0, 2], np.int32), np.array([0, 2], np.int32))
    >>> seen = SeenItems(np.array([0, 1], np.int32), np.array([4], np.int32))
    >>> auc_of_users(table, np.array([0]), relevant, seen=seen)  # item 0 beats 1 and 3, item 2 ties and beats
    array([0.875], dtype=float32)
    """
    given = {"seen": seen, "exclude": exclude, "candidates": candidates, "memory_mb": memory_mb}
    return measure_scores([AUC()], scorer, users, relevant, **given)[AUC.name]


def measure_scores(
    metrics: Sequence[Metric],
    scorer: Scorer,
    users: npt.ArrayLike,
    relevant: SeenItems,
    *,
    seen: SeenItems | None,
    exclude: npt.ArrayLike | None = None,
    candidates: npt.ArrayLike | None = None,
    memory_mb: float = 256,
) -> dict[str, np.ndarray]:
    """The values of metrics of scores for each user, float32 [n] by name; see `auc_of_users`.

    Args:
      metrics: over "scores".
      scorer, users, relevant, seen, exclude, candidates, memory_mb: as in `auc_of_users`.

    Returns:
      NaN, which means leave out, where a user has no relevant item that counts, or no other item.

    Raises:
      JaxrecError, DataError, MismatchError: see `auc_of_users`.

    >>> measure_scores([], None, [], SeenItems(np.zeros(1), np.zeros(0)), seen=None)
    {}
    """
    if not metrics:
        return {}
    num_users, num_items = int(scorer.num_users), int(scorer.num_items)
    users = check_index(users, num_users, "user")
    check_seen(seen, num_users, num_items)
    if relevant.num_users != num_users or (len(relevant.items) and int(np.max(relevant.items)) >= num_items):
        raise MismatchError(
            f"relevant is of {relevant.num_users:,} users, the scorer of {num_users:,} users and {num_items:,} items; "
            "take both from one split"
        )
    allowed = allowed_items(num_items, exclude, candidates)
    values = {metric.name: np.full(len(users), np.nan, np.float32) for metric in metrics}
    most = int(np.diff(np.asarray(relevant.indptr))[users].max(initial=0))
    if most == 0:
        return values
    one_by_one = jax.default_backend() == "cpu"
    workers, tile, size = _plan(num_items, memory_mb, len(users), _num_cores() if one_by_one else 1)
    scorer = on_device(scorer, tile, num_items)
    relevant = SeenItems(*map(jnp.asarray, relevant))
    seen = None if seen is None or not len(seen.items) else SeenItems(*map(jnp.asarray, seen))

    def one_call(start: int) -> None:
        part = users[start : start + size]
        padded = np.pad(part, (0, size - len(part)))
        # Waiting for each call bounds the memory: several in flight would each hold a tile of scores.
        found, defined, bad = jax.device_get(
            _measure_scores(
                scorer, padded, np.int32(len(part)), relevant, seen, allowed,
                metrics=tuple(metrics), most=most, tile=tile, one_by_one=one_by_one, structure=structure_of(scorer),
            )
        )  # fmt: skip
        defined, bad = defined[: len(part)], bad[: len(part)]
        if bad.any():
            raise JaxrecError(
                f"the scores of user {part[np.argmax(bad)]} hold NaN, which cannot be ranked; check that training "
                "stayed finite"
            )
        for metric, array in zip(metrics, found, strict=True):
            values[metric.name][start : start + size] = np.where(defined, array[: len(part)], np.float32(np.nan))

    # A loop over users within a program uses one core, so each core gets calls of its own; `map` keeps their order,
    # and with it which error is raised.
    starts = range(0, len(users), size)
    with work("measuring scores", len(users), unit="users") as told, contextlib.ExitStack() as stack:
        done = map(one_call, starts)
        if workers > 1:
            done = stack.enter_context(concurrent.futures.ThreadPoolExecutor(workers)).map(one_call, starts)
        for start, _ in zip(starts, done, strict=True):
            told.reach(min(start + size, len(users)))
    return values


def _num_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plan(num_items: int, memory_mb: float, count: int, cores: int) -> tuple[int, int, int]:
    """Calls at a time, users in a tile and users in a call, such that all calls at a time fit into the memory.

    >>> _plan(num_items=1000, memory_mb=64, count=3, cores=2)[:2]  # a handful of users needs one worker
    (1, 4)
    >>> workers, tile, size = _plan(num_items=1000, memory_mb=64, count=100_000, cores=2)
    >>> workers, size % tile, 100_000 // size >= 4 * workers
    (2, 0, True)
    """
    workers = max(1, min(cores, count // _FEWEST_USERS))
    while True:
        try:
            tile, tiles = tile_plan(num_items, 1, memory_mb / workers, -(-count // workers))
            break
        except JaxrecError:  # two users do not fit into the share of one call
            if workers == 1:
                raise
            workers -= 1
    # Several calls for each worker, since users differ in the number of relevant items.
    while workers > 1 and tiles > 1 and tiles * tile * workers * 4 > count:
        tiles //= 2
    return workers, tile, tile * tiles


@functools.partial(jax.jit, static_argnames=("metrics", "most", "tile", "one_by_one", "structure"))
def _measure_scores(
    scorer: Scorer,
    users: jax.Array,
    count: jax.Array,
    relevant: SeenItems,
    seen: SeenItems | None,
    allowed: jax.Array | None,
    *,
    metrics: tuple[Metric, ...],
    most: int,
    tile: int,
    one_by_one: bool,
    structure: int,
) -> tuple[list[jax.Array], jax.Array, jax.Array]:
    """Values [n] of the first `count` users; whether a relevant item and another one count, and one that is NaN [n]."""
    indptr, items = (jnp.asarray(array) for array in relevant)
    places = jnp.arange(most, dtype=jnp.int32)

    def one_user(given: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        scores, counted, first, length = given
        own = jnp.where(places < length, items[jnp.minimum(first + places, items.shape[0] - 1)], -1)
        found = jnp.sum((own >= 0) & counted[jnp.maximum(own, 0)], dtype=jnp.int32)
        # Relevant items that do not count are no others either, so what counts besides those found is another item.
        others = jnp.sum(counted, dtype=jnp.int32) - found
        defined = (found > 0) & (others > 0)
        view = UserScores(scores, counted, own)
        values = [jnp.asarray(metric(view, k=None)).astype(jnp.float32) for metric in metrics]
        return *values, defined, defined & jnp.any(counted & jnp.isnan(scores))

    def one_tile(at: jax.Array, out: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        start = at * tile
        batch = lax.dynamic_slice_in_dim(users, start, tile)
        real = start + jnp.arange(tile, dtype=jnp.int32) < count
        scores = scorer.scores(batch)
        counted = jnp.ones(scores.shape, jnp.bool_)
        if allowed is not None:
            counted = jnp.broadcast_to(allowed[None, :], scores.shape)
        if seen is not None:
            counted = mask_seen(counted, batch, real, seen, mark=False)
        first = indptr[batch]
        given = (scores, counted, first, jnp.where(real, indptr[batch + 1] - first, 0))
        # Kernels of CPUs are faster on one user after the other, whose scores stay in the cache.
        parts = lax.map(one_user, given) if one_by_one else jax.vmap(one_user)(given)
        return tuple(
            lax.dynamic_update_slice_in_dim(whole, part, start, 0) for whole, part in zip(out, parts, strict=True)
        )

    kinds = [*[jnp.float32] * len(metrics), jnp.bool_, jnp.bool_]
    empty = tuple(jnp.zeros(users.shape[0], kind) for kind in kinds)
    *values, defined, bad = lax.fori_loop(jnp.int32(0), (count + tile - 1) // tile, one_tile, empty)
    return values, defined, bad
