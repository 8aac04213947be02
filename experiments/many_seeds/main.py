"""Time S seeds of a model trained in three ways, in alternation, and print wall and processor seconds."""

from __future__ import annotations

import dataclasses
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import tyro

import jaxrec
from jaxrec.cli.output import table


@dataclasses.dataclass(frozen=True)
class Options:
    """S seeds one after another, against all in one program.

    Attributes:
      data: a named data set.
      model: lightgcn or mf.
      seeds: S.
      epochs: of each training; nothing is validated, so that all ways do the same work.
      repeats: how often each way is timed.
    """

    data: str = "ml-100k"
    model: Literal["lightgcn", "mf"] = "lightgcn"
    seeds: int = 8
    epochs: int = 20
    repeats: int = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison."""
    options = tyro.cli(Options, args=argv, description="Several seeds one after another, against all in one program.")
    try:
        data = jaxrec.load(options.data)
    except jaxrec.JaxrecError as error:
        print(f"error: {error}")
        return 2
    model = jaxrec.models.MODELS[options.model]()
    how = jaxrec.FitOptions(epochs=options.epochs)
    keys = [jax.random.key(seed) for seed in range(options.seeds)]
    ways = {
        "one after another, each compiled": lambda: [alone(model, data, how, key, compiled=False) for key in keys],
        "one after another, compiled once": lambda: [alone(model, data, how, key, compiled=True) for key in keys],
        "at once": lambda: jaxrec.fit_many(model, data, how, keys=keys),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(options.repeats):
        for name, way in ways.items():
            jax.clear_caches()
            taken[name].append(seconds_of(way))
    rows = [(f"{options.seeds} seeds of {options.model}, {options.epochs} epochs, {options.data}", "wall s", "CPU s")]
    for name, times in taken.items():
        wall, processor = (statistics.median(each) for each in zip(*times, strict=True))
        rows.append((name, f"{wall:.1f}", f"{processor:.1f}"))
    print(table(rows, right=(1, 2)))
    return 0


def alone(model: Any, data: jaxrec.Interactions, how: jaxrec.FitOptions, key: jax.Array, *, compiled: bool) -> Any:
    """One training; without `compiled` all programs are compiled anew, as in a process of its own."""
    if not compiled:
        jax.clear_caches()
    return jaxrec.fit(model, data, how, key=key)


def seconds_of(way: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor seconds, the latter of all threads of this process."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    way()
    after = resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - wall, processor
