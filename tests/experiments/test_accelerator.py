"""The script for accelerators, at reduced size on a CPU: every part runs, and a wrong number is told."""

import json

import numpy as np
import pytest

from experiments.accelerator import checks
from experiments.accelerator import main as script
from experiments.accelerator.checks import Check, largest_difference

SMALL = [
    "--users",
    "40",
    "--items",
    "50",
    "--pairs",
    "300",
    "--check-pairs",
    "300",
    "--dims",
    "8",
    "--batch-size",
    "64",
]


def rows_of(path):
    return {row["part"]: row for row in json.loads(path.read_text())["rows"]}


@pytest.mark.slow
def test_every_part_runs_and_a_cpu_agrees_with_itself(tmp_path):
    assert script.main([*SMALL, "--out", str(tmp_path / "out.json")]) == 0
    rows = rows_of(tmp_path / "out.json")
    assert {check.name for check in checks.CHECKS} < set(rows)
    assert all(row["steps_per_s"] > 0 for name, row in rows.items() if name.startswith(("LightGCN 8", "MF 8")))
    assert not any(row.get("left_out") for row in rows.values())


def test_a_number_that_differs_is_told_and_the_exit_code_is_1(tmp_path, monkeypatch, capsys):
    answers = iter([np.ones(2), np.array([1.0, 1.5])])
    monkeypatch.setattr(script, "CHECKS", [Check("wrong", lambda data: [next(answers)], 1e-3)])
    monkeypatch.setattr(script, "product_rate", lambda *given: {"ms": 1.0})
    monkeypatch.setattr(script, "step_rate", lambda *given, **named: {"steps_per_s": 1.0})
    monkeypatch.setattr(script, "ranking_rate", lambda *given: {"users_per_s": 1})
    assert script.main([*SMALL, "--out", str(tmp_path / "out.json")]) == 1
    assert "differs from the CPU: wrong" in capsys.readouterr().out
    assert rows_of(tmp_path / "out.json")["wrong"] == {
        "part": "wrong",
        "difference": pytest.approx(1 / 3),
        "tolerance": 1e-3,
        "agrees": False,
    }


def test_what_does_not_fit_the_time_is_named(tmp_path):
    assert script.main([*SMALL, "--seconds", "0", "--out", str(tmp_path / "out.json")]) == 0
    assert all(row["left_out"] for row in rows_of(tmp_path / "out.json").values())


def test_a_number_that_is_not_finite_is_infinitely_far():
    assert largest_difference([np.array([np.nan])], [np.array([1.0])]) == np.inf
