"""Processes that work together, started by tests: never without an end, and none is left behind."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).parents[1]


def environment(**more):
    """That of a process with this checkout of jaxrec, on the CPU, as one of one device."""
    flags = [word for word in os.environ.get("XLA_FLAGS", "").split() if "device_count" not in word]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JAXREC_")}
    plain = {"XLA_FLAGS": " ".join(flags), "JAX_PLATFORMS": "cpu", "PYTHONPATH": path, "JAXREC_NO_REEXEC": "1"}
    return {**kept, **plain, **more}


@contextlib.contextmanager
def launched(*words, seconds, folder, **more):
    """`jaxrec launch` with these words; at the end of the block, or after some seconds, all of it is killed.

    Yields:
      The process; `wait_for` waits for it with the same limit.
    """
    command = [sys.executable, "-m", "jaxrec", "launch", *map(str, words)]
    with open(folder / "said.txt", "wb") as said:
        process = subprocess.Popen(
            command, env=environment(**more), stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        groups = list[int]()
        try:
            yield Launched(process, folder / "said.txt", time.monotonic() + seconds, groups)
        finally:
            for child in [*groups, *children_of(process.pid), process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
            process.wait()


class Launched:
    """A parent of processes and a moment at which the test gives up."""

    def __init__(self, process, said, until, groups):
        self.process, self._said, self._until, self._groups = process, said, until, groups

    @property
    def said(self):
        return self._said.read_text(errors="replace")

    def children(self):
        """The numbers of its processes for the system, in their order."""
        found = children_of(self.process.pid)
        self._groups += found  # killed at the end, also where their parent is gone
        return found

    def wait_for(self, condition, running=True):
        """Wait until something is true; a launch that is over before, or too long, is an error."""
        while not condition():
            assert not running or self.process.poll() is None, self.said
            assert time.monotonic() < self._until, self.said
            time.sleep(0.02)

    def status(self):
        """Wait for the end: (exit status, the seconds that it took)."""
        started = time.monotonic()
        try:
            return self.process.wait(timeout=max(self._until - started, 0.1)), time.monotonic() - started
        except subprocess.TimeoutExpired:
            raise AssertionError(f"too long: {self.said}") from None


def children_of(pid):
    """The children of a process in the order in which they were started; none where it is gone."""
    try:
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def alive(pid):
    """Whether a process runs; one that is only not yet asked for its status does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def run_together(number, *words, seconds, folder, joined=False, **more):
    """Run a program of Python in several processes that find one another; they end well, or all are killed.

    One process is a group of its own where `joined` says so, else it joins nothing.
    """
    from jaxrec.cli._children import free_port

    with contextlib.ExitStack() as stack:
        port = stack.enter_context(free_port())
        processes, files = [], []
        for one in range(number):
            joins = {
                "JAXREC_COORDINATOR": f"127.0.0.1:{port}",
                "JAXREC_NUM_PROCESSES": str(number),
                "JAXREC_PROCESS_ID": str(one),
            }
            files.append(stack.enter_context(open(folder / f"said-{one}.txt", "wb")))
            processes.append(
                subprocess.Popen(
                    [sys.executable, *map(str, words)],
                    env=environment(**(joins if joined or number > 1 else {}), **more),
                    stdout=files[-1],
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
        until = time.monotonic() + seconds
        try:
            for process in processes:
                process.wait(timeout=max(until - time.monotonic(), 0.1))
        finally:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        said = "\n".join((folder / f"said-{one}.txt").read_text(errors="replace") for one in range(number))
        assert [process.returncode for process in processes] == [0] * number, said


class Held:
    """A callback that holds a training at the epoch that the environment names, until the process is killed."""

    def __call__(self, event):
        if os.environ.get("HELD_AT") == str(event.record.epoch):
            time.sleep(600)


class Slow:
    """A class whose place a command is told; importing it there holds the command, until it is ended."""


if os.environ.get("HELD_IN"):
    pathlib.Path(os.environ["HELD_IN"], f"held-{os.getpid()}").touch()
    time.sleep(600)
