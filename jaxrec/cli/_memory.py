"""Memory settings of a new process, the devices, and the cache of compiled programs.

On Linux every large array is mapped afresh, in pages of 4 KiB, and touching them is a large part of the cost of a
sparse product. glibc 2.35 and newer asks for pages of 2 MiB if the environment variable GLIBC_TUNABLES holds
`glibc.malloc.hugetlb=1` and the kernel grants them on request ("madvise"). The variable is read when a process starts,
so the command line sets it and replaces itself, once. Python programs are left alone: set it in the shell.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from jaxrec.errors import JaxrecError

TUNABLE = "glibc.malloc.hugetlb"
OFF = "JAXREC_NO_REEXEC"  # set by users who want no restart
RESTARTED = "JAXREC_RESTARTED"  # set by the restart, so that there is never a second one
CACHE = "JAXREC_CACHE"
_KERNEL = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")


@dataclasses.dataclass(frozen=True)
class HugePages:
    """The settings of large pages on this machine and in this process.

    Attributes:
      glibc: the version of the GNU C library, or "" without one.
      kernel: "always", "madvise" or "never"; "" where the kernel does not say.
      tunables: the value of GLIBC_TUNABLES.

    >>> HugePages("2.36", "madvise", "glibc.malloc.hugetlb=1").active
    True
    """

    glibc: str
    kernel: str
    tunables: str

    @property
    def possible(self) -> bool:
        """Whether setting the tunable would change anything."""
        return self.kernel == "madvise" and _version(self.glibc) >= (2, 35)

    @property
    def active(self) -> bool:
        """Whether large arrays get large pages in this process."""
        words = self.tunables.split(":")
        return self.kernel == "always" or (self.possible and any(f"{TUNABLE}={value}" in words for value in "12"))

    def advice(self) -> str:
        """Describe the settings in a sentence for the doctor.

        >>> HugePages("2.31", "madvise", "").advice()
        'large pages need glibc 2.35 or newer, this is 2.31'
        """
        if self.active:
            return "large pages are on"
        if not self.glibc:
            return "large pages need Linux with the GNU C library"
        if self.kernel != "madvise":
            return f"the kernel gives large pages {self.kernel or 'in an unknown way'}; madvise or always is needed"
        if not self.possible:
            return f"large pages need glibc 2.35 or newer, this is {self.glibc}"
        return (
            f"fit and evaluate turn large pages on; in your own programs set GLIBC_TUNABLES={TUNABLE}=1 before Python"
        )


def huge_pages(environ: Mapping[str, str] = os.environ) -> HugePages:
    """Find the settings of this machine and this process.

    >>> huge_pages({"GLIBC_TUNABLES": "a=b"}).tunables
    'a=b'
    """
    try:
        library, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, ValueError, OSError):  # no such name outside Linux
        library, version = "", ""
    try:
        kernel = _KERNEL.read_text().partition("[")[2].partition("]")[0]
    except OSError:
        kernel = ""
    return HugePages(version if library == "glibc" else "", kernel, environ.get("GLIBC_TUNABLES", ""))


def restart_environment(environ: Mapping[str, str], pages: HugePages) -> dict[str, str] | None:
    """Make the environment of a restart; None where a restart changes nothing or is not wanted.

    >>> restart_environment({"PATH": "/bin"}, HugePages("2.36", "madvise", ""))["GLIBC_TUNABLES"]
    'glibc.malloc.hugetlb=1'
    >>> restart_environment({"JAXREC_NO_REEXEC": "1"}, HugePages("2.36", "madvise", "")) is None
    True
    """
    unwanted = environ.get(OFF, "") not in ("", "0") or RESTARTED in environ or TUNABLE in pages.tunables
    if unwanted or not pages.possible:
        return None
    tunables = ":".join(word for word in (pages.tunables, f"{TUNABLE}=1") if word)
    return {**environ, "GLIBC_TUNABLES": tunables, RESTARTED: "1"}


def restart_with_huge_pages() -> None:
    """Replace this process by one with large pages, or return where that does not help."""
    environment = restart_environment(os.environ, huge_pages())
    if environment is None or not sys.platform.startswith("linux") or not sys.executable:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
    except OSError:  # then it goes on as it is, only slower
        return


def use_cache(folder: str | None) -> None:
    """Keep compiled programs in a folder, so that a second run need not compile them again.

    Args:
      folder: made if need be; None takes the one that JAXREC_CACHE names, if any. Where it cannot be made or written
        to, a warning tells, and nothing is kept.

    >>> use_cache("")  # no folder, no cache
    """
    folder = os.environ.get(CACHE) if folder is None else folder
    if not folder:
        return
    path = pathlib.Path(folder).expanduser().absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        told = f"the cache folder {folder!r} cannot be used ({error.strerror}), so compiled programs are not kept"
        warnings.warn(told, UserWarning, stacklevel=2)
        return
    import jax

    jax.config.update("jax_compilation_cache_dir", str(path))
    # By default only what took a second to compile is kept, and a small job is a hundred programs below that.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def devices() -> list[Any]:
    """Find the devices that JAX computes on.

    Raises:
      JaxrecError: there is no device of the kind that JAX_PLATFORMS asks for.

    >>> len(devices()) > 0
    True
    """
    import jax

    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter where no plugin knows the platform
        asked = os.environ.get("JAX_PLATFORMS", "")
        reason = " ".join(str(error).split()) or f"nothing here makes {asked!r} available"
        raise JaxrecError(
            f"JAX finds no device: {reason}; JAX_PLATFORMS is {asked!r}, and unset it takes what there is"
        ) from None


def _version(text: str) -> tuple[int, ...]:
    numbers = text.split(".")[:2]
    return tuple(int(number) for number in numbers) if all(number.isdigit() for number in numbers) else (0,)
