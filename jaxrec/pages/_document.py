"""One self-contained page from parts: no request leaves it, and nothing in it runs but the scripts of this folder."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxrec.pages._markup import Html, joined, tag


class Section(NamedTuple):
    """A part of a page that the table of contents names.

    Attributes:
      anchor: its id.
      title: its heading.
      body: its markup.

    >>> Section("data", "Data card", tag("p", "...")).anchor
    'data'
    """

    anchor: str
    title: str
    body: Html


def document(
    title: str,
    sections: Sequence[Section],
    *,
    lead: Html | None = None,
    data: Mapping[str, Any] | None = None,
    script: str | None = None,
    connect: str = "'none'",
) -> str:
    """A whole page as text.

    Its policy (Content-Security-Policy) lets no request leave, and names the one style sheet and the one script by
    their hashes, so markup that got in would neither load nor run anything.

    Args:
      title: of the page, text.
      sections: in order, with a heading each.
      lead: markup between the title and the first section.
      data: what the script reads, as JSON: plain values without numbers that are not finite.
      script: the name of a file of this folder, such as "_script.js"; None for a page without.
      connect: where the script may ask for data, as in the policy; "'self'" for a page with a server behind it.

    Raises:
      ValueError: data with a number that is not finite.

    >>> page = document("a < b", [Section("one", "One", tag("p", "text"))])
    >>> page.startswith("<!doctype html>"), "a &lt; b" in page, "<h2>One</h2>" in page
    (True, True, True)
    """
    style, code = asset("_style.css"), None if script is None else asset(script)
    contents = tag("ol", [tag("li", tag("a", one.title, href=f"#{one.anchor}")) for one in sections])
    body = tag(
        "body",
        tag("a", "Skip to the content", href="#content", class_="skip"),
        tag("header", tag("h1", title), lead),
        tag("nav", contents, aria_label="Contents"),
        tag("main", [_section(one) for one in sections], id="content", tabindex="-1"),
        None if data is None else tag("script", json_text(data), type="application/json", id="page-data"),
        None if code is None else tag("script", Html(code)),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(script, connect)),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(style)),
    )
    return "<!doctype html>\n" + tag("html", head, Html("\n"), body, lang="en") + "\n"


def policy(script: str | None = None, connect: str = "'none'") -> str:
    """The Content-Security-Policy of a page, see `document`; what serves a page sends it as a header too.

    >>> policy()
    "default-src 'none'; style-src 'sha256-...'; base-uri 'none'; form-action 'none'"
    """
    parts = ["default-src 'none'", f"style-src {_hash(asset('_style.css'))}"]
    if script is not None:
        parts += [f"script-src {_hash(asset(script))}", f"connect-src {connect}"]
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'"])


def json_text(data: Any) -> Html:
    """JSON that stands in a script element: no text in it can end the element or begin another.

    >>> json_text({"title": "</script><img src=x>"})
    '{"title":"\\\\u003c/script\\\\u003e\\\\u003cimg src=x\\\\u003e"}'
    """
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Html(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def packed(array: np.ndarray) -> dict[str, Any]:
    """An array of whole numbers as base64 of its smallest fitting kind, for JSON: 2.7 letters a number of 16 bits.

    -1 is the only number below 0 that fits; the script reads the largest number of the kind as -1.

    Raises:
      ValueError: a number that is not whole or below -1.

    >>> packed(np.array([0, 1, -1]))
    {'bytes': 1, 'data': 'AAH/'}
    """
    array = np.asarray(array)
    if array.dtype.kind not in "iub" or (array.size and int(array.min()) < -1):
        raise ValueError(f"packed takes whole numbers of at least -1, got {array.dtype} from {array.min()}")
    most = int(array.max()) if array.size else 0
    kind = next(kind for kind in (np.uint8, np.uint16, np.uint32) if most < np.iinfo(kind).max)
    whole = np.where(array < 0, np.iinfo(kind).max, array).astype(np.dtype(kind).newbyteorder("<"))
    return {"bytes": np.dtype(kind).itemsize, "data": base64.b64encode(np.ascontiguousarray(whole).tobytes()).decode()}


@functools.cache
def asset(name: str) -> str:
    """A file of this folder as text, such as the style sheet.

    >>> ":root" in asset("_style.css")
    True
    """
    return importlib.resources.files("jaxrec.pages").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _section(section: Section) -> Html:
    heading = tag("h2", section.title)
    return joined(tag("section", heading, section.body, id=section.anchor), Html("\n"))
