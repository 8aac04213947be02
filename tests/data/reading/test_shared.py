"""One file that several processes read together, each its share: the result is that of one process."""

import concurrent.futures
import dataclasses
import threading

import numpy as np
import pytest

import jaxrec
from jaxrec.data.datasets._catalog import DataSet
from jaxrec.data.datasets._download import File, Source
from jaxrec.data.reading import Delimited, Parquet
from jaxrec.errors import DataError, JaxrecError
from jaxrec.protocols import ProcessGroup

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class Threads(ProcessGroup):
    """Threads that stand for processes."""

    def __init__(self, process, count, barrier, held):
        self._own, self._barrier, self._held = (process, count), barrier, held

    @property
    def process(self):
        return self._own[0]

    @property
    def count(self):
        return self._own[1]

    def gather(self, arrays):
        self._held[self.process] = {name: array.copy() for name, array in arrays.items()}
        self._barrier.wait(60)
        return [self._held[process] for process in range(self.count)]


def together(path, count, reader=jaxrec.read, **how):
    """What each of `count` processes reads, or its error."""
    barrier, held = threading.Barrier(count), {}

    def one(process):
        try:
            own = {name: value(process) if callable(value) else value for name, value in how.items()}
            return reader(
                *path if isinstance(path, list) else [path], group=Threads(process, count, barrier, held), **own
            )
        except JaxrecError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def table(rows, rng, text=True):
    who, what = rng.integers(0, 40, rows), rng.integers(0, 30, rows)
    return {
        "user": [f"ü-{one}" for one in who] if text else who,
        "item": [f"i{one}" for one in what] if text else what,
        "rating": rng.integers(1, 6, rows) / 2,
        "timestamp": 1_600_000_000 + rng.integers(0, 1000, rows),
        "title": [f"Film {one}" for one in what],
    }


def written(path, columns, group=50):
    parquet.write_table(pyarrow.table(columns), path, row_group_size=group)
    return path


def assert_same(ours, theirs):
    assert ours.fingerprint() == theirs.fingerprint()
    assert ours.notes == theirs.notes
    assert ours.time_unit == theirs.time_unit
    for side in ("users", "items"):
        one, other = getattr(ours, side).ids, getattr(theirs, side).ids
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()
    assert (ours.titles is None) == (theirs.titles is None)
    if ours.titles is not None:
        assert ours.titles.tolist() == theirs.titles.tolist()


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_process_has_what_one_process_reads(tmp_path, rng, count, text):
    path = written(tmp_path / "log.parquet", table(233, rng, text))
    whole = jaxrec.read(path)
    for data in together(path, count):
        assert_same(data, whole)


@pytest.mark.parametrize(
    "change",
    [
        {"user": ["NULL", *["ann"] * 99]},  # a word for a missing value, in one share
        {"user": [*["-"] * 50, *["ann "] * 50]},
        {"rating": [0.0] + [1.0] * 99},  # counted in a note
        {"timestamp": [1_600_000_000] * 50 + [1_600_000_000_000] * 50},  # of two units, one a share
        {"timestamp": [1.0] * 50 + [1.25] * 50},  # decimals in one share alone
        {"title": ["Heat"] * 50 + ["Jaws"] * 50, "item": [7] * 100},  # two titles of one item
        {"title": [None] * 50 + ["Jaws"] * 50, "item": [7] * 100},
        {"item": [0.5 * 2] * 100},
    ],
)
def test_what_is_told_is_told_of_all_rows(tmp_path, rng, change):
    path = written(tmp_path / "log.parquet", {**table(100, rng, text=False), **change})
    whole = jaxrec.read(path)
    for data in together(path, 3):
        assert_same(data, whole)


@pytest.mark.parametrize(
    "change",
    [
        {"user": [None if row == 70 else row for row in range(100)]},
        {"rating": [np.nan if row in (20, 90) else 1.0 for row in range(100)]},
        {"item": [2**63 if row == 99 else row for row in range(100)]},
    ],
)
def test_what_is_refused_is_refused_as_by_one_process(tmp_path, rng, change):
    columns = {**table(100, rng, text=False), **change}
    columns["item"] = pyarrow.array(columns["item"], pyarrow.uint64())
    path = written(tmp_path / "log.parquet", columns)
    with pytest.raises(DataError) as refused:
        jaxrec.read(path)
    for error in together(path, 3):
        assert str(error) == str(refused.value)


def test_rows_that_are_left_out_and_formats_without_shares_are_read_by_each(tmp_path, rng):
    columns = {**table(100, rng), "user": [None if row % 9 == 0 else "ann" for row in range(100)]}
    path = written(tmp_path / "log.parquet", columns)
    for data in together(path, 2, missing="drop"):
        assert_same(data, jaxrec.read(path, missing="drop"))
    text = tmp_path / "log.csv"
    text.write_text("user,item\nann,7\nbo,8\n")
    for data in together(text, 2):
        assert_same(data, jaxrec.read(text))
    few = written(tmp_path / "few.parquet", table(2, rng))
    for data in together(few, 3):  # fewer rows than processes
        assert_same(data, jaxrec.read(few))


def test_a_share_reads_its_row_groups_alone(tmp_path, rng):
    path = written(tmp_path / "log.parquet", {"user": rng.permutation(400), "item": rng.permutation(400)}, group=100)
    whole = jaxrec.read(path)
    last = parquet.ParquetFile(path).metadata.row_group(3).column(0)
    damaged = bytearray(path.read_bytes())
    start = last.dictionary_page_offset or last.data_page_offset
    damaged[start : start + last.total_compressed_size] = bytes(last.total_compressed_size)
    path.write_bytes(damaged)
    share = Parquet(share=(0, 2))(path)
    assert share.users.ids[share.user].tolist() == whole.users.ids[whole.user[:200]].tolist()
    with pytest.raises(DataError, match="damaged"):
        Parquet(share=(1, 2))(path)


def test_shares_are_all_rows_once(tmp_path, rng):
    path = written(tmp_path / "log.parquet", {"user": np.arange(101), "item": np.arange(101)}, group=7)
    for count in (1, 3, 101):
        rows = [Parquet(share=(process, count))(path) for process in range(count)]
        assert [user for part in rows for user in part.users.ids[part.user].tolist()] == list(range(101))
        assert max(map(len, rows)) - min(map(len, rows)) <= 1


@pytest.mark.parametrize("share", [(2, 2), (-1, 2), (0, 0), (0.5, 2), 3, (1,)])
def test_a_share_that_there_is_not_is_refused(share):
    with pytest.raises(DataError, match=r"share is .*pass \(p, n\)"):
        Parquet(share=share)


def test_one_long_id_leaves_the_others_short(tmp_path):
    users = ["x" * 1500, *(f"u{row % 9000}" for row in range(9_999))]
    path = written(tmp_path / "log.parquet", {"user": users, "item": np.arange(10_000) % 50}, group=3_000)
    whole = jaxrec.read(path)
    assert whole.users.ids.dtype == object
    for data in together(path, 3):
        assert_same(data, whole)


def test_mapped_columns_of_a_shared_file(tmp_path, rng):
    path = written(tmp_path / "log.parquet", table(90, rng))
    for number, data in enumerate(together(path, 2, mapped=tmp_path / "columns")):
        assert isinstance(data.user.base, np.memmap), number
        assert (tmp_path / "columns" / f"process-{number}" / "user.npy").exists()
        assert_same(data, jaxrec.read(path))


@pytest.mark.parametrize("reader", [Parquet, Delimited])
def test_a_reader_that_writes_columns_is_refused_to_several_and_kept_for_one(tmp_path, rng, reader):
    if reader is Parquet:
        path = written(tmp_path / "log.parquet", table(90, rng))
    else:
        path = tmp_path / "log.csv"
        path.write_text("user,item\n" + "".join(f"{n % 7},{n % 11}\n" for n in range(90)))
    how = reader(mapped=tmp_path / "columns")
    for error in together(path, 2, format=lambda _: how):
        assert "has mapped=" in str(error)
        assert "pass mapped to jaxrec.read" in str(error)
    assert not (tmp_path / "columns").exists()
    (alone,) = together(path, 1, format=lambda _: how)
    assert isinstance(alone.user.base, np.memmap)
    assert_same(alone, jaxrec.read(path, format=reader()))


def test_a_group_that_is_none_is_refused(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\nann,7\n")
    with pytest.raises(DataError, match=r"group is 'all'; pass jaxrec\.parallel\.Processes"):
        jaxrec.read(path, group="all")


TEXTS = {
    "ids are numbers": (
        lambda at, who, what: f"{who},{what},{at % 5 + 1},{1_600_000_000 + at}",
        "user,item,rating,timestamp",
    ),
    "ids are texts": (lambda at, who, what: f"ü{who},i{what}x", "user,item"),
    "no header": (lambda at, who, what: f"{who}\t{what}\t{at % 9 / 2 + 0.5}\t{1_600_000_000 + at}", None),
    "two colons": (lambda at, who, what: f"{who}::{what}::{at % 5 + 1}::{978_300_760 + at}", None),
    "titles": (lambda at, who, what: f"u{who};{what};Film {what}", "user;item;title"),
    "dates": (lambda at, who, what: f"u{who},{what},2024-05-{at % 28 + 1:02}T10:00:00", "user,item,timestamp"),
    "quotes around all": (lambda at, who, what: f'"u{who}","{what}"', '"user","item"'),
    "names with numbers": (lambda at, who, what: f"u{who},{what}", "user_1,item_2"),
    "ends of lines of two bytes": (lambda at, who, what: f"u{who},{what}\r", "user,item\r"),
    "empty lines": (lambda at, who, what: f"{who},{what}" + "\n" * (at % 3), "\n\nuser,item"),
}


def lines_of(kind, rows, rng):
    line, head = TEXTS[kind]
    body = [line(at, who, what) for at, (who, what) in enumerate(rng.integers(1000, 1300, (rows, 2)).tolist())]
    return [*([head] if head else []), *body]


@pytest.mark.parametrize("kind", TEXTS)
def test_text_is_read_in_shares(tmp_path, rng, kind, monkeypatch):
    path = tmp_path / ("ratings.dat" if kind == "two colons" else "log.csv")
    path.write_text("\n".join(lines_of(kind, 24_000, rng)) + "\n", newline="")
    how = {"columns": {"user": "user_1", "item": "item_2"}} if kind == "names with numbers" else {}
    whole = jaxrec.read(path, **how)
    seen = watched(monkeypatch)
    for count in (1, 3):
        for data in together(path, count, **how):
            assert_same(data, whole)
    assert sorted(seen) == [(0, 1), *((one, 3) for one in range(3))]  # nobody read the whole


def watched(monkeypatch):
    """The shares that text is read in, None for the whole."""
    from jaxrec.data.reading import _formats

    seen, plain = [], _formats.read_table

    def told(path, layout, columns, share, mapped):
        seen.append(share)
        return plain(path, layout, columns, share, mapped)

    monkeypatch.setattr(_formats, "read_table", told)
    return seen


CHANGES = {
    "a text among numbers": lambda lines: [*lines[:-5], "ann,7", *lines[-5:]],
    "a leading zero": lambda lines: [*lines[:9], "007,1300", *lines[9:]],
    "the header again": lambda lines: [*lines[:20_000], lines[0], *lines[20_000:]],
    "a column more": lambda lines: [*lines[:20_000], "1,2,3", *lines[20_000:]],
    "an id that is missing": lambda lines: [*lines[:12_000], ",1200", *lines[12_000:]],
    "quotes": lambda lines: [*lines[:12_000], '"1001","1200"', *lines[12_000:]],
    "quotes over lines": lambda lines: [*lines[:12_000], '"a\nb",1200', *lines[12_000:]],
    "another encoding": lambda lines: [*lines[:12_000], "\udcff,1200", *lines[12_000:]],
    "a word for a missing value": lambda lines: [*lines[:23_000], "NULL,1200", *lines[23_000:]],
    "blanks": lambda lines: [*lines[:23_000], "ann ,1200", "bo,1200", *lines[23_000:]],
}


def assert_told_alike(path, count, **how):
    """Processes together give what one gives, or refuse as it does."""
    try:
        whole = jaxrec.read(path, **how)
    except DataError as error:
        whole = error
    for data in together(path, count, **how):
        if isinstance(whole, DataError):
            assert str(data) == str(whole)
        else:
            assert_same(data, whole)


@pytest.mark.parametrize("change", CHANGES)
def test_what_text_tells_is_told_as_by_one_process(tmp_path, rng, change):
    path = tmp_path / "log.csv"
    lines = CHANGES[change](["user,item", *lines_of("empty lines", 24_000, rng)[1:]])
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    for missing in ("raise", "drop", "keep"):
        assert_told_alike(path, 3, missing=missing)


def test_ratings_and_times_that_differ_between_shares(tmp_path, rng):
    for at, last in enumerate(("7,8,0,1600000000", "7,8,1,1600000000.25", "7,8,1,1600000000000", "7,8,x,1")):
        path = tmp_path / f"log{at}.csv"
        path.write_text("\n".join([*lines_of("ids are numbers", 12_000, rng), last]) + "\n")
        assert_told_alike(path, 2)


def test_rows_that_are_only_counted_are_refused_in_shares_too(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("".join(f"{at},{at % 97},{at % 5 + 1},{at % 7}\n" for at in range(24_000)))
    with pytest.raises(DataError, match="the first column only counts the rows") as refused:
        jaxrec.read(path, header=False, delimiter=",")
    assert [str(error) for error in together(path, 3, header=False, delimiter=",")] == [str(refused.value)] * 3


def test_packed_text_and_little_text_are_read_by_each(tmp_path, rng, monkeypatch):
    import gzip

    text = "\n".join(lines_of("ids are numbers", 24_000, rng)) + "\n"
    packed, few = tmp_path / "log.csv.gz", tmp_path / "few.csv"
    packed.write_bytes(gzip.compress(text.encode()))
    few.write_text(text[:1000].rpartition("\n")[0] + "\n")
    for path in (packed, few):
        whole = jaxrec.read(path)
        seen = watched(monkeypatch)
        for data in together(path, 2):
            assert_same(data, whole)
        assert seen.count(None) == 2


def test_shares_of_text_are_the_whole_together(tmp_path, rng):
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines_of("ids are numbers", 24_000, rng)) + "\n")
    whole, parts = jaxrec.read(path), [Delimited(share=(part, 5))(path) for part in range(5)]
    ids = np.concatenate([part.users.ids[part.user] for part in parts])
    assert ids.tolist() == whole.users.ids[whole.user].tolist()
    sizes = [len(part) for part in parts]
    assert max(sizes) < 1.02 * min(sizes)
    with pytest.raises(DataError, match=r"share is \(2, 2\); pass \(p, n\)"):
        Delimited(share=(2, 2))


def lists_of(users, rng, first=0):
    """Lines of LightGCN's text: a user, and items of that user."""
    return [
        " ".join(map(str, [user, *sorted(rng.choice(9000, rng.integers(3, 60), replace=False) + first)]))
        for user in range(users)
    ]


def watched_lists(monkeypatch):
    """The shares that lists are read in, None for the whole."""
    from jaxrec.data.reading import _formats

    seen, plain = [], _formats.read_lightgcn

    def told(path, encoding, share=None):
        seen.append(share)
        return plain(path, encoding, share)

    monkeypatch.setattr(_formats, "read_lightgcn", told)
    return seen


def test_lists_are_read_in_shares(tmp_path, rng, monkeypatch):
    path = tmp_path / "train.txt"
    path.write_text("\n".join(lists_of(2000, rng)) + "\n")
    whole = jaxrec.read(path)
    seen = watched_lists(monkeypatch)
    for data in together(path, 3):
        assert_same(data, whole)
    assert sorted(seen) == [(0, 3), (1, 3), (2, 3)]  # nobody read the whole


LISTS = {
    "a user again, far away": (lambda lines: [*lines, "7 1 2 3"], 6),
    "a user again, on the next line": (lambda lines: [*lines[:9], "8 4000", *lines[9:]], 6),
    "a user without items": (lambda lines: [*lines[:1500], "5000", *lines[1500:]], 6),
    "no number": (lambda lines: [*lines[:1500], "5000 x", *lines[1500:]], 6),
    "a line of half the file": (lambda lines: [*lines, " ".join(map(str, [5000, *range(100_000)]))], 3),
    "empty lines at the end": (lambda lines: [*lines, *[""] * 400_000], 6),
}


@pytest.mark.parametrize("change", LISTS)
def test_what_lists_tell_is_told_as_by_one_process(tmp_path, rng, monkeypatch, change):
    path = tmp_path / "train.txt"
    changed, reads = LISTS[change]
    path.write_text("\n".join(changed(lists_of(2000, rng))) + "\n")
    seen = watched_lists(monkeypatch)
    assert_told_alike(path, 3, format="lightgcn")
    assert len(seen) >= reads


def test_published_splits_are_read_in_shares(tmp_path, rng, monkeypatch):
    paths = [tmp_path / f"{part}.txt" for part in ("train", "test", "valid")]
    for at, path in enumerate(paths):
        path.write_text("\n".join(lists_of(2000 if at < 2 else 20, rng, 9000 * at)) + "\n")
    whole = jaxrec.read_split(*paths)
    seen = watched_lists(monkeypatch)
    for data in together(paths, 2, jaxrec.read_split):
        assert_same(data, whole)
        np.testing.assert_array_equal(data.part, whole.part)
    assert sorted(seen, key=str) == [(0, 2)] * 3 + [(1, 2)] * 3 + [None] * 2  # the few of one part are read by each
    with pytest.raises(DataError, match="group is 2"):
        jaxrec.read_split(*paths, group=2)


def test_a_named_set_is_read_in_shares(tmp_path, rng, monkeypatch):
    files = []
    for at, name in enumerate(("train.txt", "test.txt")):
        path = tmp_path / "own" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lists_of(1500, rng, 9000 * at)) + "\n")
        files.append(File(name, f"https://example.invalid/{name}"))
    whole = jaxrec.read_split(*sorted((tmp_path / "own").iterdir(), reverse=True))
    source = Source("own", tuple(files))
    record = DataSet(
        "own", "Lists.", **whole.counts(), terms="none", source=source, ratings="train.txt", test="test.txt"
    )
    seen = watched_lists(monkeypatch)
    for data in together(record, 2, lambda record, **how: jaxrec.load(record, data_dir=tmp_path, **how)):
        assert_same(dataclasses.replace(data, notes=data.notes[1:]), whole)
        np.testing.assert_array_equal(data.part, whole.part)
    assert sorted(seen) == [(0, 2)] * 2 + [(1, 2)] * 2
