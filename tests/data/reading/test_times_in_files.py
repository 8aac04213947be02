"""Times of files and frames: their finest unit is kept, dates are read, and what is neither is refused."""

import datetime

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxrec
from jaxrec.data._times import common_unit, finest, of_decimals
from jaxrec.data.reading._dates import parse_texts
from jaxrec.errors import DataError

MAY_DAY = 1_714_521_600  # 2024-05-01T00:00:00Z


@pytest.fixture
def times(tmp_path):
    """A function that reads one time a line, and gives times and unit."""

    def read(*values, **options):
        text = "user;item;time\n" + "".join(f"1;{at};{value}\n" for at, value in enumerate(values))
        (tmp_path / "events.csv").write_text(text)
        data = jaxrec.read(tmp_path / "events.csv", **options)
        return data.timestamp.tolist(), data.time_unit

    return read


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        (("17", "18"), {}, ([17, 18], None)),
        (("17", "18"), {"time_format": "ms"}, ([17, 18], "ms")),
        (("17.5", "18"), {"time_format": "ms"}, ([17_500, 18_000], "us")),
        (("1.5", "2"), {}, ([1_500, 2_000], "ms")),
        (("1714557600.1", "1714557600.0"), {}, ([1_714_557_600_100, 1_714_557_600_000], "ms")),
        (("1.0", "2.0"), {}, ([1, 2], None)),
        (("0.0001", "-1.5"), {}, ([100, -1_500_000], "us")),
        (("1714557600.123456789",), {}, ([1_714_557_600_123_456_789], "ns")),
        (("1,5", "2"), {"decimal": ","}, ([1_500, 2_000], "ms")),
        (("2024-05-01", "2024-05-02"), {}, ([MAY_DAY, MAY_DAY + 86_400], "s")),
        (("2024-05-01 00:00:01", "2024-05-01T01:00Z"), {}, ([MAY_DAY + 1, MAY_DAY + 3_600], "s")),
        (("2024-05-01T02:00:00+02:00", "2024-04-30T20:00:00-0400"), {}, ([MAY_DAY, MAY_DAY], "s")),
        (("2024-05-01 00:00:00.25", "2024-05-01"), {}, ([MAY_DAY * 1_000 + 250, MAY_DAY * 1_000], "ms")),
        (("2024-05-01T00:00:00.000001Z",), {}, ([MAY_DAY * 10**6 + 1], "us")),
        (("01.05.2024", "02.05.2024"), {"time_format": "%d.%m.%Y"}, ([MAY_DAY, MAY_DAY + 86_400], "s")),
        (("05/01/2024 00:01 +0100",), {"time_format": "%m/%d/%Y %H:%M %z"}, ([MAY_DAY + 60 - 3_600], "s")),
    ],
)
def test_times_are_exact_in_their_finest_unit(times, values, options, expected):
    assert times(*values, **options) == expected


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (("01/02/2024",), {}, "'01/02/2024' is no date such as 2024-05-01 10:00:00; pass time_format="),
        (("2024-02-30",), {}, "'2024-02-30' is no date"),
        (("17", "2024-05-01"), {}, ":3: timestamp '2024-05-01' is not a finite number"),
        (("2024-05-01", "17"), {}, ":3: timestamp '17' is no date"),
        (("17", "soon"), {}, ":3: timestamp 'soon' is not a finite number"),
        (("2024-05-01",), {"time_format": "ms"}, "is not of time_format='ms'"),
        (("2024-05-01",), {"time_format": "%d.%m.%Y"}, "is not of time_format='%d.%m.%Y'"),
        (("17",), {"time_format": "days"}, "time_format is 'days'; pass a unit"),
        (("9300-01-01 00:00:00.000000001",), {}, "too far from 1970 for 64 bits in ns"),
    ],
)
def test_what_is_no_time_is_refused(times, values, options, message):
    with pytest.raises(DataError, match=message):
        times(*values, **options)


@given(st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)), st.integers(-23, 23))
def test_iso_dates_are_what_python_reads(moment, hours):
    moment = moment.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=hours)))
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    seconds, nanoseconds, good = parse_texts([moment.isoformat(), moment.isoformat(" ")])
    assert good.all()
    assert seconds.tolist() == [since // datetime.timedelta(seconds=1)] * 2
    assert nanoseconds.tolist() == [since.microseconds * 1_000] * 2


@given(st.lists(st.decimals(-(10**9), 10**9, places=3, allow_nan=False, allow_infinity=False), min_size=1))
def test_decimals_are_kept_to_the_last_digit(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("times") / "x.csv"
    path.write_text("user,item,time\n" + "".join(f"1,{at},{number}\n" for at, number in enumerate(numbers)))
    data = jaxrec.read(path)
    parts = 1_000 if data.time_unit == "ms" else 1
    assert data.timestamp.tolist() == [int(number * parts) for number in numbers]
    assert (data.time_unit == "ms") == any(number % 1 for number in numbers)


def test_frames_and_files_agree(tmp_path):
    start = pandas.Timestamp("2024-05-01 10:00:00")
    moments = [start + pandas.Timedelta(milliseconds=100 * at) for at in range(4)]
    frame = pandas.DataFrame({"user": 1, "item": range(4), "time": moments})
    expected = [(MAY_DAY + 36_000) * 1_000 + 100 * at for at in range(4)]
    frame.to_csv(tmp_path / "x.csv", index=False)
    seconds = frame.assign(time=[moment.timestamp() for moment in moments])
    texts = frame.assign(time=[moment.isoformat() for moment in moments])
    for data in (*map(jaxrec.from_frame, (frame, seconds, texts)), jaxrec.read(tmp_path / "x.csv")):
        assert (data.timestamp.tolist(), data.time_unit) == (expected, "ms")
    arrays = jaxrec.from_arrays([1] * 4, range(4), timestamp=frame["time"].to_numpy())
    assert (arrays.timestamp.tolist(), arrays.time_unit) == (expected, "ms")
    assert arrays.fingerprint() != jaxrec.from_arrays([1] * 4, range(4), timestamp=expected).fingerprint()
    assert "timestamp 1714557600000 to 1714557600300 ms" in repr(arrays)


def test_the_last_event_is_held_out_though_events_share_a_second():
    times = np.datetime64("2024-05-01T10:00:00") + np.arange(5) * np.timedelta64(100, "ms")
    data = jaxrec.from_arrays(np.repeat(range(8), 5), list(range(5)) * 8, timestamp=np.tile(times, 8))
    assert jaxrec.split(data, "leave_one_out").test.item.tolist() == [4] * 8


def test_the_parts_of_a_split_come_to_one_unit(tmp_path):
    (tmp_path / "train.csv").write_text(f"user,item,time\n1,2,{MAY_DAY}.5\n")
    (tmp_path / "test.csv").write_text(f"user,item,time\n1,3,{MAY_DAY + 1}\n")
    data = jaxrec.read_split(tmp_path / "train.csv", tmp_path / "test.csv")
    assert (data.timestamp.tolist(), data.time_unit) == ([MAY_DAY * 1_000 + 500, MAY_DAY * 1_000 + 1_000], "ms")
    (tmp_path / "test.csv").write_text(f"user,item,time\n1,3,{MAY_DAY + 1}000\n")
    with pytest.raises(DataError, match="test has numbers up to 1714521601000 of an unknown unit, and train has times"):
        jaxrec.read_split(tmp_path / "train.csv", tmp_path / "test.csv")


def test_units_and_their_bounds():
    assert of_decimals(np.array([10**17 + 5]), np.array([1])) == ([10**16], "s", 1)  # milliseconds would not fit
    assert common_unit({"a": (np.array([1]), None), "b": (np.array([2]), None)})[1] is None
    assert finest(np.array(["2024-05"], "datetime64[M]"))[1] == "s"
    with pytest.raises(DataError, match="time_unit is 'hours'; pass 's', 'ms', 'us' or 'ns'"):
        jaxrec.data.Interactions(*_one_row(), timestamp=[1], time_unit="hours")


def _one_row():
    data = jaxrec.from_arrays([1], [2])
    return data.user, data.item, data.users, data.items


def test_parts_of_different_units_of_whole_numbers_are_noted(tmp_path):
    (tmp_path / "a.csv").write_text("user,item,timestamp\n1,1,1700000000000\n")
    (tmp_path / "b.csv").write_text("user,item,timestamp\n1,2,1700000001\n")
    data = jaxrec.read_split(tmp_path / "a.csv", tmp_path / "b.csv")
    expected = "timestamp: 1 of the size of seconds, 1 of milliseconds: bring them to one unit, they have no order"
    assert [note for note in data.notes if note.startswith("timestamp")] == [expected]
