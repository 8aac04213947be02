"""The machine behind a figure: processor, memory, settings and versions."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
from typing import Any

from experiments.bench.process import usable_cores
from jaxrec.cli import huge_pages

_CACHES = pathlib.Path("/sys/devices/system/cpu/cpu0/cache")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def describe() -> dict[str, Any]:
    """Describe the machine in plain values.

    >>> describe()["cores_used"] >= 1
    True
    """
    pages = huge_pages()
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "cores_used": len(usable_cores()),
        "caches": caches(),
        "memory_gib": _memory_gib(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "platform": platform.platform(),
        "glibc": pages.glibc,
        "kernel_huge_pages": pages.kernel,
        "glibc_tunables": pages.tunables,
        "huge_pages": pages.active,
        "threads": {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")},
        "python": platform.python_version(),
        "versions": {name: one.version for one in importlib.metadata.distributions() if (name := one.metadata["Name"])},
    }


def cpu_model() -> str:
    """Return the name of the processor, or the architecture if the system does not tell the name."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def caches() -> dict[str, int]:
    """Return the sizes of the first core's data caches in bytes, such as {"L2": 1048576}; empty if unknown."""
    out = {}
    for folder in sorted(_CACHES.glob("index*")):
        try:
            kind, level, size = ((folder / name).read_text().strip() for name in ("type", "level", "size"))
        except OSError:
            continue
        if kind != "Instruction":
            out[f"L{level}"] = cache_bytes(size)
    return out


def cache_bytes(text: str) -> int:
    """Parse a cache size of the kernel, such as `32K`, to bytes.

    >>> cache_bytes("32K")
    32768
    """
    return int(text[:-1]) * _UNITS[text[-1]] if text[-1] in _UNITS else int(text)


def sentence(found: dict[str, Any]) -> str:
    """Describe the machine in one line, for a table."""
    caches = ", ".join(f"{level} {size / 2**20:g} MiB" for level, size in found["caches"].items())
    named = ("jax", "jaxlib", "torch", "torch-geometric", "implicit", "scikit-surprise", "scikit-learn", "numpy")
    versions = {name.lower().replace("_", "-"): version for name, version in found["versions"].items()}
    installed = ", ".join(f"{name} {versions[name]}" for name in named if name in versions)
    return (
        f"{found['cpu']}, {found['cores_used']} of {found['cores']} cores; {caches or 'caches unknown'}; "
        f"{found['memory_gib']} GiB; {found['platform']}; huge pages {'on' if found['huge_pages'] else 'off'}; "
        f"load average {found['load_average']} at the start; Python {found['python']}; {installed}"
    )


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None
