"""Small data with a known right answer, run folders made of them, and a way to call the command line."""

import json
from typing import NamedTuple

import pytest

from jaxrec.cli import main

USERS, ITEMS = 12, 24


class Result(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self):
        """The one document on standard output; anything else there fails."""
        return json.loads(self.out)

    @property
    def error(self):
        """The one line of a mistake; more lines, a wrong status or a result beside it fail."""
        assert self.status == 2
        assert self.out == ""
        assert self.err.startswith("jaxrec: error: ")
        assert self.err.count("\n") == 1
        return self.err.removeprefix("jaxrec: error: ").strip()


@pytest.fixture
def cli(capsys):
    """A function that runs a command in this process."""

    def call(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        return Result(status, *capsys.readouterr())

    return call


def withheld(user):
    """The item of the user's own color that is not in the data: what must be recommended first."""
    return 2 * user % ITEMS + user % 2


def checkerboard():
    """Even users like even items and odd users odd ones, all but one each: (user, item, rating, time)."""
    rows = []
    for user in range(USERS):
        liked = [item for item in range(ITEMS) if item % 2 == user % 2 and item != withheld(user)]
        rows += [(user, item, 3 + (user + item) % 3, 100 * user + item) for item in liked]
    return rows


TITLES = {0: "Heat (1995)", 2: "Heat (1986)", 4: "Amélie (2001)", 1: "Alien (1979)"}


@pytest.fixture(scope="session")
def ratings(tmp_path_factory):
    """A file of ratings with a file of titles beside it."""
    folder = tmp_path_factory.mktemp("data")
    path = folder / "ratings.csv"
    lines = [",".join(map(str, row)) for row in checkerboard()]
    path.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    films = [f'{item},"{TITLES.get(item, "")}",Drama' for item in range(ITEMS)]
    (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *films]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained_run(ratings, tmp_path_factory):
    """A run folder of a model that was trained with validation and a refit; nobody may change it."""
    folder = tmp_path_factory.mktemp("runs") / "mf"
    words = ["--model", "mf", "--dim", "4", "--epochs", "2", "--valid", "0.2", "-k", "5", "--monitor", "ndcg@10"]
    assert main(["fit", str(ratings), *words, "--out", str(folder), "--json", "--quiet"]) == 0
    return folder


@pytest.fixture(scope="session")
def full_run(ratings, tmp_path_factory):
    """A run folder of item-kNN on all of the data, which finds what is withheld; nobody may change it."""
    folder = tmp_path_factory.mktemp("runs") / "itemknn"
    words = ["--model", "itemknn", "--test", "0", "--valid", "0", "--out", str(folder), "--json", "--quiet"]
    assert main(["fit", str(ratings), *words]) == 0
    return folder
