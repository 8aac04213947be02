"""Which tests take long: `python tests/cpu_times.py` runs the suite and writes `tests/slow.txt`, one test a line.

A test in that file has the marker `slow`, so `make test` leaves it to `make test-all`. Seconds are of CPU, with those
of child processes, since seconds by the clock depend on what else runs. The test that compiles a program pays for it.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import pytest

LIST = pathlib.Path(__file__).with_name("slow.txt")
ABOVE = 0.3
# Never slow by measure: the promises of the README, of stops and kills, pages, and several devices.
KEPT = (
    "examples/",
    "tests/fuzz/",
    "tests/pages/",
    "tests/parallel/",
    "tests/test_lowering.py",
    "tests/fitting/test_compiles_once.py",
    "tests/test_readme.py::test_the_first_ten_lines_of_the_readme_run",
    "tests/fitting/test_resume.py::test_a_fit_that_is_stopped_anywhere_ends_with_the_bits_of_one_that_never_was",
    "tests/cli/test_cli_kills.py::test_a_kill_before_any_write_into_a_new_folder_leaves_none_or_a_whole_model",
    "tests/cli/test_cli_resume.py::test_a_run_that_was_stopped_goes_on_from_anywhere_to_the_same_end",
)
FOLDER = "JAXREC_TEST_TIMES"


def seconds():
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """Note the seconds of each test, in a file of the worker."""
    before = seconds()
    outcome = yield
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with pathlib.Path(os.environ[FOLDER], worker).open("a", encoding="utf-8") as file:
        file.write(f"{seconds() - before:.3f} {item.nodeid}\n")
    return outcome


def listed(lines, above):
    """The tests that took more than some seconds, sorted; those that are kept are left out."""
    pairs = [line.split(" ", 1) for line in lines]
    return sorted(name for taken, name in pairs if float(taken) > above and not name.startswith(KEPT))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--above", type=float, default=ABOVE, help="seconds of CPU")
    above = parser.parse_args().above
    before = set(LIST.read_text(encoding="utf-8").splitlines()) if LIST.exists() else set()
    LIST.write_text("", encoding="utf-8")  # so that every test runs, but for those marked in their file
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join([str(LIST.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, FOLDER: folder, "PYTHONPATH": path}
        command = [sys.executable, "-m", "pytest", "-n", "auto", "-p", "cpu_times"]
        code = subprocess.run(command, cwd=LIST.parents[1], env=environment, check=False).returncode
        lines = [
            line for file in pathlib.Path(folder).iterdir() for line in file.read_text(encoding="utf-8").splitlines()
        ]
    found = listed(lines, above)
    LIST.write_text("".join(f"{name}\n" for name in found), encoding="utf-8")
    print(f"{len(found)} of {len(lines)} tests take more than {above} s of CPU, {len(before ^ set(found))} changed; "
          f"{time.monotonic() - started:.0f} s")  # fmt: skip
    return code


if __name__ == "__main__":
    sys.exit(main())
