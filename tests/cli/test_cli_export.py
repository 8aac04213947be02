"""`jaxrec export`: the artifact of a run folder, and what is refused in one line."""

import json
import sys

import pytest


def test_a_run_is_exported_and_served(cli, full_run, tmp_path, monkeypatch):
    result = cli("export", full_run, "--out", tmp_path / "served", "-k", "5", "--json")
    assert result.err == ""
    assert result.json["model"] == "itemknn"
    assert result.json["longest_list"] == 5
    manifest = json.loads((tmp_path / "served" / "manifest.json").read_bytes())
    assert result.json["files"] == manifest["files"]
    assert result.json["bytes"] == sum(told["bytes"] for told in manifest["files"].values())
    monkeypatch.syspath_prepend(str(tmp_path / "served"))
    monkeypatch.delitem(sys.modules, "serve_numpy", raising=False)
    found = __import__("serve_numpy").Server(tmp_path / "served").recommend(["2"], k=1)
    assert found[2][0][:2] == (4, "Amélie (2001)")  # the checkerboard withholds item 2 u mod 24 of an even user u


def test_text_says_what_was_written_and_the_recall_of_an_index(cli, trained_run, tmp_path):
    pytest.importorskip("usearch")
    out = cli("export", trained_run, "--out", tmp_path / "served", "--index").out
    assert out.startswith("mf, 12 users and 24 items written to ")
    assert "; index: recall@10 1.000, recall@20 1.000" in out


def test_mistakes_are_told_in_a_line(cli, full_run, tmp_path):
    (tmp_path / "mine").write_text("")
    assert "has other files (mine)" in cli("export", full_run, "--out", tmp_path).error
    assert (
        "k is 0; pass a whole number of at least 1" in cli("export", full_run, "--out", tmp_path / "a", "-k", "0").error
    )
    assert "itemknn has no vectors" in cli("export", full_run, "--out", tmp_path / "a", "--index").error
    assert "--out" in cli("export", full_run).error
    assert "no run folder at" in cli("export", tmp_path / "none", "--out", tmp_path / "a").error
    assert {path.name for path in tmp_path.iterdir()} == {"mine"}
