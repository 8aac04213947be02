"""The checkerboard as a file, and a way to call the command line."""

import json
from typing import NamedTuple

import numpy as np
import pytest

import jaxrec
from jaxrec.cli import main
from jaxrec.testing import checkerboard


class Result(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self):
        assert self.status == 0, self.err
        return json.loads(self.out)

    @property
    def error(self):
        """The one line of a mistake."""
        assert (self.status, self.out) == (2, "")
        return self.err.removeprefix("jaxrec: error: ").strip()


@pytest.fixture
def cli(capsys):
    """A function that runs a command in this process."""

    def call(*words):
        capsys.readouterr()
        status = main([*(str(word) for word in words), "--json", "--quiet"])
        return Result(status, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def ratings(tmp_path_factory):
    """The checkerboard as a file: user, item, rating, time."""
    data = checkerboard()
    path = tmp_path_factory.mktemp("data") / "likes.csv"
    pairs = zip(data.users.ids[data.user], data.items.ids[data.item], strict=True)
    # In an order without meaning, so that no item is new in the test part.
    times = np.random.default_rng(0).permutation(len(data))
    lines = [f"{user},{item},4,{time}" for (user, item), time in zip(pairs, times, strict=True)]
    path.write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    return path


@pytest.fixture(scope="session")
def split(ratings):
    return jaxrec.split(jaxrec.read(ratings), "user_temporal", test=0.2)
