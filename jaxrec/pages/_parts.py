"""Parts that pages share: tables, and figures with a table behind each chart."""

from __future__ import annotations

from collections.abc import Sequence

from jaxrec.pages._markup import Html, joined, tag


def table(
    head: Sequence[object],
    rows: Sequence[Sequence[object]],
    *,
    caption: str,
    text_columns: Sequence[int] = (0,),
    stacked: bool = False,
    sparse: bool = False,
    foot: Sequence[str] = (),
) -> Html:
    """A table with a caption; the first cell of a row is its header.

    On a narrow page it scrolls within itself, or, where it is `stacked`, each row becomes a block of lines.

    Args:
      head: the titles of the columns.
      rows: cells of text, numbers or markup.
      caption: what the table holds.
      text_columns: columns that go to the left; the others hold figures, which go to the right.
      stacked: see above; for tables that must be read as a whole.
      sparse: whether a stacked table leaves its dashes out, where most cells are dashes.
      foot: sentences below the table.

    >>> table(["", "a < b"], [["one", "1"]], caption="All").count("&lt;")
    1
    """
    sides = ["text" if at in text_columns else "figure" for at in range(len(head))]
    names = [str(name) for name in head]
    titles = [
        tag("th", name, scope="col", class_=side, role="columnheader") if str(name) else tag("td", role="cell")
        for name, side in zip(head, sides, strict=True)
    ]
    body = []
    for row in rows:
        cells = [tag("th", row[0], scope="row", class_=sides[0], role="rowheader")]
        for cell, side, name in zip(row[1:], sides[1:], names[1:], strict=True):
            kind = f"{side} none" if sparse and cell == "–" else side
            cells.append(tag("td", cell, class_=kind, role="cell", data_label=name if stacked else None))
        body.append(tag("tr", cells, role="row"))
    # The roles are said, since a browser forgets them where the style makes blocks of rows.
    whole = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", titles, role="row"), role="rowgroup"),
        tag("tbody", body, role="rowgroup"),
        role="table",
        class_=("stacked sparse" if sparse else "stacked") if stacked else None,
    )
    below = [tag("p", sentence, class_="note") for sentence in foot]
    return joined(tag("div", whole, class_="scroll", role="group", aria_label=caption, tabindex="0"), below)


def figure(chart: Html, caption: str, behind: Html, *, key: Html | None = None, note: str = "") -> Html:
    """A chart with what it shows in a sentence, the key of its marks, and its figures as a table to be opened.

    >>> figure(tag("svg"), "Two lines.", tag("table")).count("<details>")
    1
    """
    return tag(
        "figure",
        chart,
        key,
        tag("figcaption", caption, tag("span", f" {note}", class_="note") if note else None),
        tag("details", tag("summary", "The figures as a table"), behind),
    )


def grid(*figures: object) -> Html:
    """Figures beside each other where there is room."""
    return tag("div", figures, class_="grid")


def listed(items: Sequence[object], name: str | None = None) -> Html:
    """A list of sentences."""
    return tag("ul", [tag("li", item) for item in items], class_=name)


def paragraph(*text: object, note: bool = False) -> Html:
    """A paragraph; a note is smaller."""
    return tag("p", text, class_="note" if note else None)


def definitions(pairs: Sequence[tuple[object, object]], name: str = "facts") -> Html:
    """Names and what they are, as a list of definitions."""
    return tag("dl", [tag("div", tag("dt", one), tag("dd", other)) for one, other in pairs], class_=name)


def number(value: float, digits: int = 4) -> str:
    """A figure as tables show it: shares without the zero before the point, a dash for none.

    >>> number(0.1234), number(-0.5), number(1.25), number(float("nan")), number(1200.0)
    ('.1234', '−.5000', '1.2500', '–', '1,200.0000')
    """
    if value != value:
        return "–"
    text = f"{abs(value):,.{digits}f}"
    text = text[1:] if text.startswith("0.") else text
    return f"−{text}" if value < 0 and set(text) - set(".0") else text


def percent(share: float) -> str:
    """A share as a percentage of two or three digits.

    >>> percent(0.5), percent(0.0034), percent(0.0), percent(1.0)
    ('50%', '0.34%', '0%', '100%')
    """
    value = 100 * share
    return f"{value:.0f}%" if value >= 10 or value == 0 else f"{value:.2g}%"


def counted(count: int, what: str, plural: str = "") -> str:
    """A number with its noun.

    >>> counted(1, "user"), counted(1200, "user"), counted(2, "entry", "entries")
    ('1 user', '1,200 users', '2 entries')
    """
    return f"{count:,} {what if count == 1 else plural or what + 's'}"
