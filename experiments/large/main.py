"""Make a large file, read it, lay out its graph and train on it, each in a process of its own."""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import jax

import jaxrec
from experiments.large import config
from experiments.large.config import LAW, SIZES, Size
from experiments.large.measured import measured


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts that the command line asks for, and print a line of JSON for each.

    Args:
      argv: the words after the program's name; those of this process by default.

    Returns:
      0 where all parts ended well.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments.large", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; by default {', '.join(DEFAULT)}")
    parser.add_argument("--size", choices=SIZES, default="2e7", help="interactions; 2e7 by default")
    parser.add_argument("--folder", type=pathlib.Path, help="for the file and the columns; by default one that goes")
    parser.add_argument("--epochs", type=int, default=1, help="of fit")
    parser.add_argument("--here", action="store_true", help="run the parts in this process")
    asked = parser.parse_args(argv)
    parts = asked.parts or DEFAULT
    unknown = next((part for part in parts if part not in PARTS), None)
    if unknown is not None:
        parser.error(f"no part is named {unknown!r}; the parts are {', '.join(PARTS)}")
    if asked.folder is None:
        with tempfile.TemporaryDirectory() as folder:
            return _run(parts, asked.size, pathlib.Path(folder), asked.epochs, here=asked.here)
    asked.folder.mkdir(parents=True, exist_ok=True)
    return _run(parts, asked.size, asked.folder, asked.epochs, here=asked.here)


def _run(parts: Sequence[str], size: str, folder: pathlib.Path, epochs: int, *, here: bool) -> int:
    for part in parts:
        if here:
            print(json.dumps({"part": part, "size": size, **PARTS[part](SIZES[size], folder, epochs)}), flush=True)
            continue
        words = [part, "--size", size, "--folder", str(folder), "--epochs", str(epochs), "--here"]
        done = subprocess.run([sys.executable, "-m", "experiments.large", *words], check=False)
        if done.returncode:
            return done.returncode
    return 0


def generate(size: Size, folder: pathlib.Path, epochs: int) -> dict[str, Any]:
    """Write the file, in 20 row groups for 2e7, ids as texts."""
    with measured() as figures:
        path = jaxrec.generate(
            size.users,
            size.items,
            size.interactions,
            jax.random.key(0),
            law=LAW,
            path=folder / "interactions.parquet",
            text_ids=True,
            group=1_000_000,
        )
    return {**figures, "disk_mb": round(path.stat().st_size / 1e6, 1)}


def read(size: Size, folder: pathlib.Path, epochs: int) -> dict[str, Any]:
    """Read the file into memory."""
    return _read(folder / "interactions.parquet")


def mapped(size: Size, folder: pathlib.Path, epochs: int) -> dict[str, Any]:
    """Read the file into columns that are mapped."""
    return _read(folder / "interactions.parquet", mapped=folder / "columns")


def text(size: Size, folder: pathlib.Path, epochs: int) -> dict[str, Any]:
    """Write the same rows as CSV."""
    from pyarrow import csv, parquet

    path = folder / "interactions.csv"
    with (
        measured() as figures,
        parquet.ParquetFile(folder / "interactions.parquet") as file,
        csv.CSVWriter(path, file.schema_arrow) as writer,
    ):
        for group in range(file.num_row_groups):
            writer.write_table(file.read_row_group(group))
    return {**figures, "disk_mb": round(path.stat().st_size / 1e6, 1)}


def read_text(size: Size, folder: pathlib.Path, epochs: int) -> dict[str, Any]:
    """Read the CSV into memory."""
    return _read(folder / "interactions.csv")


def mapped_text(size: Size, folder: pathlib.Path, epochs: int) -> dict[str, Any]:
    """Read the CSV into columns that are mapped."""
    return _read(folder / "interactions.csv", mapped=folder / "columns")


def _read(path: pathlib.Path, mapped: pathlib.Path | None = None) -> dict[str, Any]:
    """Read a file: the figures, and bytes on disk of the file and of mapped columns."""
    with measured() as figures:
        data = jaxrec.read(path, mapped=mapped)
    files = [path, *(mapped.iterdir() if mapped is not None else ())]
    disk = {"disk_mb": round(sum(file.stat().st_size for file in files) / 1e6, 1)}
    return {**figures, **disk, **data.counts(), "fingerprint": data.fingerprint()[:12]}


def graph(size: Size, folder: pathlib.Path, epochs: int) -> dict[str, Any]:
    """Read the file, then lay out what a training needs: the figures are of the second, the peak of both."""
    from jaxrec.training import train_data

    data = jaxrec.read(folder / "interactions.parquet")
    with measured() as figures:
        tables = jax.block_until_ready(train_data(data))
    return {**figures, "entries": tables.adjacency.data.shape[0]}


def fit(size: Size, folder: pathlib.Path, epochs: int) -> dict[str, Any]:
    """Read the file and train LightGCN."""
    with measured() as figures:
        data = jaxrec.read(folder / "interactions.parquet", columns={"rating": None, "timestamp": None})
        model, options = config.training(size, epochs)
        fitted = jaxrec.fit(model, data, options, key=jax.random.key(1), progress=True)
    return {**figures, "losses": [record["loss"] for record in fitted.info["records"]]}


PARTS: dict[str, Callable[[Size, pathlib.Path, int], dict[str, Any]]] = {
    "generate": generate,
    "read": read,
    "mapped": mapped,
    "graph": graph,
    "text": text,
    "read-text": read_text,
    "mapped-text": mapped_text,
    "fit": fit,
}
DEFAULT = ("generate", "read", "mapped", "graph")
