"""Run the chosen benchmarks, print their tables, and write the result file."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from collections.abc import Sequence
from typing import Any

import tyro

from experiments.bench.config import Options, smaller
from experiments.bench.machine import describe, sentence
from experiments.bench.tables import markdown, plain
from experiments.bench.timing import Row

# Benchmarks in separate processes come last, so that the others need not wait for them.
_MODULES = {
    "step": "step",
    "topk": "topk",
    "evaluator": "evaluator",
    "rows": "rows",
    "seeds": "seeds",
    "als-free": "als_free",
    "ials": "ials",
    "svdpp": "ratings",
    "nmf": "factorization",
    "scaling": "scaling",
    "memory": "memory",
}


def parse(argv: Sequence[str]) -> Options:
    """Parse the command line."""
    return tyro.cli(Options, args=argv, description="Measure jaxrec beside its peers.")


def run(options: Options) -> int:
    """Measure, print the tables, and write the result file."""
    machine = describe()
    rows: list[Row] = []
    for name in options.only:
        module = importlib.import_module(f"experiments.bench.{_MODULES[name]}")
        found = module.run(smaller(options))
        rows += found
        print(markdown(found), flush=True)
    print(sentence(machine))
    document = {
        "machine": machine,
        "options": _plain(dataclasses.asdict(options)),
        "rows": [_plain(plain(row)) for row in rows],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return 0


def main(argv: Sequence[str]) -> int:
    """Parse the command line and run in this process, without a restart."""
    return run(parse(argv))


def _plain(value: Any) -> Any:
    """Convert a value for JSON: null for a number that is not finite, text for a path."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)
