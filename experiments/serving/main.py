"""Measure the explorer as a server: requests a second, times and memory, with clients that keep their connections."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tyro

import jaxrec
from experiments.serving.config import CLIENTS, DATA, FLAT, KINDS, RUNS, SECONDS, Draw
from jaxrec.fitting import versions
from jaxrec.ranking import MMR


@dataclasses.dataclass(frozen=True)
class Options:
    """Fit small runs, serve them by `jaxrec explore`, and ask for lists from this process.

    Attributes:
      clients: connections at a time.
      seconds: of measuring each kind of request.
      flat: requests over which the memory of the server is watched.
      runs: a folder for the run folders.
      out: a JSON file.
    """

    clients: int = CLIENTS
    seconds: float = SECONDS
    flat: int = FLAT
    runs: pathlib.Path = pathlib.Path("runs/serving")
    out: pathlib.Path = pathlib.Path("runs/serving.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment."""
    options = tyro.cli(Options, args=argv, description="Requests a second of the explorer.")
    for name, words in RUNS.items():
        if not (options.runs / name / "model.json").exists():
            command = [
                sys.executable,
                "-m",
                "jaxrec",
                "fit",
                *DATA,
                *words,
                "--out",
                str(options.runs / name),
                "--quiet",
            ]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    document: dict[str, Any] = {"load": os.getloadavg()[0], "cores": os.cpu_count(), "clients": options.clients}
    words = [str(options.runs / name) for name in RUNS]
    server = subprocess.Popen(
        [sys.executable, "-m", "jaxrec", "explore", *words, "--port", "0", "--json", "--quiet"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        started = time.perf_counter()
        url = json.loads(server.stdout.readline())["url"]
        document["start_seconds"] = time.perf_counter() - started
        model = jaxrec.restore(options.runs / "lightgcn")
        known = [str(one) for one in model.users.ids[np.diff(model.seen.indptr) > 0].tolist()]
        items = [str(one) for one in model.items.ids.tolist()]
        host, port = url.removeprefix("http://").rstrip("/").split(":")
        how = {"clients": options.clients, "users": known, "items": items}
        document["kinds"] = {}
        for kind, draw in KINDS.items():
            asyncio.run(asked(host, int(port), draw, seconds=options.seconds / 4, **how))
            times, seconds = asyncio.run(asked(host, int(port), draw, seconds=options.seconds, **how))
            document["kinds"][kind] = row = summary(times, seconds)
            print(f"{kind:<50} {text_of(row)}", flush=True)
        before = resident(server.pid)
        for draw in KINDS.values():
            asyncio.run(asked(host, int(port), draw, most=options.flat // len(KINDS), **how))
        document["memory"] = {"requests": options.flat, "before_mib": before, "after_mib": resident(server.pid)}
        print("memory", document["memory"], flush=True)
        with urllib.request.urlopen(f"{url}api/runs", timeout=30) as answer:
            assert json.load(answer)["users"] == model.num_users
    finally:
        begun = time.perf_counter()
        server.send_signal(signal.SIGINT)
        server.wait(30)
        document["end_seconds"] = time.perf_counter() - begun
    document["together"] = together(model)
    print("milliseconds a list", document["together"], flush=True)
    document |= {"load_after": os.getloadavg()[0], "versions": versions()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


async def asked(
    host: str,
    port: int,
    draw: Draw,
    *,
    clients: int,
    users: Sequence[str],
    items: Sequence[str],
    seconds: float = float("inf"),
    most: int = sys.maxsize,
) -> tuple[list[float], float]:
    """Ask from several connections, each with one request at a time, for some seconds or some requests.

    Returns:
      The seconds of each request, and those of all.
    """
    times: list[float] = []
    left = [most]
    started = time.perf_counter()

    async def client(at: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        random_numbers = random.Random(at)
        while time.perf_counter() - started < seconds and left[0] > 0:
            left[0] -= 1
            target = draw(random_numbers, users, items)
            begun = time.perf_counter()
            writer.write(f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            times.append(time.perf_counter() - begun)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{target}: {body.decode()}")
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(client(at) for at in range(clients)))
    return times, time.perf_counter() - started


def summary(times: Sequence[float], seconds: float) -> dict[str, float]:
    """Requests a second, and milliseconds by quantile.

    >>> summary([0.01, 0.02, 0.03], 0.1)["p50_ms"]
    20.0
    """
    values = 1e3 * np.array(times)
    quantiles = {f"p{share}_ms": float(np.quantile(values, share / 100)) for share in (50, 99)}
    return {"requests": len(times), "per_second": len(times) / seconds, **quantiles, "most_ms": float(values.max())}


def text_of(row: dict[str, float]) -> str:
    """A row as text."""
    return f"{row['per_second']:8,.0f} a second, p50 {row['p50_ms']:.0f} ms, p99 {row['p99_ms']:.0f} ms"


def resident(pid: int) -> float | None:
    """The memory of a process in MiB, where the system says it."""
    path = pathlib.Path(f"/proc/{pid}/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if path.exists() else None


def together(model: Any, rounds: int = 20) -> dict[str, dict[str, float]]:
    """Milliseconds a list where so many are ranked in one call of the library: the reason for calls of what waits."""
    users = model.users.ids[np.diff(model.seen.indptr) > 0].tolist()
    baskets = [model.items.ids[np.asarray(model.seen.of(at))[:5]].tolist() for at in range(32)]
    calls: dict[str, Callable[[int], Any]] = {
        "users": lambda count: jaxrec.recommend(model, users[:count]),
        "re-ranked": lambda count: jaxrec.recommend(model, users[:count], reranker=MMR(0.7), rerank_depth=64),
        "baskets": lambda count: jaxrec.recommend(model, interactions=dict(enumerate(baskets[:count]))),
    }
    found: dict[str, dict[str, float]] = {}
    for name, call in calls.items():
        for count in (1, 2, 4, 8, 16, 32):
            call(count)
            times = []
            for _ in range(rounds):
                begun = time.perf_counter()
                call(count)
                times.append(time.perf_counter() - begun)
            found.setdefault(name, {})[str(count)] = 1e3 * float(np.median(times)) / count
    return found
