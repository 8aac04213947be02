"""Ranking of the whole catalog: the k best items of each user, in tiles of users and within a memory limit.

For each tile of users the scorer computes the scores [B, I], the seen items are set to -inf, and the k best items are
taken; the next tile reuses the memory. No array of users x items is larger than a tile, and one compiled program
serves every tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh
from jaxtyping import Float, Int

from jaxrec._checks import number
from jaxrec.data._interactions import check_index
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.parallel import Layout, as_mesh
from jaxrec.parallel._processes import fetched, several
from jaxrec.progress import work
from jaxrec.pytrees import structure_of
from jaxrec.ranking._checks import allowed_items, check_finite, check_list_length, check_scores, check_seen, on_device
from jaxrec.ranking._mesh_tiles import everywhere, in_parts, item_axes_of, rank_on, rank_parts
from jaxrec.ranking._tiles import rank, rank_few
from jaxrec.types import Scorer

_CPU_TILE = 16 * 2**20  # bytes: a larger buffer leaves the caches, and above 32 MiB it is mapped afresh at each call
_MOST_USERS = 4096  # users in one call of the compiled program
FEW_USERS, SHORT_LIST = 64, 64
"""Up to so many users and places, every call goes through one program."""
_FEW = 8  # users of that program, which is small, so that a command that is run anew for each user compiles little


def recommend_lists(
    scorer: Scorer,
    users: npt.ArrayLike,
    k: int,
    *,
    seen: SeenItems | None,
    exclude: npt.ArrayLike | None = None,
    candidates: npt.ArrayLike | None = None,
    memory_mb: float = 256,
    mesh: int | Layout | Mesh | None = None,
) -> tuple[Int[np.ndarray, "n k"], Float[np.ndarray, "n k"]]:
    """Recommend the k best items of the whole catalog to each user.

    Calls of at most 64 users with lists of at most 64 places share one compiled program: users and lists are padded.

    Items of equal score are ranked by index, the lower first, exactly and for every tile size (0.0 and -0.0 are equal,
    and so are scores below the smallest normal float32). The lists depend on `memory_mb` only through the scores: a
    product with another number of rows may round its last bit differently.

    Args:
      scorer: computes float32 [B, I] from int32 [B], see `jaxrec.types.Scorer`. It is an argument of the compiled
        program, so its arrays are never constants of it.
      users: n user indices.
      k: length of the lists.
      seen: items left out for each user; None leaves out nothing.
      exclude: item indices left out for all users.
      candidates: the only item indices that may be recommended; the whole catalog by default.
      memory_mb: limit in MiB for the buffers of scores and lists on the device, see `users_per_tile`. The memory of the
        scorer itself (parameters, and temporaries larger than its scores) is not included. With a mesh it is the limit
        of each device.
      mesh: several devices that share the users, tile by tile, see `jaxrec.parallel.as_mesh`. Each holds the scorer as
        a whole. The lists and scores are those of one device, to the bit. Few users are ranked on one. With
        `Layout(..., item_parts=n)` n devices have a part of the items each, and share the users of their group: the k
        best of each part are merged. Scores then are those of one device to rounding. It needs a scorer that names the
        axes of its items, see `jaxrec.protocols.ItemParts`.

    Returns:
      items int32 [n, k] and scores float32 [n, k], best first, NumPy arrays. If a user has fewer than k items left, the
      list is padded with item -1 and score -inf.

    Raises:
      JaxrecError: k below 1 or above I; a score that is NaN or +inf; a memory limit too small for two users; no
        candidate.
      DataError: a user or item index out of range.
      MismatchError: the scorer is not a pytree, or returns another shape or dtype; `seen` belongs to other users or
        items.

    >>> import jax.numpy as jnp
    >>> from jaxrec.data._seen import SeenItems
    >>> from jaxrec.scorers import TableScorer
    >>> table = TableScorer(jnp.array([[0.1, 0.9, 0.5], [0.7, 0.7, 0.2]]))
    >>> seen = SeenItems(np.array([0, 1, 1], np.int32), np.array([1], np.int32))  # user 0 knows item 1
    >>> recommend_lists(table, np.array([0, 1]), 2, seen=seen)[0]
    array([[2, 0],
           [0, 1]], dtype=int32)
    """
    num_users, num_items = int(scorer.num_users), int(scorer.num_items)
    users = check_index(users, num_users, "user")
    check_list_length(k, num_items)
    check_seen(seen, num_users, num_items)
    allowed = allowed_items(num_items, exclude, candidates)
    number("memory_mb", memory_mb)
    devices, layout = (None, None) if mesh is None else as_mesh(mesh)
    if layout is not None and layout.order != "data":
        raise JaxrecError(f'order is for training, and ranking has no use for it, got "{layout.order}"; leave it out')
    if layout is not None and layout.blocks != 1:
        raise JaxrecError(
            f"blocks are of products in training, and ranking has none, got {layout.blocks}; leave it out"
        )
    if devices is not None and layout is not None and layout.item_parts > 1:
        size, call = _by_parts(scorer, seen, allowed, int(k), memory_mb, len(users), devices, layout.item_parts)
    elif goes_with_few(num_items, int(k), memory_mb, len(users)):
        size, call = _for_few(scorer, seen, allowed, num_items)
    else:
        size, call = _by_users(scorer, seen, allowed, int(k), memory_mb, len(users), devices)

    items, scores = np.empty((len(users), k), np.int32), np.empty((len(users), k), np.float32)
    parts = [users[start : start + size] for start in range(0, len(users), size)]

    def take(at: int, found: Sequence[np.ndarray]) -> None:
        part, rows = parts[at], slice(at * size, at * size + len(parts[at]))
        items[rows], scores[rows] = (array[: len(part), :k] for array in found[:2])
        check_finite(part, found[2][: len(part)])

    apart = list[Any]()  # where several processes have the devices, each keeps its own lists until all are made
    with work("ranking", len(users), unit="users") as told:
        for at, part in enumerate(parts):
            lists = call(part, np.pad(part, (0, size - len(part))))
            if devices is not None and several():
                apart.append(jax.block_until_ready(lists))
            else:  # waiting bounds the memory: several in flight each hold a tile of scores
                take(at, jax.device_get(lists))
            told.advance(len(part))
    for at, lists in enumerate(apart):
        take(at, [fetched(array) for array in lists])
    return items, scores


Ranking = Callable[[np.ndarray, np.ndarray], tuple[jax.Array, jax.Array, jax.Array]]
"""Ranks for users, given without and with padding: items [n, k], scores [n, k], and bool [n]: a score is bad."""


def _for_few(scorer: Scorer, seen: SeenItems | None, allowed: jax.Array | None, num_items: int) -> tuple[int, Ranking]:
    """How few users are ranked for: one program for all numbers of them and all lengths of lists."""
    scorer = on_device(scorer, _FEW, num_items)
    how: Any = {"k": min(SHORT_LIST, num_items), "structure": structure_of(scorer)}
    return _FEW, lambda part, padded: rank_few(scorer, padded, _left_for(part, seen, allowed, num_items), **how)


def _by_users(
    scorer: Scorer,
    seen: SeenItems | None,
    allowed: jax.Array | None,
    k: int,
    memory_mb: float,
    count: int,
    devices: Mesh | None,
) -> tuple[int, Ranking]:
    """How users are ranked for, tile by tile; several devices share them."""
    number_of = 1 if devices is None else devices.size
    tile, tiles = tile_plan(int(scorer.num_items), k, memory_mb, count)
    tiles = min(tiles, max(-(-count // (tile * number_of)), 1)) if devices is not None else tiles
    scorer = on_device(scorer, tile, int(scorer.num_items))
    seen = SeenItems(*map(jax.device_put, seen)) if seen is not None and len(seen.items) else None
    how: Any = {"k": k, "tile": tile, "structure": structure_of(scorer)}
    if devices is None:
        return tile * tiles, lambda part, padded: rank(scorer, padded, np.int32(len(part)), seen, allowed, **how)
    scorer, seen, allowed = everywhere((scorer, seen, allowed), devices)
    own = tile * tiles  # users of a device in one call

    def call(part: np.ndarray, padded: np.ndarray) -> tuple[jax.Array, jax.Array, jax.Array]:
        return rank_on(scorer, padded, _counts(part, own, number_of), seen, allowed, **how, mesh=devices)

    return own * number_of, call


def _by_parts(
    scorer: Scorer,
    seen: SeenItems | None,
    allowed: jax.Array | None,
    k: int,
    memory_mb: float,
    count: int,
    devices: Mesh,
    parts: int,
) -> tuple[int, Ranking]:
    """How users are ranked for where each device has a part of the items."""
    num_items, groups = int(scorer.num_items), devices.size // parts
    axes = item_axes_of(scorer)
    tile, tiles = tile_plan(-(-num_items // parts), k, memory_mb, count)
    tiles = min(tiles, max(-(-count // (tile * groups)), 1))
    check_scores(scorer, tile, num_items)
    mesh = Mesh(devices.devices.reshape(groups, parts), ("users", "items"))
    seen = everywhere(seen, mesh) if seen is not None and len(seen.items) else None
    mask = np.ones(num_items, bool) if allowed is None else np.asarray(allowed)
    placed, left = in_parts(scorer, mask, mesh, axes)
    how: Any = {"k": k, "tile": tile, "structure": structure_of(scorer), "mesh": mesh, "axes": axes}
    own = tile * tiles

    def call(part: np.ndarray, padded: np.ndarray) -> tuple[jax.Array, jax.Array, jax.Array]:
        return rank_parts(placed, padded, _counts(part, own, groups), seen, left, **how)

    return own * groups, call


def _counts(part: np.ndarray, own: int, groups: int) -> np.ndarray:
    return np.clip(len(part) - own * np.arange(groups), 0, own).astype(np.int32)


def users_per_tile(num_items: int, k: int, memory_mb: float) -> int:
    r"""Compute the number of users per tile within a memory limit.

    .. math:: B = \Big\lfloor \frac{3/4 \cdot \mathrm{memory} }{12\,I + 1024\,k} \Big\rfloor

    with the memory in bytes. The denominator is the memory of a user: three buffers of float32 scores (the result of
    the scorer, a copy in case an update cannot be made in place, and one for the scorer), and the candidates of the
    last stage. The remaining quarter holds the lists. On CPU the scores of a tile are also limited to 16 MiB, which is
    faster.

    Raises:
      JaxrecError: fewer than two users fit.

    >>> users_per_tile(num_items=100_000, k=20, memory_mb=64) <= 64 * 2**20 // (12 * 100_000)
    True
    """
    number("memory_mb", memory_mb)
    per_user = 12 * num_items + 1024 * k
    bound = int(memory_mb * 2**20 * 3 / 4) // per_user
    # A single row would go through another kernel than several rows do, and round differently.
    if bound < 2:
        least = 2 * per_user * 4 / 3 / 2**20
        raise JaxrecError(
            f"memory_mb is {memory_mb}, but two users of {num_items:,} items at k={k} need {least:.1f}; raise memory_mb"
        )
    if jax.default_backend() == "cpu":
        bound = min(bound, max(_CPU_TILE // (4 * num_items), 2), 512)
    bound = min(bound, max((2**31 - 1) // num_items, 2), _MOST_USERS)  # places in a tile are counted in int32
    return bound - bound % 8 if bound > 8 else bound


def tile_plan(num_items: int, k: int, memory_mb: float, count: int) -> tuple[int, int]:
    """Compute the users per tile and the tiles per call.

    Both are static in the program, so they hardly depend on `count`.

    >>> tile_plan(num_items=1000, k=10, memory_mb=64, count=3)[0]  # the tile is halved while it still holds all users
    4
    """
    tile = users_per_tile(num_items, k, memory_mb)
    while tile // 2 >= max(count, 2):  # a handful of users needs no full tile
        tile //= 2
    fit = int(memory_mb * 2**20 / 4) // (tile * k * 8)
    return tile, max(1, min(fit, _MOST_USERS // tile))


def goes_with_few(num_items: int, k: int, memory_mb: float, count: int) -> bool:
    """Tell if a call is of few users and short lists, and its scores fit the memory: then it goes through `rank_few`.

    >>> goes_with_few(1000, 10, 256, 1), goes_with_few(1000, 10, 256, 65), goes_with_few(1000, 65, 256, 1)
    (True, False, False)
    """
    fits = _FEW * (12 * num_items + 1024 * SHORT_LIST) <= memory_mb * 2**20 * 3 / 4
    return count <= FEW_USERS and k <= min(SHORT_LIST, num_items) and fits


def _left_for(users: np.ndarray, seen: SeenItems | None, allowed: jax.Array | None, num_items: int) -> np.ndarray:
    """The items that are left for each of few users, bool [_FEW, I]; rows of padding are of no account."""
    left = np.zeros((_FEW, num_items), bool)
    left[: len(users)] = True if allowed is None else np.asarray(allowed)
    if seen is not None:
        for row, user in zip(left, users.tolist(), strict=False):
            row[np.asarray(seen.items[seen.indptr[user] : seen.indptr[user + 1]])] = False
    return left
