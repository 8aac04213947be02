"""Run folders: where a new run goes, what may be overwritten, and what `metrics.json` says."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import pathlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from jaxrec.cli._foreign import refuse_foreign
from jaxrec.cli._memory import devices, huge_pages
from jaxrec.cli._output import note, plain
from jaxrec.cli._parsing import ComputeOptions, class_of, optional
from jaxrec.errors import JaxrecError, RunFolderError
from jaxrec.fitting._document import MODEL, OLD_ARRAYS
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._owner import owned
from jaxrec.fitting._publishing import COMPANIONS, NEW_LOG, Pending, settle, waiting_in
from jaxrec.fitting._resume import INSIDE, RUN_FILE
from jaxrec.fitting._storage import pending, restore
from jaxrec.fitting._versions import versions
from jaxrec.parallel._mesh import on_host
from jaxrec.reports._averages import average_reports
from jaxrec.reports._report import Report

FILES = (MODEL, OLD_ARRAYS, *COMPANIONS, RUN_FILE, INSIDE)
"""What `fit` writes, but for the hash in the name of the arrays; anything else in a folder is someone else's."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(ComputeOptions):
    """Options of every command that reads run folders.

    Attributes:
      kind: package.module:Class of each class of your own that the run was made with; a run folder alone never makes
        anything be imported.
    """

    kind: Annotated[tuple[str, ...], optional("PLACE ...")] = ()

    def kinds(self) -> tuple[type, ...]:
        """The classes that `kind` names, imported."""
        for word in self.kind:
            if ":" not in word:
                raise JaxrecError(f"--kind is {word!r}; write package.module:Class")
        return tuple(class_of("model", word) for word in self.kind)

    def restored(self, folder: str, *, parts: int = 1) -> FittedModel:
        """The model of a run folder; of a run that is not over its best so far, which is told.

        Where devices are to share the items in some parts, no device need hold all of the model, so the host does.
        """
        from jaxrec.cli._resume import read_run

        with on_host(parts > 1):
            model, run = restore(folder, kinds=self.kinds()), read_run(folder)
        if run is not None and "unfinished" in model.info and run.source:
            return dataclasses.replace(model, info={**model.info, "source": run.source})
        if run is not None and not run.finished and "unfinished" not in model.info:
            note(f"a later fit into {folder} is not over; this is the model from before it", self.quiet)
        return model


def metrics_of(words: Sequence[str]) -> list[Any]:
    """Metrics by their names, or as objects of the classes at places, "package.module:Class".

    >>> metrics_of(["recall"])
    ['recall']
    """
    return [class_of("metric", word)() if ":" in word else word for word in words]


@contextlib.contextmanager
def claimed(folder: str | None, data: str, model: str) -> Iterator[pathlib.Path]:
    """The folder of a new run, this process's own for the block; taken away again if it is left empty.

    Args:
      folder: what the caller asks for; None takes the first of runs/DATA-MODEL, runs/DATA-MODEL-2, ... that is free.
      data: the name or path of the data.
      model: the model's name.

    Raises:
      RunFolderError: a file, a folder with other things in it, one that cannot be written, or one that another process
        is writing to.
    """
    path = pathlib.Path(folder).expanduser() if folder is not None else None
    if path is not None and path.is_dir():
        refuse_foreign(path)
    elif path is not None and (path.exists() or path.is_symlink()):
        raise RunFolderError(f"--out {str(path)!r} is {'a file' if path.exists() else 'a broken link'}; name a folder")
    before = [parent for parent in (path or pathlib.Path("runs"), *_parents(path)) if parent.exists()]
    try:
        path = _free(data, model) if path is None else path
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"--out {str(path)!r} cannot be written: {error.strerror}; name another folder") from None
    try:
        with owned(path):
            refuse_foreign(path)  # another process may have been here before it was ours
            settle(path)
            for name in waiting_in(path):
                note(
                    f"{path} has a model of a stopped fit that was not measured, {name}; it goes when this fit is over"
                )
            try:
                yield path
            finally:
                for log in (path / "log.jsonl", path / NEW_LOG):
                    if log.is_file() and not log.stat().st_size:  # the fit ended before its first epoch
                        log.unlink()
    finally:
        for made in (path, *path.parents):
            if made in before:
                break
            with contextlib.suppress(OSError):  # it has something in it
                made.rmdir()


def _parents(path: pathlib.Path | None) -> Sequence[pathlib.Path]:
    return (path or pathlib.Path("runs")).parents


def _free(data: str, model: str) -> pathlib.Path:
    """Make the first folder that is free: two processes at the same time get two folders."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", pathlib.PurePath(data).stem if os.path.exists(data) else data).strip("-.")
    first = pathlib.Path("runs", f"{stem or 'data'}-{model}")
    first.parent.mkdir(exist_ok=True)
    for number in itertools.count(1):
        path = first if number == 1 else first.with_name(f"{first.name}-{number}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
    raise AssertionError("there is always another number")


@contextlib.contextmanager
def replacing(model: FittedModel, folder: pathlib.Path, log: pathlib.Path | None) -> Iterator[Pending]:
    """Save the model of a fit, and make it the model of the folder: at once in a new folder, else after the block.

    The block measures the model and writes what belongs to it, see `Pending.beside`. Until it is over a run that was
    there stays as it was. If the block fails, the new model waits beside the old one, and is told.

    Args:
      model: that was fitted.
      folder: of the run, owned by this process.
      log: of its epochs; None for a model without any.

    Yields:
      The saved model.

    Raises:
      OutputError: it cannot be written; a run that was there is as it was.
    """
    new, saved = not (folder / MODEL).exists(), pending(model, folder)
    if new:
        saved.switch()
    try:
        yield saved
    except BaseException:
        if not new:
            note(f"{folder} keeps its old run; the new model, not measured, waits as {saved.beside(MODEL).name}")
        raise
    if log is not None and log.name == NEW_LOG:
        os.replace(log, saved.beside("log.jsonl"))
    for stale in (folder / NEW_LOG, folder / "log.jsonl") if new else (folder / NEW_LOG,):
        if stale != log:
            stale.unlink(missing_ok=True)
    settle(folder, waiting=False) if new else saved.switch(replace=True)


def metrics_document(
    model: FittedModel,
    report: Report | None,
    *,
    digest: str,
    source: Mapping[str, Any],
    config: Mapping[str, Any],
    seed: int,
    load_seconds: float,
    evaluate_seconds: float | None,
    started: float,
) -> dict[str, Any]:
    """What `metrics.json` holds.

    Args:
      model: the fitted model.
      report: of the test part, or None where it was left alone.
      digest: the sha256 of the model's description, as `model.json` has it.
      source: what `describe` says of the data.
      config: the options of the model, of the training and of the measuring, by these names.
      seed: of the fit.
      load_seconds: what reading and splitting took.
      evaluate_seconds: what measuring took, the item space and compilation included; None where nothing was measured.
      started: `time.perf_counter()` at the start of the command.

    Returns:
      `model_sha256`, the model that is measured; `test` and `valid` by names like "recall@20" (null where there is
      none), `intervals` and `counts` of the test, `seconds`, `config`, `seed`, `best_epoch`, `versions`, `data`,
      `device`, `notes`. With several seeds all this is of the first, whose model the folder has, but for the seconds,
      which are of all; see `seeds_document`.
    """
    measured = None if report is None else report.to_dict()
    took = model.info["seconds"]
    return plain(
        {
            "model": model.name,
            "model_sha256": digest,
            "test": measured and measured["mean"],
            "valid": model.info["valid"] or None,
            "intervals": measured and measured["interval"],
            "counts": measured and measured["counts"],
            "measured": measured and {key: measured[key] for key in ("masked", "fitted", "catalogue", "space")},
            "seconds": {
                "load": load_seconds,
                "compile": took["compile"],
                "epochs": took["epochs"],
                "validate": took["evaluate"],
                "fit": took["fit"],
                "evaluate": evaluate_seconds,
                "total": time.perf_counter() - started,
            },
            "config": {**config, "data": {"data": source["data"], **source["options"]}},
            "seed": seed,
            "best_epoch": model.info["best_epoch"],
            "fitted_on": model.info["fitted_on"],
            "versions": versions(),
            "data": {**source["counts"], "fingerprint": source["fingerprint"]},
            "device": device(),
            "notes": model.info["notes"],
        }
    )


def seeds_document(models: Sequence[FittedModel], reports: Sequence[Report], seeds: Sequence[int]) -> dict[str, Any]:
    """What `metrics.json` holds under `seeds` where several were trained at once.

    Args:
      models: the fitted models.
      reports: of the test part, one for each, or none where it was left alone.
      seeds: of the models.

    Returns:
      `runs`, with `seed`, `best_epoch`, `valid` and `test` of each; and `test`, what `Report.to_dict` says of the mean
      report: `mean`, `interval` over users, `seeds` with the spread over seeds, and so on; None without reports.
    """
    runs = []
    for at, (model, seed) in enumerate(zip(models, seeds, strict=True)):
        test = {name: reports[at].mean(name) for name in reports[at].names} if reports else None
        valid = model.info["valid"] or None
        runs.append({"seed": seed, "best_epoch": model.info["best_epoch"], "valid": valid, "test": test})
    return plain({"runs": runs, "test": average_reports(reports).to_dict() if reports else None})


def device() -> dict[str, Any]:
    """What JAX computes on.

    Raises:
      JaxrecError: there is no device of the kind that JAX_PLATFORMS asks for.

    >>> sorted(device())
    ['count', 'huge_pages', 'kind', 'platform']
    """
    found = devices()
    return {
        "platform": found[0].platform,
        "kind": found[0].device_kind,
        "count": len(found),
        "huge_pages": huge_pages().active,
    }
