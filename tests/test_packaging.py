"""The source archive and the wheel have what they need, and say where they come from. `make dist` installs them too."""

import email
import importlib.metadata
import pathlib
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from typing import NamedTuple

import pytest

import jaxrec

ROOT = pathlib.Path(jaxrec.__file__).parents[1]
HOME = "https://forge.example/people/jaxrec"
BUILD = """
import sys, setuptools.build_meta as backend
print(getattr(backend, sys.argv[1])(sys.argv[2]))
"""
# What a checkout has, and a source archive has not.
MADE = (
    ".git",
    ".venv*",
    ".cache",
    "__pycache__",
    "*.egg-info",
    ".*_cache",
    ".hypothesis",
    "build",
    "dist",
    "runs",
    "*.pyc",
)
MADE_DOCS = ("api", "experiments", "project")  # of docs/, by `make docs`


def copied(source, target):
    """A copy of the repository without what is made there."""

    def ignored(folder, names):
        own = shutil.ignore_patterns(*MADE)(folder, names)
        return own | set(MADE_DOCS) if pathlib.Path(folder) == source / "docs" else own

    return shutil.copytree(source, target, ignore=ignored)


def built(what, source, target):
    """Build an archive as `python -m build` does, but with the setuptools that is here."""
    target.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", BUILD, what, str(target)],
        cwd=source,
        env={"PROJECT_URL": HOME, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]


class Archives(NamedTuple):
    """A copy of the repository, the names in its source archive, and the wheel that is built of that archive alone."""

    copy: pathlib.Path
    source: set[str]
    wheel: pathlib.Path


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    pytest.importorskip("setuptools", minversion="77")
    place = tmp_path_factory.mktemp("dist")
    copy = copied(ROOT, place / "copy")
    with tarfile.open(built("build_sdist", copy, place / "sdist")) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # since Python 3.11.4
        archive.extractall(place / "unpacked")
    (source,) = (place / "unpacked").iterdir()
    return Archives(copy, names, built("build_wheel", source, place / "wheel"))


@pytest.fixture(scope="module")
def wheel(archives):
    return zipfile.ZipFile(archives.wheel)


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel):
    info = f"jaxrec-{jaxrec.__version__}.dist-info/"
    found = {name for name in wheel.namelist() if not name.startswith(info)}
    package = {f"jaxrec/{name}" for name in files_of(ROOT / "jaxrec") if "__pycache__" not in name}
    assert found == package
    # Those that are no code, so that a test of an empty list does not pass.
    data = {pathlib.PurePosixPath(name).name for name in package if not name.endswith(".py")}
    assert {"py.typed", "_style.css", "_script.js", "_explorer.js"} <= data
    assert {f"{info}{name}" for name in ("METADATA", "entry_points.txt", "licenses/LICENSE")} <= set(wheel.namelist())


def test_the_command_is_installed_with_the_wheel(wheel):
    text = wheel.read(f"jaxrec-{jaxrec.__version__}.dist-info/entry_points.txt").decode()
    assert "[console_scripts]\njaxrec = jaxrec.cli:main" in text


def test_the_source_archive_has_what_the_targets_of_make_need(archives):
    made = ("PKG-INFO", "setup.cfg", "jaxrec.egg-info/")  # by setuptools
    own = {name for name in archives.source if not name.startswith(made)}
    assert own == {name for name in files_of(archives.copy) if not name.startswith(made)}
    assert {"Makefile", "tests/conftest.py", "docs/conf.py", "experiments/__init__.py", "examples/README.md"} <= own


@pytest.fixture(scope="module")
def metadata(wheel):
    return email.message_from_bytes(wheel.read(f"jaxrec-{jaxrec.__version__}.dist-info/METADATA"))


def test_the_metadata_is_complete(metadata):
    assert metadata["Version"] == jaxrec.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata.get_all("Classifier") == project["classifiers"]
    assert set(metadata.get_all("Provides-Extra")) == set(project["optional-dependencies"])
    links = dict(link.split(", ", 1) for link in metadata.get_all("Project-URL"))
    assert {"Homepage", "Source", "Documentation", "Issues", "Changelog"} <= set(links)
    assert all(link.startswith(HOME) for link in links.values())


def test_every_link_of_the_description_leads_somewhere_from_a_package_index(metadata):
    text = metadata.get_payload()
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(targets) > 10
    assert [target for target in targets if not target.startswith("https://")] == []
    led = {target for target in targets if target.startswith(HOME)}
    assert f"{HOME}/raw/v{jaxrec.__version__}/docs/report.png" in led
    pages = [re.sub(rf"{re.escape(HOME)}/(blob|raw)/v[\d.]+/", "", target) for target in led]
    assert [page for page in pages if not (ROOT / page).exists()] == []


def test_a_description_without_a_repository_has_no_broken_link():
    functions = runpy.run_path(str(ROOT / "setup.py"), run_name="setup")
    readme = (
        "# t\n\n![a picture](docs/a.png)\n\nSee [the page](docs/b.md), [paper](https://x.example/p) and [below](#t)."
    )
    plain = functions["description"](readme)
    assert plain == "# t\n\nSee the page, [paper](https://x.example/p) and [below](#t)."
    assert functions["links"]() == {}
    led = functions["description"](readme, "https://x.example/r", "v1")
    assert "![a picture](https://x.example/r/raw/v1/docs/a.png)" in led
    assert "[the page](https://x.example/r/blob/v1/docs/b.md)" in led


def test_the_version_of_the_archives_is_that_of_the_package():
    assert runpy.run_path(str(ROOT / "setup.py"), run_name="setup")["version"]() == jaxrec.__version__
    assert importlib.metadata.version("jaxrec")
