"""python -m experiments.versions turns|memory|bits|lines OTHER: this checkout beside another one."""

from __future__ import annotations

import argparse
import ast
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import tokenize

import numpy as np

from experiments.versions.turns import WORK, compare

HERE = pathlib.Path(__file__).parents[2]
APART = (
    *("testing/", "training/_writers.py", "fitting/_tun", "fitting/_stud", "fitting/_search", "cli/_tune.py"),
    *("api/_cross_validate.py", "_moved.py", "data/splitting/_old_functions.py", "fitting/_old_options.py"),
)


def code_lines(source: str) -> int:
    """Count the lines that hold code: without comments, blank lines and docstrings.

    >>> code_lines('"Text."' + chr(10) * 2 + "x = 1  # one" + chr(10) + "# two" + chr(10))
    1
    """
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
                              tokenize.ENDMARKER):  # fmt: skip
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        # A docstring, and any other text that stands alone: that of an attribute.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def lines_of(folder: pathlib.Path, apart: tuple[str, ...] = ()) -> int:
    """Count the lines of code of the package in a checkout, without the files whose paths begin with one of `apart`."""
    files = {str(file.relative_to(folder / "jaxrec")): file for file in (folder / "jaxrec").rglob("*.py")}
    return sum(code_lines(file.read_text()) for name, file in files.items() if not name.startswith(apart))


def bits(other: pathlib.Path) -> None:
    """Train with both versions, and say how many arrays differ."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for at, version in enumerate((other, HERE)):
            out = f"{folder}/{at}.npz"
            script = str(pathlib.Path(__file__).with_name("bits.py"))
            variables = {**os.environ, "PYTHONPATH": str(version.resolve())}
            subprocess.run([sys.executable, script, out], env=variables, cwd=version, check=True)
            found.append(dict(np.load(out)))
    before, now = found
    apart = [name for name in before if not np.array_equal(before[name], now.get(name))]
    print(f"{len(before)} arrays, {len(now)} now; {len(apart)} differ: {apart[:5]}")


def memory(other: pathlib.Path) -> None:
    """Print the bytes of a step of both versions, from their compiled programs."""
    for name, version in (("before", other), ("now", HERE)):
        print(f"{name}:", flush=True)
        script = str(pathlib.Path(__file__).with_name("memory.py"))
        variables = {**os.environ, "PYTHONPATH": str(version.resolve())}
        subprocess.run([sys.executable, script], env=variables, cwd=version, check=True)


def main() -> None:
    """Run one of the comparisons."""
    parser = argparse.ArgumentParser(prog="python -m experiments.versions", description=__doc__)
    parser.add_argument("what", choices=["turns", "memory", "bits", "lines"])
    parser.add_argument("other", type=pathlib.Path, help="a clone of the version before")
    parser.add_argument("--pairs", type=int, default=15, help="turns of each piece of work")
    parser.add_argument("--work", nargs="+", choices=WORK, default=WORK, help="the pieces of work of turns")
    given = parser.parse_args()
    if not (given.other / "jaxrec").is_dir():
        parser.error(f"{str(given.other)!r} is no checkout of jaxrec")
    if given.what == "turns":
        compare(given.other, HERE, given.pairs, given.work)
    elif given.what == "memory":
        memory(given.other)
    elif given.what == "bits":
        bits(given.other)
    else:
        before, now, less = lines_of(given.other), lines_of(HERE), lines_of(HERE, APART)
        print(f"lines of code: before {before:,}, now {now:,}; without what is new by itself {less:,}")


if __name__ == "__main__":
    main()
