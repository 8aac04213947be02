"""The options of the data on the command line: duplicates, overlap, titles, and readers and splitters from outside."""

import dataclasses
import re

import numpy as np
import pytest

from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._source import columns_of, describe, read_data, split_again, split_data
from jaxrec.errors import JaxrecError, RunFolderError


def files(folder, train, test):
    (folder / "train.csv").write_text("user,item,rating,timestamp\n" + train)
    (folder / "test.csv").write_text("user,item,rating,timestamp\n" + test)
    return str(folder / "train.csv"), DataOptions(test_file=str(folder / "test.csv"))


TRAIN, TEST = "1,5,3,10\n1,5,4,20\n1,6,1,10\n2,5,2,10\n", "2,6,5,30\n2,6,1,40\n"


@pytest.mark.parametrize(
    ("rule", "ratings"),
    [
        (None, {"train": [3, 4, 1, 2], "test": [1, 5]}),
        ("keep", {"train": [3, 4, 1, 2], "test": [1, 5]}),
        ("first", {"train": [3, 1, 2], "test": [5]}),
        ("last", {"train": [4, 1, 2], "test": [1]}),
        ("max", {"train": [4, 1, 2], "test": [5]}),
    ],
)
def test_repeated_pairs_of_given_files_are_kept_or_chosen(tmp_path, rule, ratings):
    name, options = files(tmp_path, TRAIN, TEST)
    data, options = read_data(name, dataclasses.replace(options, duplicates=rule))
    parts = split_data(data, options)
    assert {part: sorted(getattr(parts, part).rating.tolist()) for part in ratings} == {
        part: sorted(values) for part, values in ratings.items()
    }


def test_a_single_file_keeps_the_last_of_repeated_pairs_by_default(tmp_path):
    name, _ = files(tmp_path, TRAIN, TEST)
    assert sorted(read_data(name, DataOptions())[0].rating.tolist()) == [1, 2, 4]
    assert sorted(read_data(name, DataOptions(duplicates="first"))[0].rating.tolist()) == [1, 2, 3]
    data, options = read_data(name, DataOptions(duplicates="keep", split="random"))
    with pytest.raises(JaxrecError, match=r"repeat a \(user, item\) pair.*deduplicate"):
        split_data(data, options)


def test_what_the_split_refuses_is_not_offered(cli, tmp_path):
    name, options = files(tmp_path, TRAIN, "1,5,3,10\n2,6,1,1\n")
    words = ["fit", name, "--model", "popularity", "--test-file", options.test_file, "--out", tmp_path / "run", "-k", 1]
    assert "pass --overlap drop to leave them out of the later part" in cli(*words).error
    error = cli(*words, "--overlap", "keep").error
    assert error == "--overlap is 'keep'; pass raise or drop; a split holds a pair in one part only"
    assert cli(*words, "--overlap", "drop", "--duplicates", "last", "--json", "--quiet").json["data"]["train"] == 3
    assert "keep" not in cli("fit", "--help").out.partition("--overlap")[2].partition("--items")[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"duplicates": "newest"}, "--duplicates is 'newest'; pass first, last, highest, lowest or keep"),
        ({"duplicates": "last", "raw": True}, "--raw takes the data as they are; leave --duplicates out"),
        ({"k_core_on": "test"}, "--k-core-on is 'test'; pass data or train"),
    ],
)
def test_words_that_mean_nothing_are_refused_before_reading(options, message):
    with pytest.raises(JaxrecError, match=message):
        read_data("no-such-file.csv", DataOptions(**options))


def test_titles_come_from_a_file_or_not_at_all(cli, tmp_path):
    name, _ = files(tmp_path, TRAIN, TEST)
    (tmp_path / "train.csv").rename(tmp_path / "ratings.csv")
    (tmp_path / "movies.csv").write_text("movieId\n")  # beside it, and of no use
    name = str(tmp_path / "ratings.csv")
    (tmp_path / "films.csv").write_text("5,Heat\n6,Up\n")
    assert read_data(name, DataOptions(items=str(tmp_path / "films.csv")))[0].titles.tolist() == ["Heat", "Up"]
    assert read_data(name, DataOptions(items="none"))[0].titles is None
    (tmp_path / "movies.csv").write_text("a,b\n1\n")
    assert "or pass --items none to read" in cli("fit", name, "--model", "random", "--out", tmp_path / "run").error


def test_a_column_may_be_named_by_a_digit_that_is_no_number():
    assert columns_of(("user=0", "item=²")) == {"user": 0, "item": "²"}


@pytest.mark.parametrize("word", ["rating=-", "rating="])
def test_a_role_is_left_out_by_a_dash(tmp_path, word):
    name, _ = files(tmp_path, TRAIN, TEST)
    data, _ = read_data(name, DataOptions(columns=("user=0", "item=item", word)))
    assert data.rating is None
    assert data.timestamp is not None


OUTSIDE = """
import dataclasses, jaxrec
from jaxrec.data.splitting import Split

class Arrows:
    def __call__(self, path):
        return jaxrec.from_arrays(*zip(*(line.split(">") for line in path.read_text().splitlines())))

@dataclasses.dataclass(frozen=True)
class LastRows:
    test: int = 1

    def __call__(self, data, key):
        rows = round(self.test)
        return Split(data.select(slice(None, -rows)), data.select([]), data.select(slice(-rows, None)), "last_rows")
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    (tmp_path / "outside_data.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "likes.arrows").write_text("1>a\n1>b\n2>a\n2>b\n2>c\n")
    return str(tmp_path / "likes.arrows")


def test_readers_and_splitters_from_outside_are_named_by_their_place(outside):
    asked = DataOptions(format="outside_data:Arrows", split="outside_data:LastRows", test=2)
    data, options = read_data(outside, asked)
    parts = split_data(data, options)
    assert (len(parts.train), len(parts.test), parts.method) == (3, 2, "last_rows")
    assert data.notes[0] == "5 interactions read from likes.arrows, format outside_data:Arrows (stated)"
    with pytest.raises(
        JaxrecError, match="ties is 'shuffle', and the splitter 'outside_data:LastRows' has no such opt"
    ):
        split_data(data, dataclasses.replace(options, ties="shuffle"))


def test_a_run_folder_imports_nothing_that_it_names(outside):
    import outside_data

    asked = DataOptions(format="outside_data:Arrows", split="outside_data:LastRows")
    data, options = read_data(outside, asked)
    described = describe(outside, options, split_data(data, options))
    for kinds, missing in (
        ((), "reader 'outside_data:Arrows'"),
        ((outside_data.Arrows,), "splitter 'outside_data:Las"),
    ):
        with pytest.raises(RunFolderError, match=f"names the {missing}.*what a file names is not imported"):
            split_again(described, moved_to=None, data_dir=None, kinds=kinds)
    again = split_again(described, moved_to=None, data_dir=None, kinds=(outside_data.Arrows, outside_data.LastRows))
    assert len(again.test) == 1


def test_what_a_file_leaves_open_is_stated_by_flags(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "likes.csv").write_text("ann,matrix\nann,jaws\nbob,matrix\nbob,jaws\nbob,heat\n")
    (tmp_path / "triples.txt").write_text("1 10 5\n2 11 3\n3 12 4\n")
    fit = ("fit", "likes.csv", "--model", "popularity", "--quiet", "--out")
    assert "pass --header or --no-header" in cli(*fit, "one").error
    assert cli(*fit, "one", "--no-header", "--json").json["data"]["interactions"] == 5
    assert cli(*fit, "two", "--header", "--no-header").error == "--header and --no-header are both given; pass one"
    error = cli("fit", "triples.txt", "--model", "popularity", "--out", "three").error
    assert "pass --columns user item rating, or --format lightgcn if all" in error
    (tmp_path / "dates.csv").write_text(
        "user;item;rating;time\n1;10;4,5;01.05.2024\n1;11;3;02.05.2024\nNULL;1;1;03.05.2024\n"
    )
    fit = ("fit", "dates.csv", "--model", "popularity", "--quiet", "--out", "four", "--test", 0.5)
    assert "pass --missing drop" in cli(*fit).error
    fit = (*fit, "--missing", "drop")
    assert "state --decimal ," in cli(*fit).error
    fit = (*fit, "--decimal", ",")
    assert "pass --time-format %d.%m.%Y, or" in cli(*fit).error
    data, _ = read_data("dates.csv", DataOptions(missing="drop", decimal=",", time_format="%d.%m.%Y"))
    assert (data.rating.tolist(), np.diff(data.timestamp).tolist(), data.time_unit) == ([4.5, 3], [86_400], "s")


def test_repeats_are_chosen_and_told_where_they_move_into_the_test(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text("user,item,time\n" + "1,5,1\n1,6,2\n1,7,3\n1,8,4\n1,5,5\n")
    words = ("fit", "log.csv", "--model", "popularity", "--valid", 0, "--test", 0.25, "--no-distances", "--out")
    told = cli(*words, "last").err
    assert told.count("earlier repeat") == 1
    assert "note: 1 of 1 test interactions are of a user and item with an earlier repeat, which was left out; " in told
    assert "out; --repeats first leaves them where they were first\n" in told
    assert cli(*words, "quiet", "--quiet").err == ""
    evaluated = cli("evaluate", "last", "-k", 1, "--no-distances")
    assert (evaluated.status, "repeat" in evaluated.err) == (0, False)  # the fit told it
    assert "earlier repeat" not in cli(*words, "first", "--repeats", "first").err  # the remedy is one
    parts = split_data(*read_data("log.csv", DataOptions(repeats="first", test=0.25, valid=0.0)))
    assert parts.test.items.ids[parts.test.item].tolist() == [8]
    assert read_data("log.csv", DataOptions(repeats="keep"))[0].timestamp.tolist() == [1, 2, 3, 4, 5]
    assert cli(*words, "x", "--repeats", "newest").error.startswith("--repeats is 'newest'; pass first, last, highest")
    error = cli(*words, "x", "--repeats", "last", "--duplicates", "last").error
    assert error == "--duplicates is the name of 0.1 for --repeats; leave it out"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "for example --columns user=Kunde item=Artikel$"),
        (("user=Kunde",), "for example --columns user=Kunde item=Artikel$"),
        (("Kunde", "Artikel"), "if these are names of columns, write --columns user=Kunde item=Artikel; the roles"),
        (("user=Kunde", "item=Artikel", "time=2"), "mean --columns user=Kunde item=Artikel timestamp=2[?] the roles"),
        (("user=Kunde", "item"), "^--columns has 'item' beside ROLE=COLUMN; write item=COLUMN, or item=- for none$"),
    ],
)
def test_columns_that_are_not_found_are_stated_as_the_message_writes_them(cli, tmp_path, words, message):
    (tmp_path / "shop.csv").write_text("Kunde,Artikel,bestellt_am\nann,7,1\nbob,7,2\n")
    columns = ("--columns", *words) if words else ()
    error = cli("fit", tmp_path / "shop.csv", "--model", "popularity", "--out", tmp_path / "run", *columns).error
    assert re.search(message, error), error
