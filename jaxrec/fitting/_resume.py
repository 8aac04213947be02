"""Fits that can be resumed: what a folder of checkpoints says of its fit, and whether a later call is the same."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxrec.errors import JaxrecError, MismatchError, RunFolderError
from jaxrec.fitting._described import place_of, plain_description
from jaxrec.fitting._options import TrainingOptions
from jaxrec.fitting._plan import FitPlan
from jaxrec.fitting._versions import versions
from jaxrec.fitting._warm_start import WarmStart
from jaxrec.fitting._weights import described_weights
from jaxrec.parallel._processes import from_writer
from jaxrec.training._checkpoint import Checkpoint, reason_of, write_whole
from jaxrec.training._keeper import FolderKeeper, newest
from jaxrec.training._shared_store import store_of

FILE = "fit.json"
FORMAT, FORMAT_VERSION = "jaxrec-checkpoints", 1
INSIDE = "checkpoints"
"""The folder of the checkpoints within a run folder."""
RUN_FILE = "run.json"
"""What the command line keeps of a run from its start on, within a run folder."""


def checkpoints_in(folder: str | os.PathLike[str]) -> pathlib.Path | None:
    """The folder of checkpoints that a path names, which is it itself or in it; None for none.

    >>> checkpoints_in("nowhere") is None
    True
    """
    path = pathlib.Path(folder).expanduser().absolute()
    return next((each for each in (path, path / INSIDE) if (each / FILE).is_file()), None)


def described(
    plan: FitPlan,
    options: Sequence[TrainingOptions],
    keys: Sequence[jax.Array],
    several: bool,
    start: WarmStart | None = None,
) -> Any:
    """All that decides what a fit gives: model, options, keys and data, as plain JSON values by their path.

    >>> import jaxrec
    >>> from jaxrec.fitting._plan import make_plan
    >>> plan = make_plan(jaxrec.MF(dim=2), jaxrec.from_arrays([0, 1], [0, 1]), TrainingOptions())
    >>> described(plan, [plan.options], [jax.random.key(7)], False)["key"], plan.model.dim
    ([0, 7], 2)
    """
    whole: dict[str, Any] = {"model": place_of(plan.model)}
    whole |= {f"model.{name}": value for name, value in plain_description(plan.model).items()}
    for at, (own, key) in enumerate(zip(options, keys, strict=True)):
        prefix = f"member {at}: " if several else ""
        whole |= {f"{prefix}{name}": value for name, value in plain_description(own).items()}
        whole[f"{prefix}key"] = np.asarray(jax.random.key_data(key)).ravel().tolist()
    parts = plan.split.parts()
    for name, part in parts.items():
        whole[f"interactions of the {name} part"] = len(part)
    for name, part in parts.items():
        whole[f"the {name} part"] = part.fingerprint()
    whole |= described_weights(plan)
    if several:
        whole["members"] = len(keys)
    if start is not None:
        arrays = [start.user_rows, start.item_rows, *jax.tree.leaves(start.params)]
        whole["the model of init"] = hashlib.sha256(b"".join(np.asarray(one).tobytes() for one in arrays)).hexdigest()
    return json.loads(json.dumps(whole))


def machine() -> dict[str, Any]:
    """What the last bits of a fit depend on beside its options: the devices, the processor, settings and versions.

    >>> machine()["processes"]
    1
    """
    devices = jax.devices()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "platform": devices[0].platform,
        "device": devices[0].device_kind,
        "devices": len(devices),
        "processes": jax.process_count(),
        "cores": cores,
        "processor": _processor(),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
        "jax_enable_x64": bool(jax.config.jax_enable_x64),  # pyright: ignore[reportAttributeAccessIssue]
        "jax_default_matmul_precision": jax.config.jax_default_matmul_precision,  # pyright: ignore[reportAttributeAccessIssue]
        **{f"version of {name}": version for name, version in versions().items()},
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two descriptions, each in a few words.

    >>> differences({"epochs": 3, "the train part": "a1"}, {"epochs": 4, "the train part": "b2"})
    ['epochs was 3 and is 4', 'the train part has other rows']
    """
    said = []
    for name in dict.fromkeys([*then, *now]):
        if then.get(name) != now.get(name):
            hashed = name.startswith("the ") and name.endswith(" part")
            values = f"was {_short(then.get(name))} and is {_short(now.get(name))}"
            said.append(f"{name} {'has other rows' if hashed else values}")
    return said


@contextlib.contextmanager
def keeping(
    checkpoint: Checkpoint | None,
    resume: str | os.PathLike[str] | None,
    other_machine: bool,
    fit: Mapping[str, Any],
    several: bool,
    mesh: str = "",
) -> Iterator[FolderKeeper | None]:
    """The keeper of a fit, with what an earlier process has kept where it is resumed; None where nothing is kept.

    Args:
      checkpoint: of the caller.
      resume: the folder to go on with; a run folder stands for the checkpoints in it.
      other_machine: whether to go on where equal bits are not promised.
      fit: what `described` says of the call.
      several: whether members are trained together.
      mesh: how the fit lies on several devices, in words; "" for one.

    Raises:
      JaxrecError: Orbax is not installed, or two folders that differ.
      MismatchError: the fit in the folder is another one, or was run on another machine.
      RunFolderError: no fit to resume, a folder that has one already, one that cannot be read or written, damage.
    """
    if resume is None and checkpoint is None:
        yield None
        return
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        raise JaxrecError(f"checkpoint must be a Checkpoint, got {checkpoint!r}; pass checkpoint=Checkpoint(folder)")
    # Of several processes the first alone looks at the folder, and says what it is to all.
    place, kept = from_writer(lambda: _named(checkpoint, resume))
    folder, on = pathlib.Path(place), {"mesh": mesh} if mesh else {}
    now = from_writer(lambda: {**machine(), **on})
    every, keep = (checkpoint.every, checkpoint.keep) if checkpoint else (kept["every"], kept["keep"])
    store = store_of(folder, keep)
    with contextlib.ExitStack() as stack:
        from_writer(lambda: stack.enter_context(_owned(folder)))
        saved = None
        if resume is not None:
            _check_same(folder, kept, fit)
            saved = newest(store)
            if saved is None:
                told = f"no checkpoint was written yet in {str(folder)!r}, so the fit starts anew"
                warnings.warn(told, UserWarning, stacklevel=4)
            else:
                _check_machine(folder, kept, now, other_machine)
            store.drop_after(-1 if saved is None else saved.step)
        if saved is None:
            document = {"every": every, "keep": keep, "fit": dict(fit), "machine": now}
            from_writer(lambda: _write(folder, document))
        try:
            yield FolderKeeper(store, every, several, saved)
        finally:
            store.close()


def _named(checkpoint: Checkpoint | None, resume: Any) -> tuple[str, dict[str, Any]]:
    """`_folder_of`, as plain JSON values."""
    folder, kept = _folder_of(checkpoint, resume)
    return str(folder), kept


def _folder_of(checkpoint: Checkpoint | None, resume: Any) -> tuple[pathlib.Path, dict[str, Any]]:
    """The folder of the checkpoints, and what it says of itself where it is resumed."""
    if resume is None:
        assert checkpoint is not None
        _check_free(checkpoint.path)
        return checkpoint.path, {}
    if not isinstance(resume, (str, os.PathLike)):
        raise JaxrecError(f"resume must be the path of a folder, got {resume!r}; pass that of Checkpoint(folder)")
    folder = checkpoints_in(resume)
    if folder is None:
        raise RunFolderError(
            f"there is no fit to resume in {str(resume)!r}: it has no {FILE}; pass the folder of Checkpoint(folder)"
        )
    if checkpoint is not None and checkpoint.path != folder:
        raise JaxrecError(
            f"resume is {str(resume)!r} and checkpoint names {str(checkpoint.folder)!r}; pass one of them, or the same"
        )
    return folder, read_file(folder)


def _check_free(folder: pathlib.Path) -> None:
    try:
        names = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise RunFolderError(f"the folder {str(folder)!r} cannot be read: {reason_of(error)}; name another") from None
    if FILE in names:
        raise RunFolderError(
            f"{str(folder)!r} has the checkpoints of a fit; pass resume={str(folder)!r} to go on with it, or another "
            "folder"
        )
    if names:
        raise RunFolderError(f"{str(folder)!r} is not empty (it has {', '.join(names[:3])}); name a new folder")


def _check_same(folder: pathlib.Path, kept: Mapping[str, Any], fit: Mapping[str, Any]) -> None:
    odd = differences(kept["fit"], fit)
    if odd:
        raise MismatchError(f"the fit in {str(folder)!r} is another one: {_first(odd)}; pass what it was started with")


def _check_machine(folder: pathlib.Path, kept: Mapping[str, Any], now: Mapping[str, Any], other_machine: bool) -> None:
    odd = differences(kept["machine"], now)
    if not odd:
        return
    if not other_machine:
        raise MismatchError(
            f"the fit in {str(folder)!r} was run on another machine: {_first(odd)}; equal bits cannot be promised, so "
            "pass other_machine=True to go on all the same"
        )
    warnings.warn(f"resumed on another machine: {_first(odd)}; equal bits are not promised", UserWarning, stacklevel=5)


def read_file(folder: pathlib.Path) -> dict[str, Any]:
    """What a folder of checkpoints says of its fit.

    Raises:
      RunFolderError: it is damaged, or of another format.
    """
    path = folder / FILE
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        known, digest = kept.pop("format") == FORMAT, kept.pop("sha256")
        version = kept.pop("format_version")
        if known and version == FORMAT_VERSION and digest != _digest(kept):
            raise ValueError("it has another checksum")
    except OSError as error:
        raise RunFolderError(f"{str(path)!r} cannot be read: {reason_of(error)}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise RunFolderError(f"{str(path)!r} is damaged ({reason_of(error)}); fit again") from None
    if not known or version != FORMAT_VERSION:
        raise RunFolderError(
            f"{str(path)!r} has format {version!r} and this jaxrec reads {FORMAT_VERSION}; use the jaxrec that wrote it"
        )
    return kept


def _write(folder: pathlib.Path, kept: dict[str, Any]) -> None:
    document = {"format": FORMAT, "format_version": FORMAT_VERSION, **kept, "sha256": _digest(kept)}
    try:
        write_whole(folder / FILE, json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise RunFolderError(f"the folder {str(folder)!r} cannot be written: {reason_of(error)}") from None


@contextlib.contextmanager
def _owned(folder: pathlib.Path) -> Iterator[None]:
    """Hold the folder; the lock ends with the process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise RunFolderError(f"the folder {str(folder)!r} cannot be written: {reason_of(error)}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise RunFolderError(
            f"another process fits into {str(folder)!r}; wait for it, or name another folder"
        ) from None
    try:
        yield
    finally:
        os.close(lock)


def _digest(kept: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _first(said: Sequence[str]) -> str:
    return "; ".join(said[:3]) + (f"; and {len(said) - 3} more" if len(said) > 3 else "")


def _short(value: Any) -> str:
    text = "not there" if value is None else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _processor() -> str:
    """The name of the processor, which decides how long its vectors are."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
