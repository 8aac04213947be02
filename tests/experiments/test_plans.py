"""Plans of large data: the bytes by arithmetic are those of the arrays and of the compiled program."""

import json

import jax
import pytest

from experiments.plans import arithmetic
from experiments.plans import main as script
from experiments.plans.config import DATA, MACHINES, SHARE, Data

SMALL = Data(users=300, items=200, pairs=5000, batch=512, dim=16)


def bytes_of(tree):
    return sum(leaf.size * 4 for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("data", [SMALL, DATA["10^9"]], ids=["small", "10^9"])
def test_what_is_held_is_what_the_arrays_take(data):
    state, *_, tables = script.shapes(data)
    held = arithmetic.held(data)
    assert 0 <= bytes_of((state.params, state.opt_state)) - held["state"] <= 8  # the count of the steps
    assert bytes_of(tables.adjacency) == held["operator"]
    assert bytes_of(tables) - bytes_of(tables.adjacency) == held["pairs"]


@pytest.mark.slow
def test_the_compiled_program_says_the_same_of_its_arguments():
    found = script.compiled_bytes(SMALL)
    assert found["argument_mb"] == pytest.approx(sum(arithmetic.held(SMALL).values()) / 1e6, rel=0.02, abs=0.05)


def test_a_product_moves_an_entry_and_a_row_for_each_entry_and_the_result():
    assert arithmetic.moved(DATA["Gowalla"], 64, small=32) == 2 * 810_128 * (12 + 256) + 4 * 70_839 * 64
    assert arithmetic.moved(DATA["Gowalla"], 64, small=512) == 2 * 810_128 * (12 + 512) + 4 * 70_839 * 64


def test_what_does_not_fit_has_no_plan_and_what_fits_has_the_faster_one(tmp_path):
    assert script.main(["--data", "10^9", "--no-compile", "--out", str(tmp_path / "plans.json")]) == 0
    (row,) = json.loads((tmp_path / "plans.json").read_text())["rows"]
    one = MACHINES["an H100"]
    assert row["machines"]["an H100"]["epoch_s"] > row["machines"]["8 H100, NVLink"]["epoch_s"]
    assert row["machines"]["8 H100, NVLink"]["way"] == "rows"
    assert arithmetic.way_of(DATA["10^9"], type(one)(1, 16e9, one.bandwidth, None, one.flops, 32)) == "none"
    step = arithmetic.seconds_of_step(DATA["10^9"], one, "columns")
    assert step["products"] == pytest.approx(6 * arithmetic.moved(DATA["10^9"], 64, 32) / (SHARE * 3.35e12))
