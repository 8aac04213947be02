"""Finding the files of a named data set: named folder, cache folder, or a checked download that is unpacked safely."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import shutil
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from jaxrec.errors import DownloadError, MissingFileError
from jaxrec.progress import Work, work

_FREE_BYTES, _MOST_TIMES = 64 << 20, 100  # what an archive may unpack to, whatever its size, and in sizes of it
_DEEPEST = 64  # folders in one another
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


def safe_unpack(archive: Path, folder: Path, *, max_bytes: int = 4 << 30, max_members: int = 10_000) -> None:
    """Unpack a zip archive into a folder that does not exist yet, all of it or nothing.

    A single folder that all members share is left out of their names. Directories and plain files are unpacked;
    permissions, owners and times are not taken over.

    Args:
      archive: the zip file.
      folder: is made; its parent must exist.
      max_bytes: the most bytes that the members may have together, unpacked; at most 64 MB or 100 times the archive.
      max_members: the most members.

    Raises:
      DownloadError: not a zip file, damaged, too large, or a member that would leave the folder: an absolute path, a
        drive letter, a backslash, "..", a link or another special file, a name that comes twice.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with zipfile.ZipFile(f"{place}/toy.zip", "w") as made:
    ...         made.writestr("toy/a.txt", "1 2")
    ...     safe_unpack(Path(place, "toy.zip"), Path(place, "toy"))
    ...     os.listdir(f"{place}/toy")
    ['a.txt']
    """
    if folder.exists():
        raise DownloadError(f"{folder} exists already; unpack {archive.name} to a new folder")
    with _staging(folder) as staging:
        unpacked = staging / "unpacked"
        unpacked.mkdir()
        try:
            with zipfile.ZipFile(archive) as opened:
                members = [member for member in opened.infolist() if not member.is_dir()]
                _check_members(archive, opened.infolist(), max_bytes, max_members)
                shared = {PurePosixPath(member.filename).parts[0] for member in members}
                nested = all(len(PurePosixPath(member.filename).parts) > 1 for member in members)
                skip = 1 if len(shared) == 1 and nested else 0
                for member in members:
                    target = unpacked.joinpath(*PurePosixPath(member.filename).parts[skip:])
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with opened.open(member) as read, open(target, "xb") as write:
                        shutil.copyfileobj(read, write, 1 << 20)
        except DownloadError:
            raise
        except Exception as error:  # damaged archives raise what zlib, lzma, bz2, struct and zipfile have
            reason = " ".join(str(error)[:200].split()) or type(error).__name__
            raise DownloadError(f"{archive.name} could not be unpacked: {reason}; fetch it again") from error
        os.rename(unpacked, folder)


def _check_members(archive: Path, members: list[zipfile.ZipInfo], max_bytes: int, max_members: int) -> None:
    """Refuse an archive before anything of it is written."""
    total = sum(member.file_size for member in members)
    most = min(max_bytes, max(_FREE_BYTES, _MOST_TIMES * archive.stat().st_size))
    if total > most or len(members) > max_members:
        raise DownloadError(
            f"{archive.name} would unpack to {len(members):,} members and {total:,} bytes; at most {max_members:,} "
            f"and {most:,} are allowed"
        )
    places: dict[str, bool] = {}  # what is taken, in lower case, and whether by a folder
    for member in members:
        # `orig_filename` is what the archive says; `filename` is already cut at a null byte and converted.
        name, path = member.orig_filename, PurePosixPath(member.filename)
        kind = stat.S_IFMT(member.external_attr >> 16)
        if (
            not path.parts
            or path.is_absolute()
            or len(path.parts) > _DEEPEST
            or ".." in path.parts
            or any(sign in name for sign in ("\\", ":", "\0"))
            or kind not in (0, stat.S_IFREG, stat.S_IFDIR)
        ):
            raise DownloadError(f"{archive.name} has an unsafe member {name[:100]!r}; nothing of it was unpacked")
        for depth in range(1, len(path.parts) + 1):
            place = "/".join(path.parts[:depth]).lower()  # some file systems ignore case
            is_folder = depth < len(path.parts) or member.is_dir()
            if place in places and not (is_folder and places[place]):
                raise DownloadError(f"{archive.name} has the member {name[:100]!r} twice; nothing of it was unpacked")
            places[place] = is_folder


def _fetch(source: Source, cache: Path, remedy: str, retries: int, wait: float, timeout: float) -> None:
    """Download into a folder beside the final one, check, and put in place."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(f"the cache folder {cache} cannot be made ({error.strerror}); {remedy}") from error
    with _staging(cache / source.folder) as staging:
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
def _staging(folder: Path) -> Iterator[Path]:
    """A new hidden folder beside `folder`, gone at the end whatever happens."""
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


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
