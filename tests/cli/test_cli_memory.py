"""Memory settings: when the process starts anew, when it must not, and the cache of compiled programs."""

import json
import os
import subprocess
import sys

import jax
import pytest

from jaxrec.cli import _is_heavy, main
from jaxrec.cli import _memory as memory
from jaxrec.cli._memory import HugePages, huge_pages, restart_environment, use_cache

GOOD = HugePages("2.36", "madvise", "")
ON = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "JAXREC_RESTARTED": "1"}


@pytest.mark.parametrize(
    ("environ", "pages", "expected"),
    [
        ({}, GOOD, ON),
        ({"HOME": "/h"}, GOOD, {"HOME": "/h", **ON}),
        ({"JAXREC_NO_REEXEC": "0"}, GOOD, {"JAXREC_NO_REEXEC": "0", **ON}),
        ({}, HugePages("2.40", "madvise", "a.b=1"), {**ON, "GLIBC_TUNABLES": "a.b=1:glibc.malloc.hugetlb=1"}),
        ({"JAXREC_NO_REEXEC": "1"}, GOOD, None),
        ({"JAXREC_RESTARTED": "1"}, GOOD, None),
        ({}, HugePages("2.36", "madvise", "glibc.malloc.hugetlb=0"), None),  # the user says no
        ({}, HugePages("2.34", "madvise", ""), None),
        ({}, HugePages("", "madvise", ""), None),
        ({}, HugePages("2.36", "always", ""), None),
        ({}, HugePages("2.36", "never", ""), None),
        ({}, HugePages("2.36", "", ""), None),
    ],
)
def test_a_restart_only_where_it_changes_something_and_is_wanted(environ, pages, expected):
    assert restart_environment(environ, pages) == expected


@pytest.mark.parametrize(
    ("pages", "active", "advice"),
    [
        (GOOD, False, "fit and evaluate turn large pages on; in your own programs set GLIBC_TUNABLES=glibc.malloc."),
        (HugePages("2.36", "madvise", "x=1:glibc.malloc.hugetlb=1"), True, "large pages are on"),
        (HugePages("2.36", "madvise", "glibc.malloc.hugetlb=0"), False, "fit and evaluate turn large pages on"),
        (HugePages("2.36", "always", ""), True, "large pages are on"),
        (HugePages("2.36", "never", "glibc.malloc.hugetlb=1"), False, "the kernel gives large pages never; madvise"),
        (
            HugePages("2.31", "madvise", "glibc.malloc.hugetlb=1"),
            False,
            "large pages need glibc 2.35 or newer, this is",
        ),
        (HugePages("", "", ""), False, "large pages need Linux with the GNU C library"),
    ],
)
def test_what_the_doctor_says_of_large_pages(pages, active, advice):
    assert pages.active == active
    assert pages.advice().startswith(advice)


@pytest.mark.parametrize(
    ("line", "heavy"),
    [
        ("fit gowalla", True),
        ("fit --help", False),
        ("fit -h", False),
        ("evaluate run", True),
        ("recommend run --all", True),
        ("recommend run --user 1", False),
        ("similar run --item 1", False),
        ("doctor", False),
        ("datasets", False),
    ],
)
def test_which_commands_are_worth_a_restart(line, heavy):
    name, *rest = line.split()
    assert _is_heavy(name, rest) == heavy


def test_the_process_is_replaced_by_the_same_command_line(monkeypatch):
    calls = []
    monkeypatch.setattr(memory, "huge_pages", lambda: GOOD)
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(call))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "-m", "jaxrec", "fit", "x"])
    for name in ("JAXREC_NO_REEXEC", "JAXREC_RESTARTED"):
        monkeypatch.delenv(name, raising=False)
    memory.restart_with_huge_pages()
    [(program, words, environment)] = calls
    assert (program, words) == (sys.executable, [sys.executable, "-X", "dev", "-m", "jaxrec", "fit", "x"])
    assert ON.items() <= environment.items()
    assert os.environ.items() <= {**environment, "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", "")}.items()
    monkeypatch.setattr(sys, "platform", "darwin")
    memory.restart_with_huge_pages()
    assert len(calls) == 1


def test_a_restart_that_fails_is_no_error(monkeypatch):
    def refuse(*call):
        raise OSError("no")

    monkeypatch.setattr(memory, "huge_pages", lambda: GOOD)
    monkeypatch.setattr(os, "execve", refuse)
    memory.restart_with_huge_pages()


def test_a_caller_in_python_is_never_replaced(monkeypatch, tmp_path):
    def forbidden(*call):
        raise AssertionError("the process of a caller must stay")

    monkeypatch.setattr(memory, "huge_pages", lambda: GOOD)
    monkeypatch.setattr(os, "execve", forbidden)
    for name in ("JAXREC_NO_REEXEC", "JAXREC_RESTARTED"):
        monkeypatch.delenv(name, raising=False)
    assert main(["evaluate", str(tmp_path / "nowhere")]) == 2


def test_the_cache_folder_is_made_and_given_to_jax(monkeypatch, tmp_path):
    said = {}
    monkeypatch.setattr(jax.config, "update", lambda name, value: said.update({name: value}))
    monkeypatch.setenv("JAXREC_CACHE", str(tmp_path / "a"))
    use_cache(None)
    assert said["jax_compilation_cache_dir"] == str(tmp_path / "a")
    use_cache(str(tmp_path / "b" / "c"))  # the flag goes before the environment
    assert said["jax_compilation_cache_dir"] == str(tmp_path / "b" / "c")
    assert (tmp_path / "b" / "c").is_dir()
    said.clear()
    monkeypatch.delenv("JAXREC_CACHE")
    use_cache(None)
    assert said == {}
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match=r"the cache folder '.*file' cannot be used \(File exists\), so compiled"):
        use_cache(str(tmp_path / "file"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.warns(UserWarning, match=r"cannot be used \(Permission denied\)"):
        use_cache(str(tmp_path / "b"))
    assert said == {}


def test_a_fit_in_its_own_process_restarts_once_and_fills_the_cache(tmp_path, ratings):
    others = (*ON, "JAXREC_NO_REEXEC", "JAX_COMPILATION_CACHE_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in others}
    words = ["--model", "itemknn", "--no-test", "--valid", "0", "--json", "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [sys.executable, "-m", "jaxrec", "fit", str(ratings), *words, "--out", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    # What the child says of itself: large pages are on wherever this machine can have them.
    pages = huge_pages(environment)
    assert json.loads(done.stdout)["device"]["huge_pages"] == (pages.possible or pages.kernel == "always")
    assert any((tmp_path / "cache").iterdir())


COUNTED = """
import collections, json, sys, jax
from jaxrec.cli import main
events = collections.Counter()
jax.monitoring.register_event_listener(lambda name, **_: events.update([name.rpartition("/")[2]]))
assert main(sys.argv[1:]) == 0
print(json.dumps(events))
"""


@pytest.mark.slow
def test_a_second_process_takes_its_programs_from_the_cache(tmp_path, ratings):
    words = ["fit", str(ratings), "--model", "mf", "--dim", "2", "--epochs", "1", "--no-test", "--valid", "0", "--json"]
    words += ["--quiet", "--cache-dir", str(tmp_path / "cache")]
    counts = []
    for name in ("first", "second"):
        done = subprocess.run(
            [sys.executable, "-c", COUNTED, *words, "--out", str(tmp_path / name)],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        counts.append(json.loads(done.stdout.splitlines()[-1]))
    first, second = counts
    assert first["cache_misses"] > 10
    assert second.get("cache_misses", 0) == 0
    assert second["cache_hits"] == first["cache_misses"] + first.get("cache_hits", 0)
