"""One process with eight fake devices computes what all tests of this folder look at."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

PROGRAM = pathlib.Path(__file__).parent / "on_eight.py"


class Found(dict):
    """The results by name, and the arrays beside them."""

    arrays: dict


def run_on(devices, which, folder):
    """Run the program of this folder with fake devices; give its results and arrays."""
    flags = re.sub(r"--xla_force_host_platform_device_count=\d+", "", os.environ.get("XLA_FLAGS", ""))
    flags = f"{flags} --xla_force_host_platform_device_count={devices}".strip()
    root = str(PROGRAM.parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    command = [sys.executable, str(PROGRAM), str(folder), which]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    found = Found(json.loads((folder / "results.json").read_text()))
    found.arrays = dict(np.load(folder / "arrays.npz"))
    assert "failed" not in found, "\n".join(found["failed"])
    return found


@pytest.fixture(scope="session")
def eight(tmp_path_factory):
    return run_on(8, "quick", tmp_path_factory.mktemp("eight"))


@pytest.fixture(scope="session")
def eight_for_long(tmp_path_factory):
    return run_on(8, "slow", tmp_path_factory.mktemp("eight"))
