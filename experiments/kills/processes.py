"""Kill one of two processes that train together, and resume the run with two, with one and with four."""

from __future__ import annotations

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from experiments.bench.generator import power_law
from experiments.kills.config import PROCESSES
from experiments.kills.outcome import run_outcome

LIMIT_SECONDS = 900.0
"""A run that takes longer hangs; all of it is killed."""
STEPS = 20
"""So many steps after a resume with another number of processes have their losses compared."""


def kill_processes(place: pathlib.Path, kills: int | None, moments: random.Random) -> dict[str, Any]:
    """Kill one of two processes again and again, and take each run up again in three ways.

    Args:
      place: a folder for the data and the runs.
      kills: how many SIGKILLs, or None for the number in config.py.
      moments: draws the process, the epoch and a part of a second after it.

    Returns:
      `kills`; `ended_within`, the most seconds from a kill to the end of the parent; `unnamed`, how many ends did not
      name the process; `different`, the runs resumed with two that differ in a bit from the one that was never
      stopped; `beyond`, how many of the following are above 1e-6 or .002; and for one and four processes the largest
      difference of the `losses` in the first 20 steps after the resume, and of the final `metrics`.
    """
    data, wanted = _written(place / "ratings.csv"), PROCESSES.kills if kills is None else kills
    started = ("fit", str(data), *PROCESSES.words, "--devices", "2")
    whole = place / "whole"
    _ended(_launch(2, *started, "--out", str(whole)))
    expected, log, figures = run_outcome(whole), _losses(whole), _figures(whole)
    within, unnamed, different = 0.0, 0, 0
    losses, metrics = {1: 0.0, 4: 0.0}, {1: 0.0, 4: 0.0}
    for number in range(wanted):
        run, whom, ended = place / f"run-{number}", 0, None
        while ended is None:  # a run that was over before is tried again
            shutil.rmtree(run, ignore_errors=True)
            whom, at, after = moments.randrange(2), moments.randrange(len(log) - STEPS), moments.uniform(0.0, 0.2)
            ended = _killed(_launch(2, *started, "--out", str(run)), run, whom, at, after)
        seconds, said = ended
        within, unnamed = max(within, seconds), unnamed + (f"process {whom} of 2 was killed by SIGKILL" not in said)
        for processes in (2, 1, 4):
            copy = place / "copy"
            shutil.copytree(run, copy)
            had = _steps(copy)[-1] if _steps(copy) else 0
            more = () if processes == 2 else ("--other-machine", "--devices", str(processes))
            _ended(_launch(processes, "fit", "--resume", str(copy), "--quiet", *more))
            if processes == 2:
                different += run_outcome(copy) != expected
            else:
                ours, theirs = (np.array(each[had : had + STEPS]) for each in (_losses(copy), log))
                losses[processes] = max(losses[processes], float(np.abs(ours - theirs).max()))
                distance = max(abs(value - figures[name]) for name, value in _figures(copy).items())
                metrics[processes] = max(metrics[processes], distance)
            shutil.rmtree(copy)
        shutil.rmtree(run)
        told = f"process {whom} within {seconds:.1f} s, {different} different"
        print(f"processes: {number + 1} of {wanted} kills, {told}, {losses}, {metrics}", file=sys.stderr, flush=True)
    return {
        "kills": wanted,
        "ended_within": round(within, 2),
        "unnamed": unnamed,
        "different": different,
        "beyond": sum(value > 1e-6 for value in losses.values()) + sum(value > 0.002 for value in metrics.values()),
        "losses": losses,
        "metrics": metrics,
    }


def _launch(processes: int, *words: str) -> subprocess.Popen[str]:
    """Start a command in several processes; with 1 it is the command alone."""
    launch = ("launch", "-n", str(processes), "--") if processes > 1 else ()
    command = [sys.executable, "-m", "jaxrec", *launch, *words]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _ended(process: subprocess.Popen[str]) -> None:
    """Wait for a command that ends well."""
    try:
        _, said = process.communicate(timeout=LIMIT_SECONDS)
    finally:
        _end(process, _children(process.pid))
    if process.returncode:
        raise RuntimeError(f"a run ended with {process.returncode}: {said}")


def _killed(
    process: subprocess.Popen[str], run: pathlib.Path, whom: int, epoch: int, after: float
) -> tuple[float, str] | None:
    """Kill one of the processes some time after an epoch.

    Returns:
      The seconds until the parent had ended, and what it said; None where the run was over before.
    """
    children: list[int] = []
    until = time.monotonic() + LIMIT_SECONDS
    try:
        while len(_losses(run)) < epoch or len(children) < 2:
            children = _children(process.pid)
            if process.poll() == 0:
                return None
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the run in {run} ended badly, or hung, before it was killed")
            time.sleep(0.01)
        time.sleep(after)
        try:
            os.kill(children[whom], signal.SIGKILL)
        except ProcessLookupError:
            return None
        started = time.monotonic()
        _, said = process.communicate(timeout=60)
        if process.returncode == 0:
            return None
        if process.returncode != 75:
            raise RuntimeError(f"after a kill the parent ended with {process.returncode}: {said}")
        return time.monotonic() - started, said
    finally:
        _end(process, children)


def _end(process: subprocess.Popen[str], children: Sequence[int]) -> None:
    """Kill whatever is left of a launch."""
    for each in (*children, process.pid):
        try:
            os.killpg(each, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _written(path: pathlib.Path) -> pathlib.Path:
    """Pairs of a power law, as a file."""
    data = power_law(PROCESSES.pairs, PROCESSES.users, PROCESSES.items, jax.random.key(0))
    lines = (f"{user},{item}\n" for user, item in zip(data.user.tolist(), data.item.tolist(), strict=True))
    path.write_text("user,item\n" + "".join(lines), encoding="utf-8")
    return path


def _losses(run: pathlib.Path) -> list[float]:
    log = run / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True) if log.exists() else []
    return [json.loads(line)["loss"] for line in lines if line.endswith("\n")]


def _steps(run: pathlib.Path) -> list[int]:
    folder = run / "checkpoints" / "steps"
    return sorted(int(name) for name in os.listdir(folder) if name.isdigit()) if folder.is_dir() else []


def _figures(run: pathlib.Path) -> dict[str, float]:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))["test"]
