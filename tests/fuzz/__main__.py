"""PYTHONPATH=.:tests python -m fuzz TARGET|all --seconds N: try inputs; finds go to a folder.

Where atheris is installed, a single target is tried by it, with the lines that an input reaches as a guide.
"""

import argparse
import contextlib
import hashlib
import importlib
import importlib.util
import json
import pathlib
import sys
import time
import traceback

from .mutation import inputs, seeds


def keep(folder, name, content, error):
    """Write an input that broke a target, once for each place that it broke at."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{type(error).__name__} at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}"
    path = folder / name / hashlib.sha256(place.encode()).hexdigest()[:12]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(json.dumps({"target": name, "find": str(path), "error": place, "says": str(error)[:200]}), flush=True)


def by_mutation(name, seconds, folder, seed):
    """Try changes of the seeds."""
    from .targets import check

    end, tried, taken = time.monotonic() + seconds, 0, 0
    for content in inputs(name, seed):
        try:
            taken += check(name, content)
        except Exception as error:
            keep(folder, name, content, error)
        tried += 1
        if time.monotonic() > end:
            break
    print(json.dumps({"target": name, "tried": tried, "taken": taken, "seconds": seconds}), flush=True)


def by_coverage(atheris, check, name, seconds, folder, seed):
    """Try what reaches new lines of jaxrec's readers; ends the process, as the fuzzer does."""
    start = folder / f"{name}.seeds"
    start.mkdir(parents=True, exist_ok=True)
    for at, content in enumerate(seeds(name)):
        (start / str(at)).write_bytes(content)

    def one(content):
        try:
            check(name, content)
        except Exception as error:
            keep(folder, name, content, error)

    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", f"-seed={seed + 1}", "-max_len=65536", str(start)], one)
    atheris.Fuzz()


def main():
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("target", help="a name of targets.py, or all")
    parser.add_argument("--seconds", type=int, default=600, help="of each target")
    parser.add_argument("--finds", type=pathlib.Path, default=pathlib.Path("runs/fuzz"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="without atheris")
    words = parser.parse_args()
    guided = words.target != "all" and not words.plain and importlib.util.find_spec("atheris") is not None
    with contextlib.ExitStack() as imports:
        if guided:
            atheris = importlib.import_module("atheris")
            rooms = [
                *("jaxrec.api", "jaxrec.cli", "jaxrec.data", "jaxrec.files", "jaxrec.fitting"),
                *("jaxrec.serving", "jaxrec.training"),
            ]
            imports.enter_context(atheris.instrument_imports(include=rooms))
        targets = importlib.import_module(f"{__package__}.targets")
    if words.target not in ("all", *targets.TARGETS):
        parser.error(f"no target is named {words.target!r}; the names are all, {', '.join(targets.TARGETS)}")
    if guided:
        by_coverage(atheris, targets.check, words.target, words.seconds, words.finds, words.seed)
        return
    for name in targets.TARGETS if words.target == "all" else (words.target,):
        by_mutation(name, words.seconds, words.finds, words.seed)


main()
