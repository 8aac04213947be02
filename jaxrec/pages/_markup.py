"""Markup as values: tags whose text is escaped, so that no title, id or path can become markup."""

from __future__ import annotations

import html

from jaxrec.text import printable

_VOID = frozenset({"br", "circle", "ellipse", "hr", "input", "line", "link", "meta", "path", "rect"})
_FLAGS = frozenset({"disabled", "hidden", "open", "selected"})


class Html(str):
    """Text that is markup already and is not escaped again; only `tag`, `joined` and trusted files make it."""

    __slots__ = ()


def escaped(text: object) -> Html:
    """Text as markup that shows it: with `<`, `>`, `&` and quotes escaped, and control characters written out.

    >>> escaped('<img src=x onerror="alert(1)">')
    '&lt;img src=x onerror=&quot;alert(1)&quot;&gt;'
    """
    return text if isinstance(text, Html) else Html(html.escape(printable(str(text))))


def joined(*children: object) -> Html:
    """Several pieces of markup or text, one after another; None is nothing, and lists are joined too.

    >>> joined("a < b", None, [tag("br"), "c"])
    'a &lt; b<br/>c'
    """
    parts: list[str] = []
    for child in children:
        if child is None:
            continue
        if isinstance(child, (list, tuple)):
            parts.append(joined(*child))
        else:
            parts.append(escaped(child))
    return Html("".join(parts))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """An element: `tag("p", "text", class_="note")`.

    Args:
      name: of the element.
      children: markup, text that is escaped, None, or lists of these.
      attributes: by name; a trailing underscore is dropped, other underscores become dashes. None and False leave the
        attribute out, True writes a flag such as `open`. Floats have at most two decimals, as coordinates need.

    >>> tag("a", "R & D", href="#top", class_="link", hidden=None)
    '<a href="#top" class="link">R &amp; D</a>'
    """
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        if value is True and key in _FLAGS:
            written.append(f" {key}")
        else:
            text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
            written.append(f' {key}="{escaped(text)}"')
    start = f"<{name}{''.join(written)}"
    # SVG within HTML needs the slash; HTML ignores it.
    return Html(f"{start}/>" if name in _VOID and not children else f"{start}>{joined(*children)}</{name}>")
