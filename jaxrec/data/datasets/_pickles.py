"""Reading the pickles that some published data come in, without calling anything that they name."""

from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
import types
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxrec.errors import DataError, MissingFileError

_TIMES, _FREE_BYTES = 20, 200 << 20  # the memory of a pickle, in sizes of the file and beside them


class CompressedRows(NamedTuple):
    """A sparse matrix [P, F] by rows, as NumPy arrays.

    Attributes:
      data: [E], the entries, row by row.
      columns: int32 [E], the column of each entry.
      indptr: int32 [P + 1]; the entries of row p are `indptr[p]:indptr[p + 1]`.
      num_columns: F.

    >>> rows = CompressedRows(np.ones(2), np.array([0, 2]), np.array([0, 2, 2]), 3)
    >>> rows.shape, rows.rows.tolist()
    ((2, 3), [0, 0])
    """

    data: np.ndarray
    columns: np.ndarray
    indptr: np.ndarray
    num_columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """(P, F)."""
        return len(self.indptr) - 1, self.num_columns

    @property
    def rows(self) -> np.ndarray:
        """The row of each entry, int32 [E]."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.indptr))


def read_pickle(path: str | os.PathLike[str]) -> Any:
    """Read a pickle of NumPy arrays, scipy matrices by rows, dicts, lists and numbers, and of nothing else.

    A pickle is a program: it names Python objects and calls them. Here only the seven names are known that such data
    need, and each stands for an inert object of this module that keeps what it is given. No code of NumPy or scipy is
    called by the pickle, and any other name ends the reading.

    Args:
      path: a pickle of protocol 0 to 4, also of Python 2.

    Returns:
      An array, a `CompressedRows`, a dict, a list or a number. What is inside a dict or list is for the caller to
      check.

    Raises:
      MissingFileError: no such file.
      DataError: a name that is not allowed, arrays of other than plain numbers, bytes that are no pickle, or that would
        take far more memory than the file has bytes.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "graph")
    ...     written = path.write_bytes(pickle.dumps({0: [1], 1: [0]}))
    ...     read_pickle(path)
    {0: [1], 1: [0]}
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; pass the folder that holds it")
    try:
        content = path.read_bytes()
        _check_sizes(content)
        return _plain(_Unpickler(io.BytesIO(content), encoding="latin1").load())
    except _RefusedError as refused:
        raise DataError(
            f"{path} names {refused}, which data in this format do not need: it was refused and nothing was called. Do "
            "not trust this file; take it from its publisher"
        ) from None
    except (Exception, RecursionError) as error:  # what a damaged pickle raises is as various as pickles are
        reason = " ".join(str(error)[:200].split()) or type(error).__name__
        raise DataError(f"{path} is not a pickle of plain arrays, or is damaged: {reason}") from None


def _check_sizes(content: bytes) -> None:
    """Refuse what would take far more memory than the file has bytes, before anything is made.

    The unpickler's memo is a table as long as its largest place, and each object made may copy what it is given.
    """
    steps, made, largest = 0, 0, 0
    for code, argument, _ in pickletools.genops(io.BytesIO(content)):
        steps += 1
        if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(content):
            raise ValueError(f"it has a memo of {int(argument or 0):,} places in {len(content):,} bytes")
        made += code.name in ("REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX", "INST", "OBJ")
        largest = max(largest, len(argument) if isinstance(argument, (str, bytes, bytearray)) else 0)
    if made * (largest + 8 * steps) > _TIMES * len(content) + _FREE_BYTES:
        raise ValueError(f"it makes {made:,} objects of up to {largest:,} bytes of a file of {len(content):,}")


class _RefusedError(Exception):
    """A name that is not on the list."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # gets the names as they are in the file
        if (module, name) not in _ALLOWED:
            raise _RefusedError(f"{module}.{name}")
        return _ALLOWED[module, name]


class _Dtype:
    """What stands for `numpy.dtype`: the name of a plain number type and its byte order."""

    __slots__ = ("name", "order")

    def __init__(self, name: str, *_: Any) -> None:
        if name not in ("b1", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "f2", "f4", "f8"):
            raise ValueError(f"it holds values of type {str(name)[:20]!r}; only plain numbers are read")
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise ValueError(f"it has the byte order {str(state[1])[:20]!r}; only plain numbers are read")
        self.order = state[1]


class _Array:
    """What stands for `numpy.ndarray`, with the array that its state describes."""

    __slots__ = ("value",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        if type(shape) is not tuple or any(type(size) is not int or size < 0 for size in shape):
            raise ValueError("the shape of an array is no tuple of sizes")
        if type(dtype) is not _Dtype or type(content) not in (str, bytes):
            raise ValueError("it holds an array of objects; only plain numbers are read")
        if type(content) is str:  # bytes of Python 2
            content = content.encode("latin1")
        plain = np.dtype(dtype.order + dtype.name)
        if math.prod(shape) * plain.itemsize != len(content):
            raise ValueError(f"an array of shape {shape} has {len(content)} bytes")
        flat = np.frombuffer(content, plain)
        self.value = flat.reshape(shape, order="F" if fortran else "C").astype(plain.newbyteorder("="))


class _Matrix:
    """What stands for `scipy.sparse.csr_matrix`."""

    __slots__ = ("value",)

    def __setstate__(self, state: dict[str, Any]) -> None:
        num_rows, num_columns = state["_shape"]
        data, columns, indptr = (state[name].value for name in ("data", "indices", "indptr"))
        whole = columns.dtype.kind == "i" and indptr.dtype.kind == "i"
        if not (
            whole
            and data.shape == columns.shape == (columns.size,)
            and indptr.shape == (num_rows + 1,)
            and indptr[0] == 0
            and indptr[-1] == len(data)
            and (np.diff(indptr) >= 0).all()
            and (columns.size == 0 or (columns.min() >= 0 and columns.max() < num_columns))
        ):
            raise ValueError(
                f"the arrays of a sparse matrix of shape ({num_rows}, {num_columns}) do not fit each other"
            )
        self.value = CompressedRows(data, columns.astype(np.int32), indptr.astype(np.int32), num_columns)


class _Maker:
    """What stands for a function: it makes an empty object and ignores what it is given."""

    __slots__ = ("make",)

    def __init__(self, make: Any) -> None:
        object.__setattr__(self, "make", make)

    def __call__(self, *_: Any) -> Any:
        return self.make()

    def __setattr__(self, name: str, value: Any) -> None:  # a pickle may try to set the state of what it names
        raise AttributeError(f"{name} of a stand-in cannot be set")


_ARRAY = _Maker(_Array)
_ALLOWED = types.MappingProxyType(
    {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("numpy.core.multiarray", "_reconstruct"): _ARRAY,
        ("numpy._core.multiarray", "_reconstruct"): _ARRAY,  # NumPy 2
        ("scipy.sparse.csr", "csr_matrix"): _Matrix,
        ("scipy.sparse._csr", "csr_matrix"): _Matrix,  # scipy 1.8
        ("collections", "defaultdict"): _Maker(dict),
        ("__builtin__", "list"): list,
        ("builtins", "list"): list,  # Python 3
    }
)


def _plain(loaded: Any) -> Any:
    return loaded.value if isinstance(loaded, (_Array, _Matrix)) else loaded
