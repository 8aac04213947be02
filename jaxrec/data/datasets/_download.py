"""Finding the files of a named data set: named folder, cache folder, or a checked download that is unpacked safely."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxrec.data.datasets._archives import hidden_folder, safe_unpack
from jaxrec.errors import DownloadError, MissingFileError
from jaxrec.progress import Work, work

ENVIRONMENT = "JAXREC_DATA"  # names a folder that holds one folder for each data set


@dataclasses.dataclass(frozen=True)
class File:
    """One file of a data set, with the hash and size of its bytes.

    Attributes:
      name: its name inside the data set's folder.
      address: where to download it; "" for a member of the source's archive.
      hash: "md5:..." or "sha256:..." of its bytes; "" if there is no lasting one.
      also: other hashes of the same kind that are accepted, of files with the same content in another order.
      lines: the number of lines it must have, or None.

    >>> File("ratings.csv", lines=100_837).lines
    100837
    """

    name: str
    address: str = ""
    hash: str = ""
    also: tuple[str, ...] = ()
    lines: int | None = None


@dataclasses.dataclass(frozen=True)
class Source:
    """The files of a data set: either each with an address of its own, or together in one zip archive.

    Attributes:
      folder: the name of the folder that they are in, below the data folder.
      files: the files that are needed; an archive may hold more.
      archive: the zip archive, or None.

    >>> Source("toy", (File("a.txt", "http://127.0.0.1/a.txt"),)).addresses
    ('http://127.0.0.1/a.txt',)
    """

    folder: str
    files: tuple[File, ...]
    archive: File | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses of the downloads."""
        return tuple(file.address for file in ((self.archive,) if self.archive else self.files))


def cache_folder() -> Path:
    """Give the folder of this user's downloads, by the custom of the platform (`~/.cache/jaxrec` on Linux).

    >>> cache_folder().parts[-1] == "jaxrec" or os.name == "nt"
    True
    """
    import pooch

    return Path(pooch.os_cache("jaxrec"))


def obtain(
    source: Source,
    *,
    data_dir: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    download: bool = True,
    retries: int = 2,
    wait: float = 1.0,
    timeout: float = 30.0,
) -> Path:
    """Find the checked files of a data set, or download them; give their folder.

    Looked for in this order: `data_dir`; the folder in the environment variable JAXREC_DATA, if it exists; the cache
    folder; a download into the cache folder. In each the files are in a folder named `source.folder`, and hashes and
    numbers of lines are checked. A download is made, unpacked and checked beside its place and put there at the end,
    so a failure leaves nothing half-written.

    Args:
      source: what to find.
      data_dir: a folder that holds the data set's folder.
      cache_dir: instead of `cache_folder()`.
      download: False raises instead of using the network.
      retries: how often a download is tried again after a lost or refused connection.
      wait: seconds before it is tried again.
      timeout: seconds without an answer after which a connection is given up.

    Returns:
      The folder that holds `source.files`.

    Raises:
      MissingFileError: `data_dir` does not exist, the data set's folder lacks some of its files, or there is
        nothing and `download` is False.
      DownloadError: the download failed, or bytes are not the expected ones.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.mkdir(f"{folder}/toy")
    ...     written = Path(folder, "toy", "a.txt").write_text("1 2\\n")
    ...     obtain(Source("toy", (File("a.txt", lines=1),)), data_dir=folder).name
    'toy'
    """
    cache = Path(cache_dir) if cache_dir is not None else cache_folder()
    named = [Path(data_dir)] if data_dir is not None else []
    if named and not named[0].is_dir():
        raise MissingFileError(f"data_dir is {str(data_dir)!r}, which is not a folder; pass a folder that exists")
    if os.environ.get(ENVIRONMENT):
        named.append(Path(os.environ[ENVIRONMENT]))
    for place in (*named, cache):
        folder = place / source.folder
        missing = [file.name for file in source.files if not (folder / file.name).is_file()]
        if not missing:
            for file in source.files:
                check_file(folder / file.name, file)
            return folder
        if len(missing) < len(source.files) and place is not cache:
            raise MissingFileError(f"{folder} lacks {', '.join(missing)}; add the files, or rename the folder")
    searched = ", ".join(str(place / source.folder) for place in (*named, cache))
    names = ", ".join(file.name for file in source.files)
    remedy = f"put {names} into {(named or [cache])[0] / source.folder} by hand"
    if not download:
        raise MissingFileError(f"{source.folder} is not in {searched}; {remedy}, or allow the download")
    _fetch(source, cache, remedy, retries, wait, timeout)
    return cache / source.folder


def check_file(path: Path, file: File) -> None:
    """Check the hash and the number of lines of a file.

    Raises:
      DownloadError: they are not the expected ones; both values are named.

    >>> check_file(Path(__file__), File("download.py"))
    """
    if file.hash:
        import pooch

        kind = file.hash.split(":")[0]
        found = f"{kind}:{pooch.file_hash(str(path), alg=kind)}"
        if found not in (file.hash, *file.also):
            raise DownloadError(
                f"{path} is not the published file: its hash is {found}, expected {file.hash}; "
                "replace it, or delete it to have it downloaded"
            )
    if file.lines is not None and (lines := _count_lines(path)) != file.lines:
        raise DownloadError(
            f"{path} is not the release that this name stands for: it has {lines:,} lines, expected {file.lines:,}; "
            "replace it, or read another release by its path with jaxrec.read"
        )


def _fetch(source: Source, cache: Path, remedy: str, retries: int, wait: float, timeout: float) -> None:
    """Download into a folder beside the final one, check, and put in place."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"the cache folder {cache} cannot be made ({error.strerror}); {remedy}") from error
    with hidden_folder(cache / source.folder) as staging:
        unpacked = staging / "unpacked"
        if source.archive is None:
            unpacked.mkdir()
            for file in source.files:
                _download(file, unpacked / file.name, remedy, retries, wait, timeout)
        else:
            _download(source.archive, staging / source.archive.name, remedy, retries, wait, timeout)
            try:
                safe_unpack(staging / source.archive.name, unpacked)
            except DownloadError as error:
                raise DownloadError(f"download of {source.archive.address} failed: {error}; {remedy}") from error
            for file in source.files:
                if not (unpacked / file.name).is_file():
                    raise DownloadError(f"{source.archive.address} holds no {file.name}; {remedy}")
                _check_download(unpacked / file.name, file, source.archive.address, remedy)
        folder = cache / source.folder
        try:
            os.rename(unpacked, folder)
        except OSError:
            # The folder is there already, incomplete or made by another process meanwhile: replace file by file.
            for path in sorted(path for path in unpacked.rglob("*") if path.is_file()):
                target = folder / path.relative_to(unpacked)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)


def _download(file: File, path: Path, remedy: str, retries: int, wait: float, timeout: float) -> None:
    """Download one file with pooch to `path`, and check it."""
    import pooch
    from requests import exceptions

    downloader: Any = pooch.HTTPDownloader(timeout=timeout, chunk_size=1 << 20)
    logging.getLogger(__name__).info("downloading %s", file.address)
    for attempt in range(retries + 1):
        try:
            with _quiet_pooch(), work(f"downloading {path.name}", unit="MB") as told:
                downloader.progressbar = _Megabytes(told)
                pooch.retrieve(
                    file.address,
                    known_hash=None,  # checked below, where both values can be told
                    fname=path.name,
                    path=path.parent,
                    downloader=downloader,
                )
            path.chmod(0o644)  # pooch's temporary file is for its owner only
            break
        except (exceptions.RequestException, OSError, ValueError) as error:
            lost = isinstance(error, (exceptions.ConnectionError, exceptions.Timeout, exceptions.ChunkedEncodingError))
            if not lost or attempt == retries:
                tries = f" ({attempt + 1} tries)" if attempt else ""
                raise DownloadError(f"download of {file.address} failed: {_reason(error)}{tries}; {remedy}") from error
            time.sleep(wait)
    _check_download(path, file, file.address, remedy)


class _Megabytes:
    """What pooch tells of a download: bytes, in the form of a progress bar."""

    def __init__(self, told: Work) -> None:
        self._told = told
        self.total = 0

    def update(self, size: int) -> None:
        """So many bytes more."""
        self._told.total = self.total / 1e6 or None  # a server may not say it
        self._told.advance(size / 1e6)

    def reset(self) -> None:
        """Begin anew; pooch does so at the end."""
        self._told.reach(0)

    def close(self) -> None:
        """The download is over."""


def _check_download(path: Path, file: File, address: str, remedy: str) -> None:
    try:
        check_file(path, file)
    except DownloadError as error:
        what = str(error).removeprefix(f"{path} ").rsplit(";", 1)[0]
        raise DownloadError(f"download of {address}: {file.name} {what}; nothing was kept; {remedy}") from None


def _reason(error: BaseException) -> str:
    """What went wrong, in words, from the chain of exceptions below a failed request."""
    from requests import exceptions

    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code} {response.reason}"
    text = " ".join(repr(one) for one in _chain(error))
    if isinstance(error, exceptions.Timeout):
        return "no answer in time"
    for sign, words in (
        ("ConnectionRefusedError", "connection refused"),
        ("NameResolutionError", "the host name was not found"),
        ("IncompleteRead", "the connection was cut before the end"),
        ("InvalidChunkLength", "the connection was cut before the end"),
        ("ended prematurely", "the connection was cut before the end"),
        ("ConnectionResetError", "the connection was cut"),
        ("RemoteDisconnected", "the connection was cut"),
        ("SSLError", "no secure connection could be made"),
    ):
        if sign in text:
            return words
    return str(error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    open_ends: list[object] = [error]
    while open_ends:
        one = open_ends.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            open_ends += [*one.args, one.__cause__, one.__context__, getattr(one, "reason", None)]


@contextlib.contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Keep pooch from printing each step, and put its logger back as it was."""
    import pooch

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _count_lines(path: Path) -> int:
    lines, last = 0, b"\n"
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")
