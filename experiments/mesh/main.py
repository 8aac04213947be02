"""Measure steps on several fake devices in bytes, compare trainings on them with one device, and time node orders."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

import jaxrec
from experiments.mesh import order
from experiments.mesh.config import DEVICES, FAKE, LAYOUTS, MODEL, ONE_AFTER_ANOTHER, OPTIONS, RUN_BATCH, RUNS
from jaxrec.fitting import DataSizes, step_plan
from jaxrec.models import with_sizes
from jaxrec.parallel import place

STARTED = "JAXREC_MESH_STARTED"


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and print a line of JSON for each result.

    Args:
      argv: the words after the program's name; those of this process by default.

    Returns:
      0.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments.mesh", description=__doc__)
    parser.add_argument("what", nargs="*", default=list(WHATS), help=f"of {', '.join(WHATS)}")
    parser.add_argument("--data", default="gowalla", help="a name that `jaxrec datasets` lists, or a file")
    parser.add_argument("--rounds", type=int, default=11, help="of order: how many blocks of steps are counted")
    parser.add_argument("--columns", type=int, nargs="+", default=list(order.DIMS), help="of order: of the tables")
    asked = parser.parse_args(argv)
    if os.environ.get(STARTED):
        for what in asked.what:
            WHATS[what](asked)
        return 0
    for what in asked.what:
        for extra in ("", ONE_AFTER_ANOTHER) if what == "bytes" else ("",):
            columns = ["--columns", *map(str, asked.columns)]
            _again([what, "--data", asked.data, "--rounds", str(asked.rounds), *columns], extra)
    return 0


def balance(asked: argparse.Namespace) -> None:
    """The largest number of non-zeros and of rows of a device over the mean, for 2 to 64 devices."""
    part = _read(asked.data)
    users, items = (np.bincount(index, minlength=size) for index, size in _sides(part))
    for devices in (2, 4, 8, 16, 32, 64):
        started = time.process_time()
        made = place(users, items, devices=devices)
        seconds = time.process_time() - started
        sums = np.zeros(devices)
        for weights, places, rows in ((users, made.users, made.user_rows), (items, made.items, made.item_rows)):
            np.add.at(sums, places // rows // (made.parts // devices), weights)
        _tell("balance", devices=devices, non_zeros=sums.max() / sums.mean(), cpu_seconds=seconds)


def count_bytes(asked: argparse.Namespace) -> None:
    """What a step takes on each device and communicates, for each layout."""
    part = _read(asked.data)
    model = with_sizes(MODEL, part.num_users, part.num_items)
    flag = ONE_AFTER_ANOTHER in os.environ["XLA_FLAGS"]
    for layout in LAYOUTS:
        plan = step_plan(model, DataSizes.of(part), OPTIONS, layout, layout.mesh(), compiled=True)
        _tell("bytes", one_after_another=flag, **plan.to_dict())


def run(asked: argparse.Namespace) -> None:
    """An epoch of 20 steps, for each layout: loss, parameters, figures, and CPU seconds."""
    given = _split(asked.data)
    options = dataclasses.replace(OPTIONS, batch_size=RUN_BATCH)
    first: Any = None
    for layout in RUNS:
        started = time.process_time()
        model = jaxrec.fit(MODEL, given, options, key=_key(), mesh=layout)
        cpu = time.process_time() - started
        report = jaxrec.evaluate(model, given, k=20, space=None, mesh=None if layout is None else DEVICES)
        first = model if first is None else first
        pairs = zip(jax.tree.leaves(model.variables), jax.tree.leaves(first.variables), strict=True)
        _tell(
            "run",
            layout="one device" if layout is None else str(layout),
            loss=model.info["records"][-1]["loss"],
            parameters_differ=max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs),
            recall=report.mean("recall@20"),
            ndcg=report.mean("ndcg@20"),
            epoch_seconds=model.info["seconds"]["epochs"][0],
            cpu_seconds=cpu,
        )


def time_orders(asked: argparse.Namespace) -> None:
    """A step on one device with the nodes in the order of the data and by clusters: seconds, and bytes."""
    order.measure(_read(asked.data), asked.columns, asked.rounds, functools.partial(_tell, "order"))


WHATS = {"balance": balance, "bytes": count_bytes, "run": run, "order": time_orders}


def _again(words: Sequence[str], extra: str) -> None:
    """Run this program in a process whose JAX has fake devices, which it makes when it starts; `order` needs one."""
    flags = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ.get("XLA_FLAGS", ""))
    fake = "" if words[0] == "order" else FAKE
    environment = {**os.environ, STARTED: "1", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"{flags} {fake} {extra}".strip()}
    subprocess.run([sys.executable, "-m", "experiments.mesh", *words], env=environment, check=True)


def _split(data: str) -> jaxrec.Split:
    """The published split of a named data set, or a random one of a file."""
    if "." in data:
        return jaxrec.split(jaxrec.read(data), "user_random", key=_key())
    return jaxrec.split(jaxrec.load(data), "predefined")


def _read(data: str) -> jaxrec.Interactions:
    return _split(data).train


def _sides(part: jaxrec.Interactions) -> list[tuple[np.ndarray, int]]:
    return [(part.user, part.num_users), (part.item, part.num_items)]


def _key() -> jax.Array:
    return jax.random.key(0)


def _tell(what: str, **values: Any) -> None:
    print(json.dumps({"what": what, **values}), flush=True)
