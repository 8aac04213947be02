"""The command line: the choice of the command, and every mistake in one line with exit status 2."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import signal
import sys
import warnings
from collections.abc import Collection, Iterator, Sequence

from jaxrec.cli._memory import huge_pages
from jaxrec.cli._processes import check_shared, ended_together, is_one_of_several, join_others, watched_others
from jaxrec.cli._signals import INTERRUPTED, TERMINATED, Terminated, told_of_termination
from jaxrec.errors import JaxrecError
from jaxrec.text import printable

__all__ = ["COMMANDS", "huge_pages", "main"]

# Name, module of jaxrec.cli, and what `jaxrec --help` says.
COMMANDS = (
    ("fit", "fit", "train a model on a data set or a file, and measure it"),
    ("launch", "launch", "a fit in several processes whose devices make one mesh"),
    ("plan", "plan", "the bytes that a training takes on several devices"),
    ("tune", "tune", "search for the settings of a model that validate best"),
    ("blend", "blend", "the models of several run folders as one, with learnt weights"),
    ("evaluate", "evaluate", "measure the model of a run folder again"),
    ("compare", "compare", "measure several run folders on one split, with paired tests"),
    ("report", "report", "one page over several runs: alerts, data, results, lists"),
    ("explore", "explore", "a page over several runs that answers, and JSON endpoints"),
    ("score", "score", "the metrics of lists that any system has made"),
    ("recommend", "recommend", "the best items for users, in their ids and titles"),
    ("similar", "similar", "the most similar items of an item"),
    ("predict", "predict", "the scores of pairs of a user and an item"),
    ("export", "export", "a model as files and programs that are served without jaxrec"),
    ("datasets", "datasets", "the data sets that fit knows by name"),
    ("doctor", "doctor", "versions, devices, memory settings, data folders"),
    ("completion", "completion", "a script by which a shell completes commands and options"),
)

_EVERYWHERE = ("--json", "--quiet")  # switches that every command has, so they may come before it too

_HELP = """\
usage: jaxrec COMMAND ...

{commands}

example: jaxrec fit movielens-small --model lightgcn --out runs/first

jaxrec COMMAND --help has the options of a command; --help-all has all there is.
"""

_HELP_ALL = """\
usage: jaxrec COMMAND ...

Recommender models on your own ratings.

commands:
{commands}

help:
  jaxrec COMMAND --help     the options that one needs first, on one screen
  jaxrec COMMAND --help-all
                            all options of a command
  jaxrec --version          the version

output:
  Results go to standard output, as one JSON document with --json. Notes and
  progress go to standard error: on a terminal one line with the time left,
  in a log a few plain lines; --quiet leaves both out, --json the progress.
  Help is bold on a terminal; NO_COLOR and FORCE_COLOR are obeyed.

exit status:
  0                         done
  2                         a mistake, which one line names
  75, 130                   stopped by SIGTERM or Ctrl-C; a fit with
                            --checkpoint-every is kept at the end of the epoch,
                            and `jaxrec fit --resume RUN` goes on; 75 also where
                            one of several processes was lost

environment:
  JAXREC_DATA               a folder with data sets, looked at before the cache
                            and before a download
  JAXREC_CACHE              a folder for compiled programs, as --cache-dir
  JAXREC_COORDINATOR        HOST:PORT of the first of several processes that
                            fit, evaluate or recommend together, or detect,
                            where JAX finds them; JAXREC_NUM_PROCESSES and
                            JAXREC_PROCESS_ID go with the former
  JAXREC_NO_REEXEC=1        do not restart with GLIBC_TUNABLES=
                            glibc.malloc.hugetlb=1 (fit, evaluate, report and
                            recommend --all do so on Linux: large products are
                            up to a third faster)

examples:
  jaxrec fit movielens-small --model lightgcn --out runs/first
  jaxrec recommend runs/first --user 42 -k 10
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      argv: the words after the program's name; those of this process by default. Only then may the process be
        replaced by one with other memory settings, see `jaxrec.cli`.

    Returns:
      The exit status: 0; 2 after a mistake of the caller, told in one line on standard error; 75 after SIGTERM; 130
      after Ctrl-C; 141 when the reader of standard output went away.

    >>> main(["--version"])
    jaxrec 0...
    0
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        _let_titles_through()
        name = next((word for word in words if word not in _EVERYWHERE), "")
        if is_one_of_several(name, words):
            return ended_together(lambda: _status(words, own_process=True))
    return _status(words, own_process=argv is None)


def _status(words: list[str], *, own_process: bool) -> int:
    """Run one command, and make an exit status and a line of whatever goes wrong."""
    try:
        with _warnings_in_one_line(), told_of_termination(own_process):
            status = _run(words, may_restart=own_process)
        sys.stdout.flush()
        return status
    except Terminated:
        return _fail("terminated", TERMINATED)
    except SystemExit as stop:  # after the help of a command
        return stop.code if isinstance(stop.code, int) else 2
    except JaxrecError as error:
        from jaxrec.cli._flags import in_flags

        return _fail(in_flags(str(error)))
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _forget_output()
        return 141
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}")
    except MemoryError:
        return _fail("out of memory; use a smaller --dim, --batch-size or --memory-mb")
    except RuntimeError as error:
        # JAX raises its own subclass of RuntimeError for memory of a device; any other one is a defect.
        if "RESOURCE_EXHAUSTED" not in str(error) and "out of memory" not in str(error).lower():
            raise
        return _fail("the device is out of memory; use a smaller --dim, --batch-size or --memory-mb")


def _run(words: list[str], may_restart: bool) -> int:
    if not words:
        print(_help_text(), end="", file=sys.stderr)
        return 2
    if words[0] in ("-h", "--help", "help", "--help-all"):
        from jaxrec.cli._terminal import print_help

        print_help(_help_text(_HELP_ALL if words[0] == "--help-all" else _HELP).rstrip("\n"))
        return 0
    if words[0] == "--version":
        import jaxrec

        print(f"jaxrec {jaxrec.__version__}")
        return 0
    modules = {command: module for command, module, _ in COMMANDS}
    name, rest = _command_first(words, modules)
    if name not in modules:
        near = difflib.get_close_matches(name, modules, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(modules)}"
        raise JaxrecError(f"there is no command {name!r}; {hint}")
    several = may_restart and is_one_of_several(name, rest)
    if may_restart:
        check_shared(name, rest)
    if may_restart and _is_heavy(name, rest):
        from jaxrec.cli._memory import restart_with_huge_pages

        restart_with_huge_pages()
    with _interrupts_at_once(may_restart):
        command = importlib.import_module(f"jaxrec.cli._{modules[name]}")
    if several:
        join_others()
    with watched_others() if several else contextlib.nullcontext(), _progress(rest), _folder_looked_at():
        command.run(rest)
    return 0


@contextlib.contextmanager
def _folder_looked_at() -> Iterator[None]:
    """Let package.module:Class be found from the folder that the command runs in, as with `python -m`."""
    folder = os.getcwd()
    if folder in sys.path:
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _progress(rest: Sequence[str]) -> contextlib.AbstractContextManager[None]:
    """Show the progress of long work on standard error, where neither --json nor --quiet is given.

    Of several processes only the one that writes shows it.
    """
    from jaxrec.parallel import writes
    from jaxrec.progress import heard_by, shown

    return heard_by(None) if set(_EVERYWHERE) & set(rest) or not writes() else shown()


def _command_first(words: list[str], modules: Collection[str]) -> tuple[str, list[str]]:
    """The command and the words after it, to which the switches of every command are moved from before it."""
    at = next((at for at, word in enumerate(words) if not word.startswith("-")), len(words))
    before, after = words[:at], words[at:]
    if set(before) <= set(_EVERYWHERE) and after:
        return after[0], [*after[1:], *before]
    name = next((word for word in after if word in modules), "COMMAND")
    rest = [word for word in words if word != name]
    raise JaxrecError(f"the command comes before its options: write `jaxrec {' '.join([name, *rest])}`")


@contextlib.contextmanager
def _interrupts_at_once(own_process: bool) -> Iterator[None]:
    """End at Ctrl-C and SIGTERM while libraries are imported.

    An exception in the middle of an import comes out as an error of the library, or is lost in a callback.
    """
    found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if not own_process or found[signal.SIGINT] is not signal.default_int_handler:
        yield
        return

    def leave(number: int, frame: object) -> None:
        terminated = number == signal.SIGTERM
        os._exit(_fail("terminated" if terminated else "interrupted", TERMINATED if terminated else INTERRUPTED))

    for number in found:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in found.items():
            signal.signal(number, handler)


def _is_heavy(name: str, rest: Sequence[str]) -> bool:
    """Whether a command computes long enough to pay for a second start of Python (0.7 s)."""
    if {"-h", "--help", "--help-all"} & set(rest):
        return False
    return name in ("fit", "tune", "blend", "evaluate", "report") or (name == "recommend" and "--all" in rest)


def _help_text(text: str = _HELP) -> str:
    return text.format(commands="\n".join(f"  {name:<12}{about}" for name, _, about in COMMANDS))


def _fail(message: str, status: int = 2) -> int:
    with contextlib.suppress(BrokenPipeError):
        print(f"jaxrec: error: {printable(' '.join(message.split()))}", file=sys.stderr, flush=True)
    return status


@contextlib.contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Show the warnings that are meant for users without the line of source that they come from."""

    def show(message: Warning | str, *place: object) -> None:
        from jaxrec.cli._flags import in_flags

        print(f"jaxrec: warning: {printable(in_flags(' '.join(str(message).split())))}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning)
        warnings.showwarning = show
        yield


def _let_titles_through() -> None:
    """A terminal that cannot show a letter of a title shows a question mark, instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def _forget_output() -> None:
    """Keep Python from failing again when it flushes standard output at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
