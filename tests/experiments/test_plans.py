"""Plans of large data: the bytes by arithmetic are those of the arrays, of the library's plans and of its programs."""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys

import jax
import pytest

from experiments.plans import arithmetic
from experiments.plans import main as script
from experiments.plans.config import DATA, FITS, MACHINES, SHARE, Data
from jaxrec.parallel import Layout
from jaxrec.sparse import reads_rows

SMALL = Data(users=320, items=192, pairs=5000, batch=512, dim=16)  # multiples of 64: no padding
CPU, H100 = MACHINES["a CPU host"], MACHINES["an H100"]
EIGHT = MACHINES["8 H100, NVLink"]
ROOT = pathlib.Path(__file__).parents[2]


def bytes_of(tree):
    return sum(leaf.size * 4 for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("data", [SMALL, DATA["10^9"]], ids=["small", "10^9"])
def test_what_is_held_is_what_the_arrays_take(data):
    state, *_, tables = script.shapes(data)
    held = arithmetic.held(data, native=not reads_rows())
    assert 0 <= bytes_of((state.params, state.opt_state)) - held["state"] <= 8  # the count of the steps
    assert bytes_of(tables.adjacency) == held["operator"]
    assert bytes_of(tables) - bytes_of(tables.adjacency) == held["pairs"]
    rows = arithmetic.held(data, native=False)["operator"] - arithmetic.held(data, native=True)["operator"]
    assert rows == 4 * 2 * data.pairs


@pytest.mark.parametrize("data", [SMALL, DATA["10^9"]], ids=["small", "10^9"])
@pytest.mark.parametrize("layout", script.layouts_of(8), ids=str)
def test_bytes_of_eight_devices_are_those_that_the_library_counts(data, layout):
    plan = script.step_of(data, layout, compiled=False, devices=jax.devices()[:1] * 8)  # of shapes: nothing runs
    native = not reads_rows()
    parts = arithmetic.on_a_device(data, dataclasses.replace(EIGHT, native=native), layout)
    assert plan.state == parts["state"] + 4  # the count of the steps
    assert plan.operator == parts["operator"]
    assert plan.pairs == parts["pairs"] == arithmetic.held(data, native=native)["pairs"]  # undivided
    assert plan.gathered.largest == arithmetic.gathered(data, layout)
    assert plan.gathered.total == arithmetic.communicated(data, layout).get("all-gather", 0)


@pytest.mark.slow
def test_the_compiled_programs_say_the_same(tmp_path):
    flags = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ.get("XLA_FLAGS", ""))
    flags = f"{flags} --xla_force_host_platform_device_count=8".strip()
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    out = tmp_path / "plans.json"
    command = [sys.executable, "-m", "experiments.plans", "--data", "10^8", "--devices", "8", "--out", str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(out.read_text())["rows"]
    data, found = DATA["10^8"], row["compiled"]
    held = arithmetic.held(data, native=True)
    assert found["argument_mb"] == pytest.approx(sum(held.values()) / 1e6, rel=0.001)
    one = arithmetic.on_a_device(data, CPU, Layout())
    assert found["order_mb"] == pytest.approx(one["order"] / 1e6, rel=0.001)
    assert found["shuffling_mb"] == pytest.approx(one["shuffling"] / 1e6, rel=0.001)
    assert found["temporary_mb"] > found["order_mb"] + found["shuffling_mb"] - 1
    whole = (found["argument_mb"] + found["temporary_mb"]) / 1e3 + held["state"] / 1e9
    assert row["machines"]["a CPU host"]["gb_a_device"] == pytest.approx(whole, abs=0.01)
    assert len(row["steps_of_layouts"]) == 3
    for plan in row["steps_of_layouts"]:
        layout = Layout(**plan["layout"])
        parts = arithmetic.on_a_device(data, CPU, layout)
        assert plan["communicated"] == arithmetic.communicated(data, layout)
        arguments = parts["state"] + parts["operator"] + parts["places"]
        assert plan["arguments"] == pytest.approx(arguments, rel=0.01)  # and the batch
        assert 0.8 * parts["step"] < plan["temporaries"] < 2 * parts["step"]  # XLA for CPUs keeps buffers for longer


def test_a_product_moves_an_entry_and_a_row_for_each_entry_and_the_result():
    gowalla, both, result = DATA["Gowalla"], 2 * 810_128, 4 * 70_839 * 64
    tpu = MACHINES["TPU v5e, 16 chips"]
    assert arithmetic.moved(gowalla, H100, Layout()) == both * (12 + 256) + result
    assert arithmetic.moved(gowalla, H100, Layout(), width=2) == both * (12 + 128) + result
    assert arithmetic.moved(gowalla, H100, Layout(), stores=True) == both * (12 + 3 * 256) + result
    assert arithmetic.moved(gowalla, CPU, Layout()) == both * (8 + 256) + result
    assert arithmetic.moved(gowalla, tpu, Layout()) == both * (12 + 512) + result


def test_blocks_read_the_entries_once_a_block_and_round_each_row_up():
    data, blocks = DATA["10^8"], Layout(rows=8, blocks=8)
    entries, result = 2 * data.pairs // 8, 4 * data.nodes * 64 // 8
    assert arithmetic.moved(data, EIGHT, blocks) == 8 * entries * (12 + 32) + result
    tpu = MACHINES["TPU v5e, 16 chips"]
    assert arithmetic.moved(data, tpu, blocks) == 8 * entries * (12 + 512) + result
    assert arithmetic.gathered(data, blocks) == arithmetic.gathered(data, Layout(rows=8)) / 8
    assert arithmetic.gathered(data, blocks, 128) == arithmetic.gathered(data, Layout(rows=8), 128)  # no room is saved


def test_what_does_not_fit_has_no_plan_and_what_fits_has_the_faster_one(tmp_path):
    assert script.main(["--data", "10^9", "--no-compile", "--out", str(tmp_path / "plans.json")]) == 0
    (row,) = json.loads((tmp_path / "plans.json").read_text())["rows"]
    machines = row["machines"]
    assert machines["an H100"]["fits"] is False
    assert machines["8 H100, NVLink"]["flags"] == "--devices 8 --layout rows"
    assert machines["TPU v5e, 16 chips"]["fits"] is False
    stored = machines["8 H100, NVLink"]["where_rows_are_stored"]
    assert stored["flags"] == "--devices 8 --layout rows --column-blocks 8"
    assert stored["epoch_s"] > machines["8 H100, NVLink"]["epoch_s"]
    data = DATA["10^9"]
    step = arithmetic.seconds_of_step(data, H100, Layout())
    assert step["products"] == pytest.approx(6 * arithmetic.moved(data, H100, Layout()) / (SHARE * 3.35e12))


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_pairs_and_the_order_of_an_epoch_are_on_every_device(machine):
    data, n = DATA["10^9"], machine.devices
    for layout in (Layout(rows=n), Layout(columns=n), Layout(rows=n, blocks=8)):
        parts = arithmetic.on_a_device(data, machine, layout)
        assert parts["total"] > 33 * data.pairs
        larger = max(parts["shuffling"], parts["step"])
        held = (parts[name] for name in ("state", "before", "operator", "pairs", "places", "order"))
        assert parts["total"] == sum(held) + larger
    chosen = arithmetic.layout_of(data, machine)
    assert chosen is None or arithmetic.on_a_device(data, machine, chosen)["total"] <= FITS * machine.memory
    assert chosen is None or machine.memory > 33e9
