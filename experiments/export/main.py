"""Export a briefly trained model, serve it in fresh processes, and write what it cost as JSON."""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import jax
import tyro

import jaxrec
from experiments.export.config import Options
from jaxrec import registry
from jaxrec.fitting import versions

# Runs where jaxrec is not to be found: loads, answers one user at a time, and gives lists to compare.
SERVE = """
import json, sys, time
folder, loader, k, calls, asked = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
sys.path.insert(0, folder)
start = time.perf_counter()
module = __import__(loader)
imported = time.perf_counter()
server = module.Server(folder)
loaded = time.perf_counter()
users = server.ids["users"]
server.recommend(users[:1], k=k)
first = time.perf_counter()
took = []
for user in users[:2 * calls]:
    before = time.perf_counter()
    server.recommend([user], k=k)
    took.append(1000 * (time.perf_counter() - before))
start_all = time.perf_counter()
lists = server.recommend(users[:asked], k=k)
rate = asked / (time.perf_counter() - start_all)
assert "jaxrec" not in sys.modules
print(json.dumps({
    "import_s": imported - start, "load_s": loaded - imported, "first_s": first - loaded, "ms": took[calls:],
    "users_per_s": rate, "lists": list(lists.items()),
}))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the measurement; see `Options`."""
    options = tyro.cli(Options, args=argv)
    data = jaxrec.load(options.dataset)
    kind = registry.find("model", options.model)
    trained = "dim" in registry.options_of(kind)
    words: dict[str, Any] = {"epochs": options.epochs} if trained else {}
    model = jaxrec.fit(kind(dim=options.dim) if trained else kind(), data, key=jax.random.key(0), **words)
    with tempfile.TemporaryDirectory() as place:
        small = jaxrec.fit(jaxrec.MF(dim=2), jaxrec.from_arrays([0, 1], [0, 1]), epochs=1, key=jax.random.key(0))
        jaxrec.export(small, pathlib.Path(place, "imports"))  # so that no import is timed
        folder = pathlib.Path(place, "served")
        start = time.perf_counter()
        written = jaxrec.export(model, folder, k=max(options.k, 100), index=options.index)
        took = time.perf_counter() - start
        users = model.users.ids[: options.users].tolist()
        wanted = {
            user: [(one.item, one.score) for one in found]
            for user, found in jaxrec.recommend(model, users, k=options.k)
        }
        loaders = ["serve_numpy", "serve_jax", *(["serve_index"] if options.index else [])]
        result: dict[str, Any] = {
            "data": f"{options.dataset}, {model.num_users:,} x {model.num_items:,}",
            "model": str(model),
            "export_s": round(took, 3),
            "bytes": written.bytes,
            "index": written.manifest["index"],
            "loaders": {loader: _served(folder, loader, options, wanted) for loader in loaders},
            "versions": versions(),
        }
    text = json.dumps(result, indent=1)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


def _served(folder: pathlib.Path, loader: str, options: Options, wanted: dict[Any, Any]) -> dict[str, Any]:
    """What a loader says in a process of its own, and how its lists differ."""
    words = [str(folder), loader, str(options.k), str(options.calls), str(options.users)]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env["OPENBLAS_NUM_THREADS"] = "1"  # threads gain nothing in the product of one user
    command = [sys.executable, "-P", "-c", SERVE, *words]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    said = json.loads(done.stdout)
    places = exchanged = apart = 0
    for user, found in said["lists"]:
        for (item, _, score), (other, theirs) in zip(found, wanted[user], strict=True):
            places += 1
            if item != other:
                close = abs(score - theirs) < 1e-6 * max(abs(score), abs(theirs))
                exchanged, apart = exchanged + close, apart + (not close)
    cuts = statistics.quantiles(said["ms"], n=100)
    return {
        **{name: round(said[name], 3) for name in ("import_s", "load_s", "first_s")},
        "p50_ms": round(cuts[49], 3),
        "p99_ms": round(cuts[98], 3),
        "users_per_s": round(said["users_per_s"]),
        "places": places,
        "exchanged_within_1e-6": exchanged,
        "other_differences": apart,
    }
