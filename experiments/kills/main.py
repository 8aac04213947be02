"""Kill runs at random moments, resume them, and compare them with a run that was never stopped."""

from __future__ import annotations

import argparse
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

import jaxrec
from experiments.kills.config import COST_MODEL, COST_OPTIONS, JOBS
from experiments.kills.outcome import run_outcome, timeless
from experiments.kills.processes import kill_processes
from jaxrec.protocols import EpochEvent

COMMAND = (sys.executable, "-m", "jaxrec")


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for, and print a line of JSON for each result.

    Args:
      argv: the words after the program's name; those of this process by default.

    Returns:
      0 where every run that was killed ended like the one that was not, 1 elsewhere.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments.kills", description=__doc__)
    parser.add_argument("what", nargs="*", default=[*JOBS, "processes", "cost"], help="all by default")
    parser.add_argument("--kills", type=int, help="how many, instead of the number in config.py")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    asked = parser.parse_args(argv)
    good = True
    for what in asked.what:
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder)
            moments = random.Random(asked.seed)
            if what == "cost":
                result = cost(place)
            elif what == "processes":
                result = kill_processes(place, asked.kills, moments)
            else:
                result = kill(what, place, asked.kills, moments)
        print(json.dumps({"what": what, **result}), flush=True)
        good = good and not any(result.get(name, 0) for name in ("different", "unnamed", "beyond"))
    return 0 if good else 1


def kill(what: str, place: pathlib.Path, kills: int | None, moments: random.Random) -> dict[str, Any]:
    """Kill a job again and again, and compare every run that ends with one that was never stopped.

    Args:
      what: the name of a job.
      place: a folder for the runs.
      kills: how many SIGKILLs, or None for the number of the job.
      moments: draws when each comes, uniformly over the seconds that the run takes as a whole.

    Returns:
      `kills`; `after`, how many came before the first epoch, in the first stage, in the refit, and after the training;
      `runs` that ended, `different` ones among them, and the `seconds` of a run that is not stopped.
    """
    job = JOBS[what]
    wanted = job.kills if kills is None else kills
    outcome = _trials if what == "tune" else _run
    started = time.perf_counter()
    expected = outcome(place / "whole", *_process(job.words, place / "whole", None))
    seconds = time.perf_counter() - started
    after: dict[str, int] = {"none": 0, "fit": 0, "refit": 0, "over": 0}
    done, runs, different = 0, 0, 0
    while done < wanted or (place / "run").exists():
        ended = _process(job.words, place / "run", moments.uniform(0.0, seconds) if done < wanted else None)
        if ended[0] == -signal.SIGKILL:
            done += 1
            after[_reached(place / "run")] += 1
            print(f"{what}: {done} of {wanted} kills, {runs} runs, {different} different", file=sys.stderr)
            continue
        runs += 1
        different += outcome(place / "run", *ended) != expected
        shutil.rmtree(place / "run")
    return {"kills": done, "after": after, "runs": runs, "different": different, "seconds": round(seconds, 1)}


def _process(words: Sequence[str], place: pathlib.Path, seconds: float | None) -> tuple[int, str]:
    """Start a job, or go on with it, and kill it after some seconds; its exit status and output."""
    place.mkdir(exist_ok=True)
    if words[0] == "tune":
        words = (*words, "--study", str(place / "study.log"))
    elif (place / "run.json").exists():
        words = ("fit", "--resume", str(place), "--quiet")
    else:
        words = (*words, "--out", str(place), "--checkpoint-every", "1")
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, error = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, error = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}: {error}")
    return process.returncode, out


def _reached(place: pathlib.Path) -> str:
    """How far a run has come that was killed: the stage of its last epoch."""
    log = place / "log.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    if (place / "model.json").exists():
        return "over"
    return json.loads(lines[-1])["stage"] if lines and lines[-1].endswith("}") else "none"


def _run(place: pathlib.Path, status: int, out: str) -> Any:
    """All of a run that is to be equal."""
    del status, out
    return run_outcome(place)


def _trials(place: pathlib.Path, status: int, out: str) -> Any:
    """All of a search that is to be equal: its trials but for their seconds."""
    del place, status
    return timeless(json.loads(out)["trials"])


def cost(place: pathlib.Path) -> dict[str, Any]:
    """The seconds of an epoch of Gowalla, and what a checkpoint after each of them adds."""
    times: list[float] = []
    note: Callable[[EpochEvent], None] = lambda event: times.append(time.perf_counter())  # noqa: E731
    data = jaxrec.load("gowalla")
    checkpoint = jaxrec.Checkpoint(place / "checkpoints")
    key = jax.random.key(0)
    model = jaxrec.fit(COST_MODEL, data, COST_OPTIONS, key=key, callbacks=[note], checkpoint=checkpoint)
    epochs = np.array(model.info["seconds"]["epochs"])
    # From the end of an epoch to the end of the next: the checkpoint, a copy of the state, and the epoch.
    added = np.diff(times) - epochs[1:]
    size = sum(path.stat().st_size for path in (place / "checkpoints" / "steps").rglob("*") if path.is_file())
    return {
        "epoch_seconds": [round(each, 2) for each in epochs.tolist()],
        "checkpoint_seconds": [round(each, 2) for each in added.tolist()],
        "share": round(float(np.median(added) / np.median(epochs)), 4),
        "megabytes": round(size / 1e6, 1),
    }
