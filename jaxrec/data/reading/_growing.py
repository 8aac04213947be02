"""Columns that grow while a file is read, in memory or in files that are memory-mapped at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import mmap
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.errors import DataError
from jaxrec.files import whole_file

CHUNK = 1 << 18  # rows that are worked on at a time
_HEADER = 128  # bytes of an .npy file before its values, room for any length

Change = Callable[[np.ndarray], np.ndarray]


class Growing(Protocol):
    """A column of one dtype that values are appended to."""

    dtype: np.dtype
    size: int
    in_memory: bool = True

    def append(self, values: np.ndarray) -> None:
        """Add the next values."""
        ...

    def change(self, start: int, stop: int, change: Change) -> None:
        """Put `change(values)` in the place of the values of rows start..stop-1, some at a time, in their order."""
        ...

    def parts(self) -> Iterator[np.ndarray]:
        """The values so far, `CHUNK` rows at a time."""
        ...


class InMemory(Growing):
    """A column in memory, of at most `capacity` rows; what no value reaches takes no memory.

    >>> column = InMemory(np.int32, 5)
    >>> column.append(np.array([1, 0]))
    >>> column.change(0, 2, lambda values: values + 10)
    >>> column.array()
    array([11, 10], dtype=int32)
    """

    def __init__(self, dtype: Any, capacity: int) -> None:
        self.dtype, self.size = np.dtype(dtype), 0
        self._values = np.empty(capacity, dtype)

    def append(self, values: np.ndarray) -> None:
        """See `Growing`."""
        self._values[self.size : self.size + len(values)] = values
        self.size += len(values)

    def change(self, start: int, stop: int, change: Change) -> None:
        """See `Growing`."""
        for at in range(start, stop, CHUNK):
            part = self._values[at : min(at + CHUNK, stop)]
            part[:] = change(part)

    def parts(self) -> Iterator[np.ndarray]:
        """See `Growing`."""
        return (self._values[at : min(at + CHUNK, self.size)] for at in range(0, self.size, CHUNK))

    def array(self) -> np.ndarray:
        """The values so far, which are not to grow any more."""
        values = self._values[: self.size]
        values.setflags(write=False)
        return values


class InBlocks(Growing):
    """A column in memory of any number of rows, in blocks of `CHUNK` rows.

    >>> column = InBlocks(np.int32)
    >>> column.append(np.array([1, 0]))
    >>> column.append(np.array([5]))
    >>> column.change(1, 3, lambda values: values + 10)
    >>> column.array()
    array([ 1, 10, 15], dtype=int32)
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.size = np.dtype(dtype), 0
        self._blocks: list[np.ndarray] = []

    def append(self, values: np.ndarray) -> None:
        """See `Growing`."""
        while len(values):
            at = self.size % CHUNK
            if not at:
                self._blocks.append(_pages(CHUNK, self.dtype))
            room = CHUNK - at
            self._blocks[-1][at : at + len(values)] = values[:room]
            self.size += min(room, len(values))
            values = values[room:]

    def change(self, start: int, stop: int, change: Change) -> None:
        """See `Growing`."""
        while start < stop:
            at = start % CHUNK
            part = self._blocks[start // CHUNK][at : at + stop - start]
            part[:] = change(part)
            start += len(part)

    def parts(self) -> Iterator[np.ndarray]:
        """See `Growing`."""
        return (block[: self.size - at * CHUNK] for at, block in enumerate(self._blocks))

    def array(self) -> np.ndarray:
        """See `InMemory`."""
        values = np.empty(self.size, self.dtype)
        for at in range(0, self.size, CHUNK):
            part = values[at : at + CHUNK]
            part[:] = self._blocks.pop(0)[: len(part)]  # each goes once it is copied
        self._blocks = [values]
        values.setflags(write=False)
        return values


def _pages(rows: int, dtype: np.dtype) -> np.ndarray:
    """An array in pages of its own, which go back when it is dropped; a heap may keep what lies between others."""
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}  # not on Windows
    try:
        return np.frombuffer(mmap.mmap(-1, rows * dtype.itemsize, **private), dtype)
    except OSError as error:  # which would be told as one of a file
        raise MemoryError(f"no room for {rows:,} more rows of a column: {error.strerror}") from None


class InFile(Growing):
    """A column in an `.npy` file. It is read and written, not mapped, so no page of it counts as the process's."""

    in_memory = False

    def __init__(self, dtype: Any, file: BinaryIO) -> None:
        self.dtype, self.size = np.dtype(dtype), 0
        self._file = file
        file.write(bytes(_HEADER))

    def append(self, values: np.ndarray) -> None:
        """See `Growing`."""
        self._file.write(np.ascontiguousarray(values, self.dtype).data)
        self.size += len(values)

    def change(self, start: int, stop: int, change: Change) -> None:
        """See `Growing`."""
        for at in range(start, stop, CHUNK):
            part = change(self._part(at, min(at + CHUNK, stop)))
            self._file.seek(_HEADER + at * self.dtype.itemsize)
            self._file.write(np.ascontiguousarray(part, self.dtype).data)
        self._file.seek(0, os.SEEK_END)

    def parts(self) -> Iterator[np.ndarray]:
        """See `Growing`."""
        for at in range(0, self.size, CHUNK):
            yield self._part(at, min(at + CHUNK, self.size))
        self._file.seek(0, os.SEEK_END)

    def _part(self, start: int, stop: int) -> np.ndarray:
        self._file.seek(_HEADER + start * self.dtype.itemsize)
        return np.frombuffer(self._file.read((stop - start) * self.dtype.itemsize), self.dtype)

    def close(self) -> None:
        """Write the header, which says how many values there are."""
        kind = np.lib.format.dtype_to_descr(self.dtype)
        text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': ({self.size},), }}"
        self._file.seek(0)
        self._file.write(b"\x93NUMPY\1\0" + struct.pack("<H", _HEADER - 10) + text.ljust(_HEADER - 11).encode() + b"\n")


def change_beside(
    column: Growing, beside: Iterable[np.ndarray], change: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> None:
    """Change a column by another one, which is there in the parts in which both have grown.

    Args:
      column: all its rows are changed.
      beside: parts [n] of whole numbers.
      change: of some values and the int64 numbers beside them to as many values.

    >>> column = InBlocks(np.int64)
    >>> column.append(np.array([1, 2]))
    >>> change_beside(column, [np.array([10, 20])], np.add)
    >>> column.array()
    array([11, 22])
    """
    start = 0
    for part in beside:
        at = 0

        def changed(values: np.ndarray, part: np.ndarray = part) -> np.ndarray:
            nonlocal at
            at += len(values)
            return change(values, part[at - len(values) : at].astype(np.int64))

        column.change(start, start + len(part), changed)
        start += len(part)


def first_of_each(owner: Growing, value: Growing, owners: int, none: int = -1) -> tuple[np.ndarray, int]:
    """The first value of each owner, and how many owners have several.

    Args:
      owner: of each row, from 0.
      value: a code of each row; the two columns have grown together.
      owners: how many there are.
      none: the code that is no value.

    Returns:
      int32 [owners], -1 for an owner without a value, and the count.

    >>> owner, value = InMemory(np.int32, 3), InMemory(np.int32, 3)
    >>> owner.append(np.array([1, 1, 0])), value.append(np.array([0, 1, 2]))
    (None, None)
    >>> first_of_each(owner, value, 2, none=0)
    (array([2, 1], dtype=int32), 0)
    """
    first, several = np.full(owners, -1, np.int32), np.zeros(owners, bool)
    for who, what in zip(owner.parts(), value.parts(), strict=True):
        who, what = who[what != none], what[what != none]
        new = first[who] < 0
        first[who[new][::-1]] = what[new][::-1]  # of several rows of one owner the last assignment stays
        several[who[first[who] != what]] = True
    return first, int(several.sum())


class Store:
    """Where the columns of one file grow: `growing_columns` makes it."""

    def __init__(self, folder: Path | None, files: contextlib.ExitStack) -> None:
        self._folder, self._files = folder, files
        self._columns: dict[str, InMemory | InBlocks | InFile] = {}

    def column(self, name: str, dtype: Any, capacity: int | None = None) -> InMemory | InBlocks | InFile:
        """Begin a column of at most `capacity` rows, or of any number."""
        if self._folder is None:
            self._columns[name] = InBlocks(dtype) if capacity is None else InMemory(dtype, capacity)
        else:
            made = InFile(dtype, self._files.enter_context(whole_file(self._folder / f"{name}.npy")))
            self._files.callback(made.close)
            self._columns[name] = made
        return self._columns[name]

    def array(self, name: str) -> np.ndarray | None:
        """A column, read-only, once the block of `growing_columns` has ended; None where it was never begun."""
        column = self._columns.get(name)
        if column is None or self._folder is None:
            return None if column is None else column.array()  # pyright: ignore[reportAttributeAccessIssue]
        # An empty file cannot be mapped.
        return np.asarray(np.load(self._folder / f"{name}.npy", mmap_mode="r" if column.size else None))


@contextlib.contextmanager
def growing_columns(folder: str | os.PathLike[str] | None) -> Iterator[Store]:
    """Give room for columns: in memory, or in `.npy` files of a folder, which take their names at the end of the block.

    Files of an earlier call are replaced, not written over: arrays that are mapped to them keep their values.

    Raises:
      OutputError: a file that cannot be written.
      DataError: no path of a folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with growing_columns(folder) as store:
    ...         store.column("user", np.int32, 2).append(np.array([3, 4]))
    ...     store.array("user").tolist(), os.listdir(folder)
    ([3, 4], ['user.npy'])
    """
    place = None if folder is None else check_mapped(folder)
    with contextlib.ExitStack() as files:
        yield Store(place, files)


def check_mapped(folder: Any) -> Path:
    """Make the folder of mapped columns, unless it is there.

    >>> check_mapped(b"columns")
    Traceback (most recent call last):
        ...
    jaxrec.errors.DataError: mapped is b'columns'; pass the path of a folder for the columns, or None for memory
    """
    try:
        if isinstance(folder, bytes):
            raise TypeError
        place = Path(folder).expanduser()
        place.mkdir(parents=True, exist_ok=True)
    except (TypeError, OSError) as error:
        why = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        raise DataError(
            f"mapped is {folder!r}{why}; pass the path of a folder for the columns, or None for memory"
        ) from None
    return place


def map_columns(data: Interactions, folder: str | os.PathLike[str]) -> Interactions:
    """Write the columns of interactions to a folder and give the interactions that are mapped to them.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     map_columns(Interactions.from_arrays([7, 7], [1, 2]), folder).item
    array([0, 1], dtype=int32)
    """
    names = [name for name in ("user", "item", "rating", "timestamp") if getattr(data, name) is not None]
    with growing_columns(folder) as store:
        for name in names:
            values = getattr(data, name)
            store.column(name, values.dtype, len(values)).append(values)
    return dataclasses.replace(data, **{name: store.array(name) for name in names})
