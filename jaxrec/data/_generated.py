"""Made-up interactions of any size, in memory or as a Parquet file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, overload

import jax
import numpy as np

from jaxrec._checks import whole
from jaxrec._keys import one_key
from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.data._power_law import PowerLaw, Side
from jaxrec.errors import DataError
from jaxrec.files import whole_file

BLOCK = 1 << 16  # rows whose draws have one counter: they are the same whatever is asked for around them
_WORDS = 5  # of 64 bits, drawn for a row
_MOST_ROWS = 9 * 10**10  # row times seconds then still fits in 64 bits
_FIRST_TIME, _SECONDS = 1_600_000_000, 3 * 365 * 86_400
_KINDS = {"user": np.int32, "item": np.int32, "rating": np.float32, "timestamp": np.int64}


@overload
def generate(
    users: int,
    items: int,
    interactions: int,
    key: jax.Array,
    *,
    law: PowerLaw = ...,
    path: None = None,
    ratings: bool = ...,
    timestamps: bool = ...,
    text_ids: bool = ...,
    group: int = ...,
) -> Interactions: ...


@overload
def generate(
    users: int,
    items: int,
    interactions: int,
    key: jax.Array,
    *,
    law: PowerLaw = ...,
    path: str | os.PathLike[str],
    ratings: bool = ...,
    timestamps: bool = ...,
    text_ids: bool = ...,
    group: int = ...,
) -> Path: ...


def generate(
    users: int,
    items: int,
    interactions: int,
    key: jax.Array,
    *,
    law: PowerLaw | None = None,
    path: str | os.PathLike[str] | None = None,
    ratings: bool = True,
    timestamps: bool = True,
    text_ids: bool = False,
    group: int = 1 << 20,
) -> Interactions | Path:
    """Draw interactions with power laws and communities, in memory or as a Parquet file, for tests and plans.

    Each interaction is drawn on its own: a user u, then an item i by the user's community, then a rating.

        p(u, i) = theta_u theta_i omega[c(u), c(i)]

    with theta and omega of `PowerLaw`. Given the number of interactions it is the degree-corrected block model. Pairs
    may repeat, as in logs; `jaxrec.prepare` leaves repeats out.

    Every 65,536 rows have draws of their own, made from a counter. So the rows are the same in memory and in a file,
    whatever its row groups, and those of a shorter draw begin a longer one, but for the times.

    Args:
      users: U. All are in the catalog of the result; a file has those that occur.
      items: I.
      interactions: E.
      key: consumed. The same key gives the same rows on the same versions and machine.
      law: the shape of the data; by default `PowerLaw()`, with fewer communities for fewer users or items.
      path: of a Parquet file to write in place of the result, one row group after the other; needs pyarrow. None keeps
        all in memory, 20 bytes an interaction.
      ratings: whether there are any: 3, 4 or 5 where the item is of the user's community, else 1 to 5.
      timestamps: whether there are any: whole seconds, three years in even steps.
      text_ids: texts such as "user-00000007" in place of whole numbers.
      group: rows of a row group.

    Returns:
      The interactions in the order of their times, with the item column "community"; or the path.

    Raises:
      JaxrecError: a number out of its range.
      DataError: a path without pyarrow.
      OutputError: a file that cannot be written.

    References:
      Karrer and Newman, Stochastic blockmodels and community structure in networks, Physical Review E 83, 2011.

    >>> data = generate(100, 50, 2_000, jax.random.key(0), law=PowerLaw(communities=4))
    >>> data.counts()
    {'users': 100, 'items': 50, 'interactions': 2000}
    >>> sorted(set(data.item_columns["community"].tolist()))
    [0, 1, 2, 3]
    """
    users, items, group = whole("users", users, 1), whole("items", items, 1), whole("group", group, 1)
    interactions = whole("interactions", interactions, 1, _MOST_ROWS)
    law = PowerLaw(communities=min(PowerLaw().communities, users, items)) if law is None else law
    whole("law.communities", law.communities, 1, min(users, items))
    drawn = [int(word) for word in np.asarray(jax.random.bits(one_key(key), (6,), "uint32"))]
    world = _World(
        law,
        Side("user", users, law.communities, law.user_exponent, drawn[0]),
        Side("item", items, law.communities, law.item_exponent, drawn[1]),
        interactions,
        (drawn[2] << 32 | drawn[3], drawn[4] << 32 | drawn[5]),
    )
    names = ["user", "item", *(["rating"] if ratings else []), *(["timestamp"] if timestamps else [])]
    if path is not None:
        return _write(world, Path(path).expanduser(), names, group, text_ids)
    columns = {name: np.empty(interactions, _KINDS[name]) for name in names}
    for start, stop in _steps(interactions, BLOCK):
        rows = world.rows(start, stop)
        for name, column in columns.items():
            column[start:stop] = rows[name]
    for column in columns.values():
        column.setflags(write=False)
    ids = {side.name: IdMap(side.labels(np.arange(side.nodes), text_ids), side.name) for side in world.sides}
    return Interactions(
        columns["user"],
        columns["item"],
        ids["user"],
        ids["item"],
        columns.get("rating"),
        columns.get("timestamp"),
        item_columns={"community": world.item.communities_of(np.arange(items))},
        notes=(f"{interactions:,} interactions drawn by {law}",),
        time_unit="s" if timestamps else None,
    )


@dataclasses.dataclass(frozen=True)
class _World:
    """All that the rows are a function of."""

    law: PowerLaw
    user: Side
    item: Side
    interactions: int
    key: tuple[int, int]

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.user, self.item

    def rows(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """The columns of the rows start..stop-1, ids as whole numbers."""
        blocks = [self._block(at) for at in range(start // BLOCK, -(-stop // BLOCK))]
        begin = start - start // BLOCK * BLOCK
        rows = {
            name: np.concatenate([block[name] for block in blocks])[begin : begin + stop - start]
            for name in ("user", "item", "rating")
        }
        step = np.arange(start, stop, dtype=np.int64) * _SECONDS // self.interactions
        return rows | {"timestamp": step + _FIRST_TIME}

    def _block(self, at: int) -> dict[str, np.ndarray]:
        """65,536 rows. The counter has 256 bits, of which a block uses up the lowest word alone."""
        bits = np.random.Philox(key=np.array(self.key, np.uint64), counter=np.array([0, at, 0, 0], np.uint64))
        words = bits.random_raw(_WORDS * BLOCK).reshape(_WORDS, BLOCK)
        share = (words >> np.uint64(11)) * 2.0**-53  # in [0, 1), as NumPy makes its doubles
        count = self.law.communities
        own = (share[0] * count).astype(np.int64)
        # Below `mixing` the share says which community, evenly; above it, the user's own.
        elsewhere = share[1] < self.law.mixing
        other = (share[1] / (self.law.mixing or 1.0) * count).astype(np.int64)
        theirs = np.where(elsewhere, np.minimum(other, count - 1), own)
        low = np.where(own == theirs, 3, 1)
        return {
            "user": self.user.drawn(own, share[2]),
            "item": self.item.drawn(theirs, share[3]),
            "rating": (low + (share[4] * (6 - low)).astype(np.int64)).astype(np.float32),
        }


def _steps(count: int, size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + size, count)) for start in range(0, count, size))


def _write(world: _World, path: Path, names: list[str], group: int, text_ids: bool) -> Path:
    """Write a Parquet file, one row group at a time."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(f"{path}: writing Parquet needs pyarrow; install it: pip install 'jaxrec[parquet]'") from None
    made: dict[str, Any] = {"rating": pyarrow.float32(), "timestamp": pyarrow.int64()}
    kinds = {name: made.get(name, pyarrow.string() if text_ids else pyarrow.int32()) for name in names}
    with (
        whole_file(path) as file,
        pyarrow.parquet.ParquetWriter(file, pyarrow.schema(kinds), compression="zstd") as writer,
    ):
        for start, stop in _steps(world.interactions, group):
            rows: dict[str, Any] = world.rows(start, stop)
            for side in world.sides if text_ids else ():
                rows[side.name] = _arrow_texts(side.texts(rows[side.name]))
            writer.write_table(pyarrow.table({name: rows[name] for name in names}), row_group_size=group)
    return path


def _arrow_texts(characters: np.ndarray) -> Any:
    """An Arrow array of texts of one length, uint8 [n, length]."""
    import pyarrow

    count, length = characters.shape
    ends = pyarrow.py_buffer(np.arange(count + 1, dtype=np.int64) * length)
    texts = pyarrow.Array.from_buffers(
        pyarrow.large_string(), count, [None, ends, pyarrow.py_buffer(np.ascontiguousarray(characters))]
    )
    return texts if count * length >= 2**31 else texts.cast(pyarrow.string())
