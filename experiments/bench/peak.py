"""`python -m experiments.bench.peak COMMAND ...`: run a command, then print its peak memory in bytes and its seconds.

Imports are minimal, since Linux adds the memory of a parent process to the peak of its child.
"""

import os
import sys
import time


def main(command: list[str]) -> int:
    """Run the command with the streams of this process, and print a last line `BYTES SECONDS`."""
    started = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024
    print(f"\n{usage.ru_maxrss * unit} {seconds:.3f}")
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
