"""Runs that can be resumed: `run.json`, which a run folder has from before data are read until the run is over."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from tyro import conf

from jaxrec.cli._devices import MeshOptions
from jaxrec.cli._help import Guide
from jaxrec.cli._output import note, write_json
from jaxrec.cli._parsing import ComputeOptions, Switch, optional, parse, values_of
from jaxrec.cli._source import placed
from jaxrec.errors import JaxrecError, MismatchError, RunFolderError
from jaxrec.fitting._resume import FILE, INSIDE, RUN_FILE, checkpoints_in
from jaxrec.parallel import NodeOrder
from jaxrec.parallel._processes import from_writer
from jaxrec.training._checkpoint import STEPS, Checkpoint, load_orbax, reason_of

FORMAT, FORMAT_VERSION = "jaxrec-run", 1
_PLACE = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
_MESH = ("devices", "layout", "column_blocks")
_UNSAID = {field.name: field.default for field in dataclasses.fields(MeshOptions)}
_ORDER = "node_order"
_OWN = ("resume", "other_machine", "checkpoint_every", "out", "json", "quiet", "cache_dir", *_MESH, _ORDER)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResumeCommand(ComputeOptions):
    """The options of a run that is resumed; all others are those that it was started with, and the devices by default.

    Attributes:
      resume: the run folder.
      other_machine: go on also with other devices, cores or versions, where equal bits cannot be promised.
      kind: package.module:Class of each class of your own that the run was started with.
      devices: train on so many devices; by default on those of the run.
      layout: how they share the tables: by rows, by columns, by ROWSxCOLUMNS such as 4x2, or auto, which chooses rows
        or columns by the bytes that they take; by default that of the run, or auto with --devices.
      column_blocks: with rows, products gather so many blocks of columns one after another; by default as many as in
        the run, or 1 with --devices.
      node_order: of users and items while a graph model trains, that of the data, or by clusters; by default that of
        the run.
    """

    resume: Annotated[str, conf.arg(metavar="RUN")]
    other_machine: Switch = False
    kind: Annotated[tuple[str, ...], optional("PLACE ...")] = ()
    # None is what is not said: a word that is the default of `fit` changes the run too.
    devices: Annotated[int | None, optional("N")] = None
    layout: Annotated[str | None, optional("auto|rows|columns|RxC")] = None
    column_blocks: Annotated[int | None, optional("N")] = None
    node_order: Annotated[NodeOrder | None, optional("data|clusters")] = None

    def onto(self, command: Any) -> Any:
        """The command with what is said here: how it shows itself, and where and in which order it goes on."""
        shown = {"json": self.json, "quiet": self.quiet, "cache_dir": self.cache_dir or command.cache_dir}
        # With another number of devices all of these are said anew; without, those that are given change.
        anew = {} if self.devices is None else {name: _UNSAID[name] for name in _MESH}
        said = {name: value for name in (*_MESH, _ORDER) if (value := getattr(self, name)) is not None}
        return dataclasses.replace(command, other_machine=self.other_machine, **{**shown, **anew, **said})


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run folder says of its run.

    Attributes:
      folder: of the run.
      argv: the words of the command.
      data: the name of the data, or their absolute path.
      paths: the absolute paths among the options of the data.
      finished: whether the run is over.
      source: what is said of data and split; empty before they are read.
      began: whether its training has begun; until then checkpoints in the folder are those of an earlier run.
    """

    folder: pathlib.Path
    argv: tuple[str, ...]
    data: str
    paths: Mapping[str, str | None]
    finished: bool = False
    source: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    began: bool = False

    def write(self, **changes: Any) -> Run:
        """Write it with changes, whole or not at all."""
        run = dataclasses.replace(self, **changes)
        kept = {name: value for name, value in values_of(run).items() if name != "folder"}
        write_json(run.folder / RUN_FILE, {"format": FORMAT, "format_version": FORMAT_VERSION, **kept})
        return run

    def on(self, command: Any) -> Any:
        """The command with the paths as they were meant where the run was started."""
        options = dataclasses.replace(command.data_and_split, **self.paths)
        return dataclasses.replace(command, data=self.data, data_and_split=options, out=str(self.folder))


def run_of(folder: pathlib.Path, argv: Sequence[str], command: Any) -> Run:
    """The run that a command starts."""
    return Run(folder, tuple(argv), *placed(command.data, command.data_and_split))


def read_run(folder: str | pathlib.Path) -> Run | None:
    """What a run folder says of its run; None where it says nothing.

    Raises:
      RunFolderError: the file is damaged, or of a newer format.

    >>> read_run("nowhere") is None
    True
    """
    path = pathlib.Path(folder).expanduser() / RUN_FILE
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        known = (kept.pop("format"), kept.pop("format_version"))
        run = Run(path.parent, **{**kept, "argv": tuple(kept["argv"])}) if known == (FORMAT, FORMAT_VERSION) else None
        if run is not None and not all(isinstance(word, str) for word in (*run.argv, run.data)):
            raise ValueError("its words are no text")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RunFolderError(f"{str(path)!r} cannot be read: {reason_of(error)}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise RunFolderError(f"{str(path)!r} is damaged ({reason_of(error)}); fit again") from None
    if run is None:
        raise RunFolderError(f"{str(path)!r} has format {known[1]!r} and this jaxrec reads {FORMAT_VERSION}")
    return run


def resumed(argv: Sequence[str]) -> tuple[Run, ResumeCommand, list[str]] | None:
    """The run that a command is to go on with, its options, and what else the command names; None for a new run.

    Raises:
      RunFolderError: no run to resume in the folder.
      JaxrecError: a class of one's own that the command does not name, since a file makes nothing be imported.
    """
    if not any(word == "--resume" or word.startswith("--resume=") for word in argv):
        return None
    own, others = _divided(argv)
    guide = Guide(
        "Go on with a run that was stopped, with the options that it was started with.",
        first=("resume", "other_machine", "quiet"),
        examples=("jaxrec fit --resume runs/long",),
    )
    command = parse(ResumeCommand, own, "fit", guide)
    run = _for_all(command.resume)
    if run is None:
        raise RunFolderError(
            f"there is no run to resume in {command.resume!r}: it has no {RUN_FILE}; name a run folder"
        )
    words = [word.partition("=")[2] if word.startswith("-") else word for word in run.argv]
    foreign = [word for word in words if _PLACE.fullmatch(word) and word not in command.kind]
    if foreign and not run.finished:
        raise JaxrecError(
            f"the run was started with {foreign[0]}, and what a file names is not imported; name it with --kind "
            f"{foreign[0]}"
        )
    return run, command, others


def _for_all(folder: str) -> Run | None:
    """`read_run`; of several processes the first reads, and tells the others."""
    found = from_writer(lambda: _told(read_run(folder)))
    return (
        None
        if found is None
        else Run(**{**found, "folder": pathlib.Path(found["folder"]), "argv": tuple(found["argv"])})
    )


def _told(run: Run | None) -> dict[str, Any] | None:
    return None if run is None else {**values_of(run), "folder": str(run.folder)}


def _divided(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that are of `ResumeCommand`, and the others."""
    valued = ("--resume", "--cache-dir", *(f"--{name.replace('_', '-')}" for name in (*_MESH, _ORDER)))
    several, switches = ("--kind",), ("--other-machine", "--json", "--quiet")
    own, others, taking = list[str](), list[str](), 0
    for word in argv:
        flag, mark, _ = word.partition("=")
        if flag in (*valued, *several, *switches, "-h", "--help", "--help-all"):
            own.append(word)
            taking = 0 if mark or flag in switches else 1 if flag in valued else len(argv)
        elif taking and not word.startswith("-"):
            own.append(word)
            taking -= 1
        else:
            others.append(word)
            taking = 0
    return own, others


def check_same(then: Any, now: Any) -> None:
    """Refuse words beside --resume that ask for something else than the run was started with.

    Args:
      then: the command of the run.
      now: the command with the words that were given beside --resume.

    Raises:
      MismatchError: an option that differs.
    """
    before, after = _flat(then), _flat(now)
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name) and name not in _OWN:
            flag = f"--{name.replace('_', '-')}"
            old = f"without {flag}, not with" if before.get(name) is None else f"with {flag} {before[name]}, not"
            raise MismatchError(
                f"the run was started {old} {after.get(name)}; leave it out, or fit into another folder"
            )


def _flat(command: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in values_of(command).items():
        out |= values_of(value) if dataclasses.is_dataclass(value) else {name: value}
    return out


@contextlib.contextmanager
def described_run(run: Run, resumable: bool, quiet: bool) -> Iterator[Callable[..., None]]:
    """Keep what a run was started with in its folder until it is over.

    A run that was refused leaves nothing behind. One that was stopped leaves what it takes to resume it, where it keeps
    checkpoints.

    Args:
      run: that starts, or goes on.
      resumable: whether it keeps checkpoints.
      quiet: without the note of how to go on.

    Yields:
      A function that writes changes of the run.
    """
    path = run.folder / RUN_FILE
    before = path.read_bytes() if path.is_file() else None
    now = [run.write(finished=False)]

    def change(**changes: Any) -> None:
        now[0] = now[0].write(**changes)

    try:
        yield change
    except BaseException as error:
        stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
        if resumable and (stopped or (now[0].began and has_checkpoints(run.folder))):
            note(f"go on with: jaxrec fit --resume {run.folder}", quiet)
        else:
            if not has_checkpoints(run.folder):
                remove_checkpoints(run.folder)
            path.unlink(missing_ok=True) if before is None else path.write_bytes(before)
        raise


def has_checkpoints(folder: pathlib.Path) -> bool:
    """Whether a run folder has a checkpoint."""
    steps = folder / INSIDE / STEPS
    return steps.is_dir() and any(entry.name.isdigit() for entry in steps.iterdir())


def remove_checkpoints(folder: pathlib.Path) -> bool:
    """Remove the checkpoints of a run folder; whether there were any of ours."""
    inside = folder / INSIDE
    ours = not inside.is_symlink() and (inside / FILE).is_file()
    if ours:
        shutil.rmtree(inside)
    return ours


def check_checkpoints(command: Any, choices: Any) -> None:
    """Refuse checkpoints that cannot be, before anything is read."""
    if command.checkpoint_every is None:
        return
    if command.checkpoint_every < 1:
        raise JaxrecError(f"--checkpoint-every must be at least 1, got {command.checkpoint_every}")
    if not choices.trained:
        name, what = choices.model_word, "a search" if choices.chooses else "solved, not trained"
        raise JaxrecError(f"--checkpoint-every: {name} is {what}, so there is nothing to resume")
    load_orbax()


def checkpoints_for_all(command: Any, folder: pathlib.Path, again: bool, began: bool) -> dict[str, Any]:
    """`checkpoints_of`; of several processes the first looks at the folder, and tells the others."""
    if command.checkpoint_every is None:
        return from_writer(lambda: checkpoints_of(command, folder, again, began))
    names = from_writer(lambda: sorted(checkpoints_of(command, folder, again, began)))
    place = folder / INSIDE
    checkpoint = Checkpoint(place, command.checkpoint_every)
    given = {"checkpoint": checkpoint, "resume": place, "other_machine": command.other_machine}
    return {name: given[name] for name in names}


def checkpoints_of(command: Any, folder: pathlib.Path, again: bool, began: bool) -> dict[str, Any]:
    """The arguments of `fit` for the checkpoints of a run folder; those of an earlier run are removed.

    Args:
      command: of the run.
      folder: of the run.
      again: whether the run is resumed.
      began: whether its training had begun.
    """
    place = folder / INSIDE
    if again and began and command.checkpoint_every is not None and checkpoints_in(place) is not None:
        checkpoint = Checkpoint(place, command.checkpoint_every)
        return {"checkpoint": checkpoint, "resume": place, "other_machine": command.other_machine}
    if again:
        note("the run was stopped before its first checkpoint, so it starts anew", command.quiet)
    elif has_checkpoints(folder):
        told = f"the checkpoints of the unfinished run in {folder} are replaced by those of this one"
        note(f"{told}; jaxrec fit --resume {folder} goes on with a run instead", command.quiet)
    remove_checkpoints(folder)
    return {} if command.checkpoint_every is None else {"checkpoint": Checkpoint(place, command.checkpoint_every)}
