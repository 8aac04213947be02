"""Archives that are unpacked only after every member has been looked at."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from jaxrec.errors import DownloadError

_FREE_BYTES, _MOST_TIMES = 64 << 20, 100  # what an archive may unpack to, whatever its size, and in sizes of it
_DEEPEST = 64  # folders in one another


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
    with hidden_folder(folder) as staging:
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


@contextlib.contextmanager
def hidden_folder(folder: Path) -> Iterator[Path]:
    """A new hidden folder beside `folder`, gone at the end whatever happens."""
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
