"""What is served, and what the clients ask for."""

from __future__ import annotations

import random
import urllib.parse
from collections.abc import Callable, Sequence

CLIENTS = 32
"""Connections that are kept alive, each with one request at a time."""
SECONDS = 10.0
"""Of measuring, after as long a time that does not count."""
FLAT = 10_000
"""Requests over which the memory of the server is watched."""

DATA = ("movielens-small", "--min-rating", "4", "--k-core", "5", "--valid", "0", "--no-distances")
# A run, and how it is fitted: quickly, since the time of an answer does not depend on how good it is.
RUNS: dict[str, Sequence[str]] = {
    "popularity": ("--model", "popularity"),
    "ease": ("--model", "ease"),
    "lightgcn": ("--model", "lightgcn", "--dim", "64", "--epochs", "3"),
}

Draw = Callable[[random.Random, Sequence[str], Sequence[str]], str]
"""A target from random numbers, the ids of users and the ids of items."""


def _user(draw: random.Random, users: Sequence[str], items: Sequence[str]) -> str:
    return f"/api/recommend?run=lightgcn&user={_quoted(draw.choice(users))}"


def _diverse(draw: random.Random, users: Sequence[str], items: Sequence[str]) -> str:
    return f"{_user(draw, users, items)}&diversity=0.3"


def _slider(draw: random.Random, users: Sequence[str], items: Sequence[str]) -> str:
    return f"{_user(draw, users, items)}&diversity={draw.randint(1, 20) / 20}"


def _basket(draw: random.Random, users: Sequence[str], items: Sequence[str]) -> str:
    some = "&".join(f"history={_quoted(item)}" for item in draw.sample(items, 5))
    return f"/api/recommend?run=lightgcn&{some}"


def _page(draw: random.Random, users: Sequence[str], items: Sequence[str]) -> str:
    return f"/api/recommend?user={_quoted(draw.choice(users))}&diversity=0.3&details=true"


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")


KINDS: dict[str, Draw] = {
    "a user's list": _user,
    "the same, re-ranked": _diverse,
    "the same, with 20 trade-offs": _slider,
    "a basket of 5 items": _basket,
    "as the page asks: 3 runs, re-ranked, with reasons": _page,
}
