"""Timing in turns, result rows, and the exponent of a power law."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Work = Callable[[], Any]  # does the work once, and returns when done


@dataclasses.dataclass(frozen=True)
class Samples:
    """The timings of one piece of work.

    Attributes:
      first: seconds of the first call, which compiles and warms up and is not counted.
      wall: seconds of each counted call.
      cpu: CPU seconds of the process in each counted call, over all threads; they reveal other load.
    """

    first: float
    wall: tuple[float, ...]
    cpu: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a result table.

    Attributes:
      benchmark: the name of the benchmark.
      setting: the common setting of comparable rows, such as "d 64".
      name: the library and its variant.
      unit: the unit of the values, such as "s per step".
      values: the measurements; empty if the row could not be measured.
      cpu: CPU seconds in the unit of the values, or empty.
      compile_seconds: compilation time before the first value, if the library compiles.
      note: at most one sentence, for example why the row could not be measured.
      extra: further figures, for the JSON document.
    """

    benchmark: str
    setting: str
    name: str
    unit: str
    values: tuple[float, ...] = ()
    cpu: tuple[float, ...] = ()
    compile_seconds: float | None = None
    note: str = ""
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def by_turns(works: Mapping[str, Work], repeats: int) -> dict[str, Samples]:
    """Time several pieces of work in turns, so that a slow phase of the machine affects all of them.

    Args:
      works: name -> a function without arguments that returns when its work is done.
      repeats: counted calls of each. The first round is not counted; each round starts with another piece of work.

    >>> sorted(by_turns({"a": lambda: None, "b": lambda: None}, repeats=3))
    ['a', 'b']
    """
    names = list(works)
    first = {name: _timed(works[name])[0] for name in names}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for turn in range(repeats):
        at = turn % max(len(names), 1)
        for name in names[at:] + names[:at]:
            taken[name].append(_timed(works[name]))
    return {
        name: Samples(first[name], tuple(wall for wall, _ in taken[name]), tuple(cpu for _, cpu in taken[name]))
        for name in names
    }


def _timed(work: Work) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def spread(values: Sequence[float]) -> dict[str, float]:
    """Compute the median, extremes and quartiles of values (linear between neighbors).

    >>> spread([4.0, 1.0, 2.0, 3.0, 5.0])["median"]
    3.0
    """
    low, lower, median, upper, high = np.percentile(np.asarray(values, np.float64), [0, 25, 50, 75, 100]).tolist()
    return {"median": median, "min": low, "max": high, "lower_quartile": lower, "upper_quartile": upper}


def exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    r"""Fit the exponent b of times = a sizes^b, by least squares in logarithms.

    .. math:: b = \sum (x - \bar x)(y - \bar y) / \sum (x - \bar x)^2, \quad x = \log s, \; y = \log t

    NaN with fewer than two sizes.

    >>> round(exponent([1.0, 10.0, 100.0], [3.0, 30.0, 300.0]), 12)
    1.0
    """
    x, y = np.log(np.asarray(sizes, np.float64)), np.log(np.asarray(times, np.float64))
    if len(x) < 2:
        return float("nan")
    x = x - x.mean()
    return float(x @ (y - y.mean()) / (x @ x))


def missing(benchmark: str, setting: str, name: str, unit: str, package: str) -> Row:
    """Make the row of a peer that is not installed.

    >>> missing("topk", "", "implicit", "s", "implicit").note
    "not installed: pip install 'jaxrec[bench]' (implicit)"
    """
    return Row(benchmark, setting, name, unit, note=f"not installed: pip install 'jaxrec[bench]' ({package})")
