"""A Sphinx extension: the pages that live beside the code, as pages of the site, with every link led to the site.

README pages of experiments, CONTRIBUTING, CHANGELOG, SECURITY and the examples stay where a reader of the repository
looks for them. Here they are copied into `docs/experiments` and `docs/project`.
"""

from __future__ import annotations

import os
import pathlib
import re
from typing import Any

from sphinx.application import Sphinx

ROOT = pathlib.Path(__file__).parents[2]
PROJECT = {
    "CONTRIBUTING.md": "project/contributing",
    "CHANGELOG.md": "project/changelog",
    "SECURITY.md": "project/security",
    "examples/README.md": "project/examples",
}
_LINK = re.compile(r"(?<=\]\()([^)\s#]*)(#[^)\s]*)?(?=\))")
_FENCE = re.compile(r"^(```|~~~|:::)", re.MULTILINE)


def page_of(path: str) -> str | None:
    """The page of the site that a file of the repository became, without an ending."""
    if path in PROJECT:
        return PROJECT[path]
    if path in ("README.md", "experiments"):
        return "index" if path == "README.md" else "experiments/index"
    found = re.fullmatch(r"experiments/(\w+)(/README\.md)?/?", path)
    if found and (ROOT / "experiments" / found[1] / "README.md").is_file():
        return f"experiments/{found[1]}"
    return path.removeprefix("docs/").removesuffix(".md") if path.startswith("docs/") and path.endswith(".md") else None


def led_to_site(text: str, source: str, page: str) -> str:
    """Rewrite the links of a Markdown text outside of its code.

    Args:
      text: of a file.
      source: the file, from the root of the repository.
      page: the page of the site that it becomes, without an ending.
    """
    parts = re.split(r"(^```.*?^```\s*$|`[^`\n]+`)", text, flags=re.MULTILINE | re.DOTALL)
    for at in range(0, len(parts), 2):
        parts[at] = _LINK.sub(lambda found: _target(found, source, page), parts[at])
    return "".join(parts)


def _target(found: re.Match[str], source: str, page: str) -> str:
    target, anchor = found[1], found[2] or ""
    if not target or ":" in target or target.startswith("/"):
        return found[0]
    path = os.path.normpath(os.path.join(os.path.dirname(source), target))
    there = page_of(path)
    if there is not None:
        return f"/{there}.md{anchor}"
    room = path.removesuffix("/__init__.py")
    if path.startswith("jaxrec/") and path.endswith(".py") and "/_" not in room:
        return f"/api/{room.removesuffix('.py').replace('/', '.')}.rst"
    if path.startswith("examples/") and path.endswith(".py"):
        return f"/{PROJECT['examples/README.md']}.md#{pathlib.Path(path).name.replace('.', '')}"
    return os.path.relpath(ROOT / path, ROOT / "docs" / os.path.dirname(page)) + anchor


def write_pages(app: Sphinx) -> None:
    """Copy the pages beside the code into the folder of the documentation."""
    sources = {f"experiments/{path.parent.name}/README.md" for path in ROOT.glob("experiments/*/README.md")}
    sources |= {source for source in PROJECT if (ROOT / source).is_file()}
    kept = set()
    for source in sorted(sources):
        page = page_of(source)
        assert page is not None
        text = led_to_site((ROOT / source).read_text(encoding="utf-8"), source, page)
        if page == PROJECT["examples/README.md"]:
            text += _example_files()
        kept.add(_written(f"{page}.md", text))
    kept.add(_written("experiments/index.md", _index(sorted(page_of(one) or "" for one in sources))))
    for folder in ("experiments", "project"):
        for path in (ROOT / "docs" / folder).glob("*.md"):
            if path not in kept:
                path.unlink()


def _index(pages: list[str]) -> str:
    own = [page.removeprefix("experiments/") for page in pages if page.startswith("experiments/")]
    lines = ["# Experiments", "", "One folder a result table, each with its command, its settings and its figures.", ""]
    return "\n".join([*lines, "```{toctree}", ":maxdepth: 1", "", *own, "```", ""])


def _example_files() -> str:
    parts = []
    for path in sorted((ROOT / "examples" / "extending").glob("[!_]*.py")):
        place = f"../../examples/extending/{path.name}"
        parts += [f"\n## {path.name}\n", f"```{{literalinclude}} {place}", ":language: python", "```\n"]
    return "\n".join(parts)


def _written(name: str, text: str) -> pathlib.Path:
    path = ROOT / "docs" / name
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path


def read(app: Sphinx, page: str, content: list[str]) -> None:
    """Lead the links of a page under `docs/`, which are those of the repository, to the site."""
    if not page.startswith(("api/", "experiments/", "project/")):
        content[0] = led_to_site(content[0], f"docs/{page}.md", page)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the pages and the links."""
    app.connect("builder-inited", write_pages, priority=100)
    app.connect("source-read", read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
