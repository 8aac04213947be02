"""Times of two versions in turns, and the median of the ratios within each turn."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from experiments.bench.process import environment
from jaxrec.cli import huge_pages

WORK = ("step", "evaluation", "epoch")


class Worker:
    """A process of the version in `folder`."""

    def __init__(self, folder: pathlib.Path) -> None:
        import os

        variables = environment(os.environ, len(os.sched_getaffinity(0)), large_pages=huge_pages().possible)
        script = pathlib.Path(__file__).with_name("worker.py").resolve()
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**variables, "PYTHONPATH": str(folder.resolve())},
            cwd=folder,
        )
        self.answer()

    def answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended with code {self.process.wait()}")
        return line

    def time(self, piece: str) -> tuple[float, str]:
        """The seconds of a piece of work, and what it computed."""
        assert self.process.stdin is not None
        self.process.stdin.write(piece + "\n")
        self.process.stdin.flush()
        seconds, value = self.answer().split(" ", 1)
        return float(seconds), value.strip()

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def median_ratio(first: list[float], second: list[float], seed: int = 0) -> tuple[float, float, float]:
    """The median of second / first, pair by pair, with its 95% bootstrap interval.

    >>> median_ratio([1.0, 2.0, 4.0], [2.0, 4.0, 8.0])
    (2.0, 2.0, 2.0)
    """
    ratios = np.array(second) / np.array(first)
    rows = np.random.default_rng(seed).integers(0, len(ratios), (4000, len(ratios)))
    low, high = np.quantile(np.median(ratios[rows], axis=1), [0.025, 0.975])
    return float(np.median(ratios)), float(low), float(high)


def compare(before: pathlib.Path, now: pathlib.Path, pairs: int, pieces: Sequence[str] = WORK) -> None:
    """Print the medians of both versions and of their ratios, for each piece of work."""
    workers = [Worker(before), Worker(now)]
    for piece in pieces:
        seconds: tuple[list[float], list[float]] = ([], [])
        values = ["", ""]
        for turn in range(pairs):
            for at in (0, 1) if turn % 2 == 0 else (1, 0):
                one, values[at] = workers[at].time(piece)
                seconds[at].append(one)
        ratio, low, high = median_ratio(*seconds)
        print(
            f"{piece:<10} before {np.median(seconds[0]):.3f} s, now {np.median(seconds[1]):.3f} s, "
            f"ratio {ratio:.3f} [{low:.3f}, {high:.3f}], values {'equal' if values[0] == values[1] else values}",
            flush=True,
        )
    for worker in workers:
        worker.stop()
