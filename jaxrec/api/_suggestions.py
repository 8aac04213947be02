"""Lists of items as they are given, printed and saved: `Recommendations`, each place a `Suggestion`."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from jaxrec.errors import JaxrecError
from jaxrec.files import whole_file, whole_text, write_whole
from jaxrec.text import cell_text, html_table, last_notes, printable

_SHOWN = 30  # lines or rows of lists that are shown unasked


@dataclasses.dataclass(frozen=True, eq=False)
class Suggestion:
    """One place of a list.

    Attributes:
      item: the item's id, as the caller's data has it.
      title: its title, or its id as text.
      score: of the model; comparable within one list only.

    >>> Suggestion(7, "Heat (1995)", 1.25).title
    'Heat (1995)'
    """

    item: Any
    title: str
    score: float


@dataclasses.dataclass(frozen=True, eq=False)
class Recommendations:
    """Ranked lists, one for each requested user or item; iterating gives (id, list of suggestions).

    Attributes:
      kind: "user" or "item", the kind of the requested ids.
      lists: requested id (in the caller's ids) to its suggestions, the best first.
      notes: users without a list of their own, and short lists.
      titles: requested item id to its title, for the headings of printed lists.

    >>> lists = Recommendations("user", {42: [Suggestion(7, "Heat (1995)", 1.25)]})
    >>> print(lists)
    user 42
       1. Heat (1995)  [7]  1.250
    """

    kind: str
    lists: dict[Any, list[Suggestion]]
    notes: tuple[str, ...] = ()
    titles: Mapping[Any, str] = dataclasses.field(default_factory=dict[Any, str])

    def __iter__(self) -> Iterator[tuple[Any, list[Suggestion]]]:
        return iter(self.lists.items())

    def __len__(self) -> int:
        return len(self.lists)

    def __getitem__(self, asked: Any) -> list[Suggestion]:
        if asked in self.lists:
            return self.lists[asked]
        for name, suggestions in self.lists.items():  # as ids are matched: by value, then by text
            if str(name) == str(asked):
                return suggestions
        raise KeyError(asked)

    def rows(self) -> Iterator[tuple[Any, int, Any, str, float]]:
        """Iterate over rows (requested id, rank from 1, item id, title, score), list by list.

        >>> list(Recommendations("user", {42: [Suggestion(7, "Heat", 1.5)]}).rows())
        [(42, 1, 7, 'Heat', 1.5)]
        """
        for asked, suggestions in self.lists.items():
            for rank, one in enumerate(suggestions, start=1):
                yield asked, rank, one.item, one.title, one.score

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain values for JSON.

        >>> Recommendations("user", {42: [Suggestion(7, "Heat", 1.5)]}).to_dict()["lists"][0]["user"]
        42
        """
        return {
            "kind": self.kind,
            "lists": [
                {self.kind: asked, "items": [dataclasses.asdict(one) for one in suggestions]}
                for asked, suggestions in self.lists.items()
            ],
            "notes": list(self.notes),
        }

    def to_frame(self) -> Any:
        """Convert to a pandas frame with the columns user (or similar_to), rank, item, title, score.

        Raises:
          JaxrecError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise JaxrecError('to_frame needs pandas: pip install "jaxrec[data]"') from None
        return pandas.DataFrame(self.rows(), columns=self._columns())

    def save(self, path: str | pathlib.Path, *, spreadsheet_safe: bool = False) -> None:
        """Write the rows to a file, whole or not at all: .csv, .json (one document), or .parquet (needs pyarrow).

        Args:
          path: its ending says the format.
          spreadsheet_safe: put a quote before each text in a .csv file that a spreadsheet would run as a formula, which
            starts with =, +, -, @, a tab or a line end. Such ids and titles do not read back as they are, so this is
            for people who open the file, not for `jaxrec.evaluate_rankings`.

        Raises:
          JaxrecError: another ending, or pyarrow missing for Parquet.
          OutputError: the file cannot be written; what was there stays.

        >>> Recommendations("user", {}).save("lists.txt")
        Traceback (most recent call last):
            ...
        jaxrec.errors.JaxrecError: cannot write 'lists.txt': the ending must be .csv, .json or .parquet
        """
        path = pathlib.Path(path)
        if path.suffix == ".json":
            write_whole(path, (json.dumps(self.to_dict()) + "\n").encode())
        elif path.suffix == ".csv":
            import csv

            with whole_text(path) as file:
                writer = csv.writer(file)
                writer.writerow(self._columns())
                writer.writerows(map(cell_text, row) if spreadsheet_safe else row for row in self.rows())
        elif path.suffix == ".parquet":
            try:
                import pyarrow
                import pyarrow.parquet
            except ImportError:
                raise JaxrecError('Parquet needs pyarrow: pip install "jaxrec[parquet]"') from None
            columns = list(zip(*self.rows(), strict=True)) or [()] * len(self._columns())
            table = pyarrow.table(dict(zip(self._columns(), map(list, columns), strict=True)))
            with whole_file(path) as file:
                pyarrow.parquet.write_table(table, file)
        else:
            raise JaxrecError(f"cannot write {str(path)!r}: the ending must be .csv, .json or .parquet")

    def _columns(self) -> tuple[str, ...]:
        return ("similar_to" if self.kind == "item" else self.kind, "rank", "item", "title", "score")

    def __str__(self) -> str:
        lines = []
        for asked, suggestions in self.lists.items():
            title = self.titles.get(asked, "")
            lines.append(f"{self.kind} {title}  [{asked}]" if title else f"{self.kind} {asked}")
            lines += [
                f"  {rank:2d}. {one.title}  [{one.item}]  {one.score:.3f}" for rank, one in enumerate(suggestions, 1)
            ]
        return "\n".join(printable(line) for line in [*lines, *(f"note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        lines = str(dataclasses.replace(self, notes=())).split("\n")
        cut = [*lines[:_SHOWN], f"... {len(self):,} lists in all"] if len(lines) > _SHOWN else lines
        return "\n".join([*cut, *(f"note: {printable(note)}" for note in last_notes(self.notes))])

    def _repr_html_(self) -> str:
        rows = [list(self._columns()), *([*map(str, row[:-1]), f"{row[-1]:.3f}"] for row in self.rows())]
        cut = rows[: _SHOWN + 1]
        title = f"Recommendations: {len(self):,} lists"
        return html_table(title, cut, [*(["..."] if len(cut) < len(rows) else []), *last_notes(self.notes)])
