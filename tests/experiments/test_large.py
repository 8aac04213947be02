"""Large data, small: every part runs on what the part before it left, and reading gives one thing both ways."""

import json

import pytest

import jaxrec
from experiments.large import config, main


def figures(capsys):
    return {line["part"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


def test_every_part_runs(tmp_path, capsys, monkeypatch):
    small = lambda size, epochs: (jaxrec.MF(dim=4), config_training(size, epochs)[1])  # noqa: E731
    config_training = config.training
    monkeypatch.setattr(config, "training", small)
    words = [*main.PARTS, "--size", "1e4", "--folder", str(tmp_path), "--here"]
    assert main.main(words) == 0
    found = figures(capsys)
    assert list(found) == list(main.PARTS)
    assert found["read"]["interactions"] == config.SIZES["1e4"].interactions
    assert len({found[part]["fingerprint"] for part in ("read", "mapped", "read-text", "mapped-text")}) == 1
    assert found["graph"]["entries"] % 2 == 0
    assert len(found["fit"]["losses"]) == 1
    assert all(line["peak_mb"] > 50 for line in found.values())


@pytest.mark.slow
def test_parts_have_processes_of_their_own(tmp_path, capfd):
    assert main.main(["generate", "read", "--size", "1e4"]) == 0
    assert list(figures(capfd)) == ["generate", "read"]


def test_a_part_that_there_is_not_is_refused(capsys):
    with pytest.raises(SystemExit):
        main.main(["sort"])
    assert "no part is named 'sort'; the parts are generate, read, mapped, graph, text," in capsys.readouterr().err
