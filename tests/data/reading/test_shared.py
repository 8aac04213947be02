"""One file that several processes read together, each its share: the result is that of one process."""

import concurrent.futures
import threading

import numpy as np
import pytest

import jaxrec
from jaxrec.data.reading import Parquet
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


def together(path, count, **how):
    """What each of `count` processes reads, or its error."""
    barrier, held = threading.Barrier(count), {}

    def one(process):
        try:
            own = {name: value(process) if callable(value) else value for name, value in how.items()}
            return jaxrec.read(path, group=Threads(process, count, barrier, held), **own)
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
    for number, data in enumerate(together(path, 2, mapped=lambda process: tmp_path / str(process))):
        assert isinstance(data.user.base, np.memmap), number
        assert_same(data, jaxrec.read(path))


def test_a_group_that_is_none_is_refused(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item\nann,7\n")
    with pytest.raises(DataError, match=r"group is 'all'; pass jaxrec\.parallel\.Processes"):
        jaxrec.read(path, group="all")
