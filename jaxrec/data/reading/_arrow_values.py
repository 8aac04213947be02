"""Ratings and times of Arrow columns, part by part. What is wrong is kept, since an earlier column is told first."""

from __future__ import annotations

import abc
from typing import Any, Protocol

import numpy as np

from jaxrec.data._notes import low_count, mixed_units
from jaxrec.data._row_columns import check_rating, check_timestamp
from jaxrec.data._times import UNIT_NAMES, UNITS, decimal_unit, furthest, scaled
from jaxrec.data.reading._arrow_ids import Gaps, numbers_of
from jaxrec.data.reading._dates import fine_unit, in_unit_of, parse_texts
from jaxrec.data.reading._frames import decimals_of_floats, finite_times, no_times
from jaxrec.data.reading._growing import Growing, Store, change_beside
from jaxrec.data.reading._values import Times
from jaxrec.errors import DataError


class Ratings:
    """Ratings, as `check_rating` takes them."""

    def __init__(self, label: str, store: Store, rows: int) -> None:
        self.gaps = Gaps(label, "rating")
        self._column = store.column("rating", np.float32, rows)
        self._error: DataError | None = None
        self._low = 0

    def add(self, values: Any, start: int) -> None:
        """Read the next rows, from row `start` on."""
        if self.gaps.add(values, start) or self._error is not None:
            return
        try:
            ratings = check_rating(numbers_of(values), len(values), start)
        except DataError as error:
            self._error = error
            return
        self._low += int((ratings <= 0).sum())
        self._column.append(ratings)

    def finish(self) -> list[str]:
        """Raise what was wrong, or give the notes."""
        if self._error is not None:
            raise self._error
        return low_count(self._low, self._column.size)


class TimeColumn(Protocol):
    """Times of one kind, read part by part."""

    gaps: Gaps

    def add(self, values: Any, start: int) -> None:
        """Read the next rows, from row `start` on."""
        ...

    def finish(self) -> tuple[str | None, list[str]]:
        """Raise what was wrong, or give the unit and the notes."""
        ...


class _Times(TimeColumn, abc.ABC):
    """What all kinds have in common: gaps, and the first error."""

    dtype: Any = np.int64

    def __init__(self, label: str, store: Store, rows: int) -> None:
        self.gaps, self.label = Gaps(label, "timestamp"), label
        self.column: Growing = store.column("timestamp", self.dtype, rows)
        self._error: DataError | None = None

    def add(self, values: Any, start: int) -> None:
        if self.gaps.add(values, start) or self._error is not None:
            return
        try:
            self.column.append(self._read(numbers_of(values), start))
        except DataError as error:
            self._error = error

    def finish(self) -> tuple[str | None, list[str]]:
        if self._error is not None:
            raise self._error
        return self._close()

    @abc.abstractmethod
    def _read(self, values: np.ndarray, start: int) -> np.ndarray: ...

    @abc.abstractmethod
    def _close(self) -> tuple[str | None, list[str]]: ...


class WholeTimes(_Times):
    """Whole numbers of a unit that is not known."""

    def _read(self, values: np.ndarray, start: int) -> np.ndarray:
        return check_timestamp(values, len(values), start)

    def _close(self) -> tuple[str | None, list[str]]:
        return None, mixed_units(self.column.parts())


class FloatTimes(_Times):
    """Numbers with decimals: seconds. The column holds the digits until the unit is known."""

    def __init__(self, label: str, store: Store, rows: int) -> None:
        super().__init__(label, store, rows)
        self._decimals: list[np.ndarray] = []
        self._most, self._furthest = 0, 0

    def _read(self, values: np.ndarray, start: int) -> np.ndarray:
        digits, decimals = decimals_of_floats(finite_times(values, self.label, start))
        self._decimals.append(decimals.astype(np.uint8))
        self._most = max(self._most, int(decimals.max(initial=0)))
        self._furthest = max(self._furthest, furthest(digits, decimals))
        return digits

    def _close(self) -> tuple[str | None, list[str]]:
        unit = decimal_unit(self._most, self._furthest)
        if unit is None:
            return None, mixed_units(self.column.parts())
        change_beside(self.column, self._decimals, lambda digits, decimals: scaled(digits, decimals, unit))
        cut = sum(int((decimals > len(str(UNITS[unit])) - 1).sum()) for decimals in self._decimals)
        notes = [f"times with decimals in {self.label!r}, taken for seconds, became whole numbers of {unit}"]
        return unit, notes + ([f"{cut:,} times had more decimals than {unit} holds, which are cut off"] if cut else [])


class Dates(_Times):
    """Dates of Arrow. The column holds their counts until it is known which unit loses nothing."""

    def __init__(self, label: str, store: Store, rows: int) -> None:
        super().__init__(label, store, rows)
        self._fitting, self._kind = list(UNITS), np.dtype("datetime64[s]")

    def _read(self, values: np.ndarray, start: int) -> np.ndarray:
        self._kind = values.dtype
        exact = lambda unit: values.astype(f"datetime64[{unit}]").astype(values.dtype) == values  # noqa: E731
        self._fitting = [unit for unit in self._fitting if bool(exact(unit).all())]
        return values.astype(np.int64)

    def _close(self) -> tuple[str | None, list[str]]:
        if not self._fitting:
            raise DataError(f"timestamp has dates of unit {self._kind} that nanoseconds cannot hold; round them")
        unit = self._fitting[0]
        if np.dtype(f"datetime64[{unit}]") != self._kind:
            turned = lambda counts: counts.astype(self._kind).astype(f"datetime64[{unit}]").astype(np.int64)  # noqa: E731
            self.column.change(0, self.column.size, turned)
        return unit, [f"dates in {self.label!r} became Unix {UNIT_NAMES[unit]}"]


class TextDates(_Times):
    """Dates of ISO 8601 in texts. The column holds seconds until it is known which unit loses nothing."""

    def __init__(self, label: str, store: Store, rows: int) -> None:
        super().__init__(label, store, rows)
        self._nanoseconds: list[np.ndarray] = []
        self._furthest = 0

    def _read(self, values: np.ndarray, start: int) -> np.ndarray:
        seconds, nanoseconds, good = parse_texts(values.tolist())
        if not good.all():
            raise no_times(values[~good], self.label)
        self._nanoseconds.append(nanoseconds.astype(np.int32))
        self._furthest = max(self._furthest, int(np.abs(seconds).max(initial=0)))
        return seconds

    def _close(self) -> tuple[str | None, list[str]]:
        unit = fine_unit(self._nanoseconds, self._furthest)
        change_beside(self.column, self._nanoseconds, lambda seconds, rest: in_unit_of(seconds, rest, unit))
        return unit, [f"dates in {self.label!r} became Unix {UNIT_NAMES[unit]}"]


class StatedTimes(TimeColumn):
    """Times in a form that is stated: numbers of a unit, or texts as a file has them."""

    def __init__(self, label: str, store: Store, rows: int, time_format: str) -> None:
        self.gaps = Gaps(label, "timestamp")
        self._column: Growing = store.column("timestamp", np.int64, rows)
        self._error: DataError | None = None
        self._format, self._texts = time_format, Times(".", time_format, self._column)

    def add(self, values: Any, start: int) -> None:
        """See `TimeColumn`."""
        if self.gaps.add(values, start) or self._error is not None:
            return
        try:
            self._read(numbers_of(values), start)
        except DataError as error:
            self._error = error

    def _read(self, values: np.ndarray, start: int) -> None:
        if values.dtype.kind == "M":
            raise DataError(f"the timestamps are dates already; leave time_format={self._format!r} out")
        if values.dtype.kind in "iu" and self._format in UNITS:
            self._column.append(values.astype(np.int64))
            return
        self._texts.add_texts(values.tolist(), start)

    def finish(self) -> tuple[str | None, list[str]]:
        """See `TimeColumn`."""
        if self._error is not None:
            raise self._error
        if self._texts.dates is None:  # numbers, of which none was a text
            return self._format, []
        return self._texts.finish()[0], []
