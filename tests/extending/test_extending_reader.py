"""A reader from outside: read, the command line, the split of a run folder made again, and a registered name."""

import json
import sys

import pytest

import jaxrec
from examples.extending.reader import ReviewLines
from jaxrec.errors import DataError

PLACE = "examples.extending.reader:ReviewLines"


@pytest.fixture
def reviews(tmp_path):
    """Six users with nine reviews each."""
    path = tmp_path / "reviews.jsonl"
    rows = [
        {
            "user_id": f"u{user}",
            "parent_asin": f"B{(user + 2 * at) % 12}",
            "rating": 1.0 + at % 5,
            "timestamp": 1000 + at,
        }
        for user in range(6)
        for at in range(6)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_file_is_read(reviews):
    data = jaxrec.read(reviews, format=ReviewLines())
    assert data.counts() == {"users": 6, "items": 12, "interactions": 36}
    assert data.users.ids[data.user[7]] == "u1"
    assert data.items.ids[data.item[7]] == "B3"
    assert (data.rating[7], data.timestamp[7]) == (2, 1001)


def test_other_keys_are_options(tmp_path):
    path = tmp_path / "other.jsonl"
    path.write_text('{"u": 1, "i": 2, "r": 3, "t": 4}\n')
    assert len(jaxrec.read(path, format=ReviewLines("u", "i", "r", "t"))) == 1


@pytest.mark.parametrize("line", ["{", '{"user_id": 1}', "[1, 2]"])
def test_a_line_that_is_no_review_is_named(reviews, line):
    with reviews.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=r"reviews.jsonl, line 37: no review"):
        jaxrec.read(reviews, format=ReviewLines())


def test_a_registered_reader_is_found_by_the_file(reviews):
    with pytest.raises(DataError):
        jaxrec.read(reviews)
    jaxrec.registry.register("reader", "reviews", ReviewLines)
    try:
        assert len(jaxrec.read(reviews)) == 36
        assert len(jaxrec.read(reviews, format="reviews")) == 36
    finally:
        jaxrec.registry.unregister("reader", "reviews")


def test_the_command_line_reads_with_it_and_reads_again(reviews, cli, tmp_path):
    run = tmp_path / "run"
    lists = ("-k", "3", "--no-distances")
    fitted = cli("fit", reviews, "--format", PLACE, "--model", "popularity", "--out", run, *lists).json
    error = cli("evaluate", run, *lists).error
    assert PLACE in error
    assert "--kind" in error
    assert cli("evaluate", run, *lists, "--kind", PLACE).json["mean"] == fitted["test"]


def test_the_command_line_finds_a_reader_in_the_folder_that_it_runs_in(reviews, cli, tmp_path, monkeypatch):
    (tmp_path / "own_lines.py").write_text("from examples.extending.reader import ReviewLines as Own\n")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    monkeypatch.setattr(sys, "path", [each for each in path if each not in ("", str(tmp_path))])
    fitted = cli("fit", reviews, "--format", "own_lines:Own", "--model", "popularity", "--out", "run", "--no-distances")
    assert fitted.status == 0
    assert str(tmp_path) not in sys.path  # it is looked at while the command runs
