"""The page of the explorer: its controls as markup, which the script fills and listens to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jaxrec.pages._document import Section, document, policy
from jaxrec.pages._markup import Html, joined, tag
from jaxrec.pages._parts import counted, listed, paragraph, table

_SCRIPT = "explorer/_explorer.js"
_CONNECT = "'self'"


def page_policy() -> str:
    """The Content-Security-Policy of the page, for its header."""
    return f"{policy(_SCRIPT, _CONNECT)}; frame-ancestors 'none'"


def page(served: Mapping[str, Any], name: str = "") -> str:
    """The page as text.

    Args:
      served: the document of /api/runs.
      name: of the data.

    >>> limits = {"k": 64, "history": 256}
    >>> served = {"runs": [], "users": 1, "items": 2, "categories": [], "rerankers": ["mmr"], "left_out": []}
    >>> "<h2>Lists</h2>" in page({**served, "limits": limits})
    True
    """
    what = (
        f"{counted(len(served['runs']), 'run')}, {counted(served['users'], 'user')}, {counted(served['items'], 'item')}"
    )
    sections = [
        Section("explore", "Lists", _lists(served)),
        Section("similar", "Similar items", _similar()),
        Section("about", "About", _about(served)),
    ]
    data = {key: served[key] for key in ("runs", "limits", "left_out")}
    title = f"Explorer of {name}" if name else "Explorer"
    return document(title, sections, lead=tag("p", what), data=data, script=_SCRIPT, connect=_CONNECT)


def _lists(served: Mapping[str, Any]) -> Html:
    """Whose lists, how they are made, and the lists: close together, so that what one does is seen."""
    return joined(
        tag("noscript", paragraph("This page needs its script, which is switched off; /api/runs answers without it.")),
        tag(
            "div",
            search("user", "A user of the data", "Type a part of a user's id."),
            search("basket", "An item for a basket of your own", "Type a part of a title, or an id."),
            class_="pick",
        ),
        tag(
            "div",
            tag("strong", "Nobody is chosen yet", id="whose"),
            _button("basket-copy", "Take this history as a basket"),
            _button("basket-back", "Back to the basket"),
            _button("user-back", "Back to the user"),
            _button("basket-empty", "Empty the basket"),
            class_="chosen",
        ),
        tag("ul", id="basket", class_="matches", aria_label="Items of the basket", hidden=True),
        _controls(served),
        _rules(served["categories"]),
        tag(
            "details",
            tag("summary", "What the controls and signs mean"),
            tag(
                "p",
                "Diversity 0 is the order of the run. Above it the list is chosen from the best 64 items, with 1 less "
                "the diversity as the trade-off. The distance of a list is the mean Euclidean distance of two of its "
                "items in the common space.",
                id="slider-hint",
                class_="note",
            ),
            paragraph(
                "Beside an item: + adds it to the basket, − excludes it, ≈ shows similar items. A check mark is a hit, "
                f"a test item. A basket has up to {counted(served['limits']['history'], 'item')}.",
                note=True,
            ),
        ),
        tag(
            "div",
            tag("p", "", id="told", role="status", aria_live="polite"),
            tag("button", "Save the lists as CSV", type="button", id="save", disabled=True),
            class_="bar",
        ),
        tag("div", id="view"),
    )


def _button(name: str, text: str) -> Html:
    return tag("button", text, type="button", id=name, hidden=True)


def _controls(served: Mapping[str, Any]) -> Html:
    slider = tag(
        "label",
        tag("span", "Diversity ", tag("output", "0", id="diversity-value", for_="diversity")),
        tag(
            "input",
            type="range",
            id="diversity",
            min="0",
            max="1",
            step="0.05",
            value="0",
            aria_describedby="slider-hint",
        ),
        class_="wide",
    )
    names = {"mmr": "MMR, by distances", "dpp": "DPP, by volumes"}
    options = [tag("option", names.get(word, word), value=word) for word in served["rerankers"]]
    most = served["limits"]["k"]
    length = tag("input", type="number", id="length", min="1", max=str(most), step="1", value=str(min(10, most)))
    return tag(
        "div",
        slider,
        tag("label", tag("span", "Re-ranker"), tag("select", options, id="reranker")),
        tag("label", tag("span", f"Items, 1 to {most}"), length, class_="narrow"),
        _runs(served["runs"]),
        class_="controls",
    )


def _runs(runs: Sequence[Mapping[str, Any]]) -> Html | None:
    if len(runs) < 2:
        return None
    boxes = [
        tag("label", tag("input", type="checkbox", name_="run", value=run["run"], checked="checked"), f" {run['run']}")
        for run in runs
    ]
    return tag("fieldset", tag("legend", "Runs"), boxes, class_="choices")


def _rules(categories: Sequence[str]) -> Html:
    boxes = [
        tag("label", tag("input", type="checkbox", name_="category", value=label), f" {label}") for label in categories
    ]
    only = tag("fieldset", tag("legend", "Only these categories"), boxes, class_="choices") if categories else None
    return tag(
        "details",
        tag("summary", "Candidate rules", tag("strong", id="rules-count")),
        only,
        tag(
            "div",
            _items("only", "Only these items"),
            _items("without", "Without these items"),
            class_="pick",
        ),
        tag("p", "One item a line, by its id or its title.", id="rules-hint", class_="note"),
        tag("ul", id="excluded", class_="matches", aria_label="Excluded items"),
        tag("p", _button("rules-clear", "Clear all rules")),
        id="rules",
    )


def _items(name: str, label: str) -> Html:
    """A field for items, one a line."""
    field = tag("textarea", id=name, rows="3", autocomplete="off", spellcheck="false", aria_describedby="rules-hint")
    return tag("div", tag("label", label, for_=name), field, class_="search")


def _similar() -> Html:
    return joined(
        search("similar", "Title or id of an item", "Type a part of a title, or an id."),
        tag("div", id="similar-view", aria_live="polite"),
    )


def _about(served: Mapping[str, Any]) -> Html:
    rows = [[run["run"], run["description"], run["folder"] or "–"] for run in served["runs"]]
    left_out = served["left_out"]
    places = [
        "/api/runs",
        "/api/users?q=",
        "/api/items?q=",
        "/api/recommend?user=",
        "/api/similar?item=",
        "/api/list.csv",
    ]
    return joined(
        table(["run", "model", "folder"], rows, caption="Runs", text_columns=(0, 1, 2), stacked=True),
        tag("h3", "Left out") if left_out else None,
        listed(left_out) if left_out else None,
        tag("h3", "Endpoints"),
        paragraph("The page asks these, and so can programs; ids are texts, and answers are JSON."),
        listed([tag("code", place) for place in places]),
    )


def search(name: str, label: str, hint: str) -> Html:
    """A field with the matches below it as buttons.

    >>> search("user", "A user", "Type.").count("user-")
    5
    """
    field = tag(
        "input",
        type="search",
        id=f"{name}-search",
        autocomplete="off",
        aria_describedby=f"{name}-hint",
        spellcheck="false",
    )
    return tag(
        "div",
        tag("label", label, for_=f"{name}-search"),
        field,
        tag("p", hint, id=f"{name}-hint", class_="note", role="status"),
        tag("ul", id=f"{name}-matches", class_="matches"),
        class_="search",
        role="search",
        aria_label=label,
    )
