"""Processes that are started and watched together: who ended for whom, what is passed on, and that none is left."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time

import pytest
from launching import alive

import jaxrec.cli
from jaxrec.cli import _children, main
from jaxrec.cli._children import Asked, Children, Ended, Outcome, free_port

WAITS = "import time; time.sleep(600)"


def run(programs, asked=None, **more):
    """The outcome of small programs, and the numbers that they had; each is told which it is by WHICH."""
    chosen = "import os, sys; exec(os.environ['PROGRAM'])"
    children = Children([sys.executable, "-c", chosen], [{"PROGRAM": each, **more} for each in programs])
    with contextlib.closing(children):
        outcome = children.run(Asked() if asked is None else asked)
        pids = [process.pid for process in children._processes]
        said = [children.said(number) for number in range(len(programs))]
    assert not any(alive(pid) for pid in pids)
    return outcome, said


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(_children, "GRACE_SECONDS", 0.3)


def test_when_all_end_well_so_does_the_parent():
    outcome, _ = run(["pass", "pass"])
    assert (outcome.status, outcome.cause, outcome.told()) == (0, None, "")


def test_the_one_that_was_killed_is_named_and_the_others_are_ended(hurried):
    killed = "import signal; os.kill(os.getpid(), signal.SIGKILL)"
    outcome, _ = run([WAITS, WAITS, killed])
    assert outcome.status == 75
    assert outcome.told() == "process 2 of 3 was killed by SIGKILL; the others were ended"


def test_a_process_that_lost_another_is_not_the_one_that_is_named():
    # Process 0 loses process 1 and says so at once; process 1 is found to be dead a little later.
    outcome = Outcome((Ended(0, 75), Ended(2, -6), Ended(1, -9)))
    assert outcome.cause == Ended(1, -9)


@pytest.mark.parametrize("status", [134, -signal.SIGABRT])
def test_an_abort_of_jax_becomes_exit_status_75_and_words(status):
    outcome = Outcome((Ended(1, status), Ended(0, -9, killed=True)))
    assert outcome.status == 75
    assert "aborted by JAX" in outcome.told()
    assert "process 0 did not end" in outcome.told()


def test_a_mistake_keeps_its_exit_status_and_its_words(hurried):
    outcome, said = run([WAITS, "sys.exit('no such file')", WAITS])
    assert (outcome.status, outcome.cause) == (1, Ended(1, 1))
    assert said[1] == ["no such file"]


def test_sigterm_is_passed_on_to_all_and_all_end_with_75():
    ready = "\n".join(
        [
            "import signal, time",
            "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))",
            "open(os.environ['READY'] + str(os.getpid()), 'w').close()",
            WAITS,
        ]
    )
    outcome, _ = asked_when_ready([ready, ready], [signal.SIGTERM])
    assert outcome.cause is None
    assert outcome.status == 75
    assert {each.status for each in outcome.ended} == {75}


def test_a_second_signal_kills_those_that_do_not_listen():
    deaf = "\n".join(
        [
            "import signal, time",
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
            "open(os.environ['READY'] + str(os.getpid()), 'w').close()",
            WAITS,
        ]
    )
    outcome, _ = asked_when_ready([deaf, deaf], [signal.SIGINT, signal.SIGTERM])
    assert outcome.status == 130  # the first was Ctrl-C
    assert all(each.killed and each.status == -signal.SIGKILL for each in outcome.ended)


def asked_when_ready(programs, signals):
    """Run programs, and note signals one after another when all of them have made their file."""
    import tempfile

    asked = Asked()
    with tempfile.TemporaryDirectory() as folder:

        def ask():
            until = time.monotonic() + 60
            while len(os.listdir(folder)) < len(programs) and time.monotonic() < until:
                time.sleep(0.02)
            for number in signals:
                asked.note(number, None)
                time.sleep(0.5)

        asking = threading.Thread(target=ask)
        asking.start()
        found = run(programs, asked, READY=os.path.join(folder, "ready"))
        asking.join()
    return found


def test_a_port_is_free_and_nobody_else_gets_it():
    with free_port() as port, socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-n", "2"], "no command to launch; write it after --"),
        (
            ["-n", "2", "--", "tune", "data"],
            "launch runs fit, evaluate and recommend, which several processes share, not 'tune'",
        ),
        (["--", "fit", "data"], "pass -n, or --detect"),
        (["-n", "0", "--", "fit", "data"], "-n must be at least 1"),
        (["-n", "2", "--process", "1", "--", "fit", "data"], "--coordinator and --process go together"),
        (["-n", "2", "--coordinator", "a:1", "--process", "2", "--", "fit"], "numbered from 0 to 1"),
        (
            ["-n", "2", "--coordinator", "foo", "--process", "0", "--", "fit", "data"],
            "--coordinator must be HOST:PORT, with a port from 1 to 65535, got 'foo'; write it as 10.0.0.1:4000",
        ),
        (["-n", "2", "--detect", "--", "fit", "data"], "--detect finds everything itself"),
    ],
)
def test_what_cannot_be_launched_is_refused_in_a_sentence(words, told, capsys):
    assert main(["launch", *words]) == 2
    assert told in capsys.readouterr().err


def test_a_command_of_one_process_is_refused_where_the_environment_names_several(monkeypatch, capsys):
    monkeypatch.setenv("JAXREC_COORDINATOR", "127.0.0.1:4000")
    monkeypatch.setenv("JAXREC_PROCESS_ID", "0")
    monkeypatch.setattr(sys, "argv", ["jaxrec", "--quiet", "blend", "runs/a", "runs/b"])
    assert main() == 2
    told = "JAXREC_COORDINATOR and JAXREC_PROCESS_ID are set, for several processes, and blend is for one; unset them"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("words", [["fit", "data"], ["--quiet", "fit", "data"], ["--json", "--quiet", "evaluate", "a"]])
def test_a_command_is_guarded_also_where_a_switch_comes_first(words, monkeypatch):
    monkeypatch.setenv("JAXREC_COORDINATOR", "detect")
    monkeypatch.setattr(sys, "argv", ["jaxrec", *words])
    monkeypatch.setattr(jaxrec.cli, "ended_together", lambda run: 42)
    assert main() == 42


def test_help_joins_no_processes(monkeypatch, capsys):
    monkeypatch.setenv("JAXREC_COORDINATOR", "detect")
    monkeypatch.setattr(sys, "argv", ["jaxrec", "--quiet", "fit", "--help"])
    assert main() == 0
    assert "usage: jaxrec fit" in capsys.readouterr().out
