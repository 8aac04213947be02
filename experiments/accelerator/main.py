"""Check an accelerator's numbers against the CPU's, then measure steps a second, within a stated time."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import tyro

import jaxrec
from experiments.accelerator.checks import CHECKS, begun, epoch, table
from experiments.bench.generator import power_law
from jaxrec.files import write_whole
from jaxrec.fitting import versions
from jaxrec.losses import BPR, InBatchSoftmax
from jaxrec.ranking import recommend_lists
from jaxrec.scorers import FactorScorer
from jaxrec.sparse import spmm
from jaxrec.training import train_data


@dataclasses.dataclass(frozen=True)
class Options:
    """Check numbers against the CPU and print steps a second.

    Attributes:
      users, items, pairs: of the generated data; the defaults are the size of Gowalla.
      check_pairs: pairs of the smaller data that the checks are made on.
      dims: widths of the tables.
      batch_size: of the steps.
      seconds: no part begins after this; a part that has begun is ended.
      out: a JSON file.
    """

    users: int = 29_858
    items: int = 40_981
    pairs: int = 810_128
    check_pairs: int = 100_000
    dims: tuple[int, ...] = (64, 256)
    batch_size: int = 2048
    seconds: float = 400
    out: pathlib.Path = pathlib.Path("runs/accelerator.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; 1 if a number of the device differs from the CPU's."""
    options = tyro.cli(Options, args=argv, prog="python -m experiments.accelerator")
    started, device, reference = time.perf_counter(), jax.devices()[0], jax.devices("cpu")[0]
    print(f"{device.device_kind} ({device.platform}), {len(jax.devices())} of them; jax {jax.__version__}", flush=True)
    share = min(1.0, options.check_pairs / options.pairs)
    size = [max(20, int(number * share)) for number in (options.users, options.items)]
    small = power_law(
        min(options.check_pairs, options.pairs, size[0] * size[1] // 4), size[0], size[1], jax.random.key(0)
    )
    parts: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        (check.name, functools.partial(checked, check, small, device, reference)) for check in CHECKS
    ]
    large = power_law(options.pairs, options.users, options.items, jax.random.key(0))
    for dim in options.dims:
        for moved in ("float32", "bfloat16"):
            parts.append((f"product of {dim} columns, {moved}", functools.partial(product_rate, large, dim, moved)))
            model = jaxrec.LightGCN(dim=dim, layers=3, moved=moved)
            parts.append((f"LightGCN {dim}, {moved}", functools.partial(step_rate, large, model, BPR(), options)))
        parts.append(
            (f"MF {dim}", functools.partial(step_rate, large, jaxrec.MF(dim=dim), InBatchSoftmax(0.2), options))
        )
        rows_only = functools.partial(step_rate, large, jaxrec.MF(dim=dim), BPR(), options, sparse=True)
        parts.append((f"MF {dim}, row steps", rows_only))
    parts.append(("ranking, top 20", lambda: ranking_rate(large)))
    rows = []
    for name, run in parts:
        if time.perf_counter() - started > options.seconds:
            rows.append({"part": name, "left_out": True})
        else:
            rows.append({"part": name, **run()})
        print(json.dumps(rows[-1]), flush=True)
    found = {"device": device.device_kind, "platform": device.platform, "versions": versions(), "rows": rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(options.out, (json.dumps(found, indent=1) + "\n").encode())
    wrong = [row["part"] for row in rows if not row.get("agrees", True)]
    print(
        f"differs from the CPU: {', '.join(wrong)}" if wrong else "all checked numbers agree with the CPU", flush=True
    )
    return 1 if wrong else 0


def checked(check: Any, data: jaxrec.Interactions, device: Any, reference: Any) -> dict[str, Any]:
    """The difference that a check finds, and whether it is within its tolerance."""
    difference = check.difference(data, device, reference)
    return {"difference": difference, "tolerance": check.tolerance, "agrees": bool(difference <= check.tolerance)}


def seconds_of(run: Callable[[], Any], rounds: int = 5) -> float:
    """The median of a few runs, after one that compiles; each waits for its result."""
    times = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - begin)
    return float(np.median(times[1:]))


def product_rate(data: jaxrec.Interactions, dim: int, moved: Any) -> dict[str, Any]:
    """Milliseconds of a product, and gigabytes a second of what it must move: see docs/accelerators.md."""
    adjacency, x = train_data(data).adjacency, table(data, dim)
    product = jax.jit(lambda adjacency, x: spmm(adjacency, x, moved=moved))
    seconds = seconds_of(lambda: product(adjacency, x))
    entries, nodes, width = adjacency.data.shape[0], x.shape[0], 2 if moved == "bfloat16" else 4
    moves = entries * (12 + width * dim) + 4 * nodes * dim
    return {"ms": round(1e3 * seconds, 3), "gb_per_s": round(moves / seconds / 1e9, 2)}


def step_rate(data: jaxrec.Interactions, model: Any, loss: Any, options: Options, **optimizer: Any) -> dict[str, Any]:
    """Steps a second, over an epoch of 20 steps in one program, with shuffling and negatives."""
    state, step, negatives, tables = begun(model, loss, data, **optimizer)
    some = min(20 * options.batch_size, len(data))
    tables = dataclasses.replace(tables, user=tables.user[:some], item=tables.item[:some])
    begin = time.perf_counter()
    program = epoch.lower(state, step, negatives, tables, batch_size=options.batch_size).compile()
    compiled = time.perf_counter() - begin
    seconds = seconds_of(lambda: program(state, step, negatives, tables)[1], 3)
    steps = -(-some // options.batch_size)
    return {"steps_per_s": round(steps / seconds, 1), "compile_s": round(compiled, 1)}


def ranking_rate(data: jaxrec.Interactions) -> dict[str, Any]:
    """Users a second, over the whole catalog."""
    x, seen = table(data), train_data(data).seen
    scorer = FactorScorer(x[: data.num_users], x[data.num_users :], dim=x.shape[1])
    users = np.arange(data.num_users)
    seconds = seconds_of(lambda: recommend_lists(scorer, users, min(20, data.num_items), seen=seen)[1], 2)
    return {"users_per_s": round(len(users) / seconds)}
