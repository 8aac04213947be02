"""What pyproject.toml cannot say: the description and the links of a package, which are read far from the repository.

README.md has links and a picture that are relative to it. A page of a package index has neither beside it, so they are
led to the repository: PROJECT_URL names it, as `make dist PROJECT_URL=https://...` and the workflow do. Without it
the words of the links stay, and the picture is left out.
"""

import os
import pathlib
import re

from setuptools import setup

ROOT = pathlib.Path(__file__).parent


def description(readme: str, url: str = "", ref: str = "main") -> str:
    """README.md as a package index can show it: every link leads somewhere.

    Args:
      readme: its text.
      url: of the repository; "" where there is none.
      ref: the tag or branch that links lead to.
    """
    picture, link = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)\n*"), re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")

    def place(found: re.Match[str], kind: str, otherwise: str) -> str:
        if re.match(r"[a-z]+:|#", found[2]):
            return found[0]
        return found[0].replace(f"]({found[2]})", f"]({url}/{kind}/{ref}/{found[2]})") if url else otherwise

    readme = picture.sub(lambda found: place(found, "raw", ""), readme)
    return link.sub(lambda found: place(found, "blob", found[1]), readme)


def links(url: str = "", ref: str = "main") -> dict[str, str]:
    """The links of the package, under the names that package indexes know; none without a repository."""
    if not url:
        return {}
    pages = {"Documentation": "docs/index.md", "Changelog": "CHANGELOG.md", "Contributing": "CONTRIBUTING.md"}
    led = {name: f"{url}/blob/{ref}/{page}" for name, page in pages.items()}
    return {"Homepage": url, "Source": url, "Issues": f"{url}/issues", **led}


def version() -> str:
    """The version, as jaxrec/__init__.py says it."""
    found = re.search(r'^__version__ = "(.+)"$', (ROOT / "jaxrec" / "__init__.py").read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


if __name__ == "__main__":
    home = os.environ.get("PROJECT_URL", "").rstrip("/")
    tag = f"v{version()}"
    setup(
        long_description=description((ROOT / "README.md").read_text("utf-8"), home, tag),
        long_description_content_type="text/markdown",
        project_urls=links(home, tag),
    )
