"""`jaxrec launch`: a command in several processes on one mesh, here or one of those of a cluster, and watched."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

from tyro import conf

from jaxrec._checks import address
from jaxrec.cli._children import Asked, Children, free_port, own_command
from jaxrec.cli._help import Guide
from jaxrec.cli._output import note
from jaxrec.cli._parsing import Switch, optional, parse
from jaxrec.cli._processes import COMMANDS, COORDINATOR, DETECT, NUM_PROCESSES, PROCESS_ID
from jaxrec.errors import JaxrecError
from jaxrec.text import printable

_GUIDE = Guide(
    "Run a command in several processes whose devices make one mesh. Without --coordinator and --detect all of them "
    "run here. When one ends badly the others are ended, and a line says which one it was. SIGTERM and Ctrl-C let all "
    "end, a fit at one epoch; a second one kills them.",
    first=("processes", "coordinator", "process", "detect", "quiet"),
    examples=(
        "jaxrec launch -n 4 -- fit ratings.csv --out runs/first",
        "jaxrec launch -n 4 -- recommend runs/first --all --out lists.parquet",
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchCommand:
    """Which processes there are.

    Attributes:
      processes: how many there are.
      coordinator: of a cluster, HOST:PORT of its first process; then one process is started here.
      process: of a cluster, the number of the one that is started here, from 0.
      detect: of a cluster that JAX knows (Slurm, Open MPI, Kubernetes, Cloud TPU), start one process here, which finds
        the others itself.
      json: handed to the command.
      quiet: without notes, here and of the command.
    """

    processes: Annotated[int | None, conf.arg(aliases=("-n",), metavar="N", help_behavior_hint="")] = None
    coordinator: Annotated[str | None, optional("HOST:PORT")] = None
    process: Annotated[int | None, optional("I")] = None
    detect: Switch = False
    json: Switch = False
    quiet: Switch = False


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec launch`; see `LaunchCommand` for the options."""
    at = list(argv).index("--") if "--" in argv else len(argv)
    command, words = parse(LaunchCommand, argv[:at], "launch", _GUIDE), list(argv[at + 1 :])
    if not words:
        raise JaxrecError("no command to launch; write it after --, as in `jaxrec launch -n 4 -- fit DATA`")
    if words[0] not in COMMANDS:
        shared = f"{', '.join(COMMANDS[:-1])} and {COMMANDS[-1]}"
        raise JaxrecError(f"launch runs {shared}, which several processes share, not {words[0]!r}")
    switches = {"--json": command.json, "--quiet": command.quiet}
    words += [word for word, given in switches.items() if given and word not in words]
    with contextlib.ExitStack() as stack:
        environments = _environments(command, stack)
        children = Children(own_command(words), environments)
        stack.callback(children.close)
        outcome = children.run(stack.enter_context(Asked().noted()))
        cause = outcome.cause
        if cause is not None and len(environments) > 1:
            for line in children.said(cause.number):
                print(f"process {cause.number}: {printable(line)}", file=sys.stderr)
    # A mistake, which the first process has told in a line, is not told again.
    if cause is not None and (cause.number, cause.status) != (0, 2):
        print(f"jaxrec: error: {outcome.told()}", file=sys.stderr, flush=True)
        if outcome.status not in (1, 2) and words[0] == "fit":
            again = f"-n {len(environments)}" if len(environments) > 1 else "..."
            note(
                f"a fit with --checkpoint-every goes on with: jaxrec launch {again} -- fit --resume RUN", command.quiet
            )
    if outcome.status:
        raise SystemExit(outcome.status)


def _environments(command: LaunchCommand, stack: contextlib.ExitStack) -> list[Mapping[str, str]]:
    """What each process has in its environment; a port is held on the stack.

    Raises:
      JaxrecError: options that do not go together, or out of range.
    """
    far = (command.coordinator, command.process)
    if command.detect:
        if command.processes is not None or far != (None, None):
            raise JaxrecError("--detect finds everything itself; leave -n, --coordinator and --process out")
        return [{COORDINATOR: DETECT}]
    if command.processes is None:
        raise JaxrecError("launch needs the number of processes; pass -n, or --detect on a cluster that JAX knows")
    if command.processes < 1:
        raise JaxrecError(f"-n must be at least 1, got {command.processes}")
    number = {NUM_PROCESSES: str(command.processes)}
    if far != (None, None):
        if command.coordinator is None or command.process is None:
            raise JaxrecError("--coordinator and --process go together; pass both, or neither")
        if not 0 <= command.process < command.processes:
            last = command.processes - 1
            raise JaxrecError(
                f"--process is numbered from 0 to {last} with -n {command.processes}, got {command.process}"
            )
        coordinator = address("--coordinator", command.coordinator)
        return [{**number, COORDINATOR: coordinator, PROCESS_ID: str(command.process)}]
    here = f"127.0.0.1:{stack.enter_context(free_port())}"
    return [{**number, COORDINATOR: here, PROCESS_ID: str(each)} for each in range(command.processes)]
