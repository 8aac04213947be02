"""Arrays as one file, and back: no pickle, no more memory than is stated, and no other arrays than are named."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxrec.errors import RunFolderError

SPARE = 150_000_000
"""Bytes that an archive may unpack to beyond `TIMES` its own size."""
TIMES = 20

_KINDS = "biufcmMSU"  # of NumPy's dtypes: all but Python's objects and raw bytes


@dataclasses.dataclass(frozen=True)
class Stated:
    """What a description says of an array; None where it says nothing, as before format 3.

    Attributes:
      dtype: such as "<f4".
      shape: of whole numbers.
    """

    dtype: str | None = None
    shape: tuple[int, ...] | None = None


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The content of an .npz file, compressed unless reading it back would look like a bomb.

    Raises:
      RunFolderError: an array of a dtype that cannot be read back without pickle.

    >>> packed({"a": np.arange(3)})[:2]
    b'PK'
    """
    for name, array in arrays.items():
        if array.dtype.kind not in _KINDS:
            raise RunFolderError(f"{name} has dtype {array.dtype}, which cannot be saved; make it float32 or integers")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    size = buffer.getbuffer().nbytes
    if sum(array.nbytes for array in arrays.values()) > TIMES * size:
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpacked(content: bytes, stated: Mapping[str, Stated]) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, read-only.

    Args:
      content: of the file.
      stated: what it must hold, by the names of the arrays.

    Raises:
      ValueError: content that is no such file, other arrays, another dtype or shape, or too much to unpack.

    >>> unpacked(packed({"a": np.arange(3)}), {"a": Stated("<i8", (3,))})["a"]
    array([0, 1, 2])
    """
    try:
        return dict(_arrays(content, stated))
    except Exception as error:  # of the parsers of zip, deflate and NumPy's header, which raise much on damage
        what = str(error) if isinstance(error, ValueError) and str(error) else type(error).__name__
        raise ValueError(f"its arrays cannot be read ({what.splitlines()[0][:120]})") from None


def _arrays(content: bytes, stated: Mapping[str, Stated]) -> list[tuple[str, np.ndarray]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if sorted(member.filename for member in members) != sorted(f"{name}.npy" for name in stated):
            raise ValueError("there are others than model.json names")
        size = sum(member.file_size for member in members)
        if size > TIMES * len(content) + SPARE:
            raise ValueError(f"{len(content):,} bytes would unpack to {size:,}")
        out = []
        for member in members:
            name = member.filename.removesuffix(".npy")
            out.append((name, _array(archive.read(member), name, stated[name])))
        return out


def _array(content: bytes, name: str, stated: Stated) -> np.ndarray:
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read: Any = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, by_column, dtype = read(file)
    if dtype.kind not in _KINDS:
        raise ValueError(f"{name} has dtype {dtype}")
    wanted = (stated.dtype or dtype.str, shape if stated.shape is None else stated.shape)
    if (dtype.str, shape) != wanted:
        raise ValueError(f"{name} is {dtype.str} {shape}, not {wanted[0]} {wanted[1]}")
    count = int(np.prod([int(size) for size in shape], dtype=object)) if shape else 1
    if count < 0 or count * dtype.itemsize != len(content) - file.tell():
        raise ValueError(f"{name} has {len(content) - file.tell()} bytes for {dtype.str} {shape}")
    flat = np.frombuffer(content, dtype, count, file.tell()) if count * dtype.itemsize else np.zeros(count, dtype)
    _check_text(flat, name)
    return flat.reshape(shape, order="F" if by_column else "C")


def _check_text(array: np.ndarray, name: str) -> None:
    """Raise ValueError for numbers that are no characters."""
    if array.dtype.kind == "U" and array.size:
        codes = np.frombuffer(array.tobytes(), np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if int(codes.max(initial=0)) > 0x10FFFF:
            raise ValueError(f"{name} has characters that do not exist")
