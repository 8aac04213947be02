"""Opening files that may be gzip, with a bound on what they unpack to."""

from __future__ import annotations

import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from jaxrec.errors import DataError

FREE_BYTES = 16 << 20  # unpacked, whatever the size of the file
MOST_TIMES = 100  # beyond them: text of ratings packs to a third or a tenth, and a made bomb to a thousandth


class _Bounded(io.RawIOBase):
    """The bytes of a gzip file, up to a bound."""

    def __init__(self, path: Path) -> None:
        self.path, self.file, self.given = path, gzip.GzipFile(path, "rb"), 0
        self.most = max(FREE_BYTES, MOST_TIMES * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        new = self.file.read(len(buffer))
        self.given += len(new)
        if self.given > self.most:
            raise DataError(
                f"{self.path}: unpacks to more than {MOST_TIMES} times its size and {FREE_BYTES >> 20} MB; if it is "
                "right, unpack it by hand (gunzip) and read that file"
            )
        buffer[: len(new)] = new
        return len(new)

    def close(self) -> None:
        self.file.close()
        super().close()


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading bytes, unpacked where it is gzip (by content, whatever its name).

    Raises:
      DataError: on reading, more unpacked bytes than text packs to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "file")
    ...     _ = path.write_bytes(gzip.compress(b"text"))
    ...     with open_bytes(path) as file:
    ...         file.read()
    b'text'
    """
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, io.BufferedReader(_Bounded(path), 1 << 18)) if packed else open(path, "rb")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what damaged gzip data and a file that cannot be read raise into one line.

    >>> with reading(Path("x.gz")):
    ...     raise EOFError("it ends early")
    Traceback (most recent call last):
        ...
    jaxrec.errors.DataError: x.gz: the gzip data are damaged (it ends early); fetch the file again
    """
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip data are damaged ({error}); fetch the file again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
