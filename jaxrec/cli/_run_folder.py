"""Run folders: where a new run goes, what may be overwritten, and what `metrics.json` says."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from jaxrec.cli._memory import devices, huge_pages
from jaxrec.cli._output import note, plain
from jaxrec.cli._parsing import ComputeOptions, class_of, optional
from jaxrec.errors import JaxrecError, RunFolderError
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._resume import INSIDE, RUN_FILE
from jaxrec.fitting._storage import FORMAT, restore
from jaxrec.fitting._versions import versions
from jaxrec.reports._averages import average_reports
from jaxrec.reports._report import Report

FILES = ("model.json", "arrays.npz", "metrics.json", "log.jsonl", "learning_curve.png", RUN_FILE, INSIDE)
"""What `fit` writes; anything else in a folder is someone else's."""


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

    def restored(self, folder: str) -> FittedModel:
        """The model of a run folder; of a run that is not over its best so far, which is told."""
        from jaxrec.cli._resume import read_run

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
    """The folder of a new run, made and found to be writable; taken away again if it is left empty.

    Args:
      folder: what the caller asks for; None takes the first of runs/DATA-MODEL, runs/DATA-MODEL-2, ... that is free.
      data: the name or path of the data.
      model: the model's name.

    Raises:
      RunFolderError: a file, a folder with other things in it, or one that cannot be written.
    """
    path = pathlib.Path(folder).expanduser() if folder is not None else _free(data, model)
    if path.is_dir():
        _refuse_foreign(path)
    elif path.exists():
        raise RunFolderError(f"--out {str(path)!r} is a file; name a folder")
    before = [parent for parent in (path, *path.parents) if parent.exists()]
    probe = path / f".probe.{os.getpid()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise RunFolderError(f"--out {str(path)!r} cannot be written: {error.strerror}; name another folder") from None
    try:
        yield path
    finally:
        log = path / "log.jsonl"
        if log.is_file() and not log.stat().st_size:  # the fit ended before its first epoch
            log.unlink()
        for made in (path, *path.parents):
            if made in before:
                break
            with contextlib.suppress(OSError):  # it has something in it
                made.rmdir()


def _free(data: str, model: str) -> pathlib.Path:
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", pathlib.PurePath(data).stem if os.path.exists(data) else data).strip("-.")
    first = pathlib.Path("runs", f"{stem or 'data'}-{model}")
    path, number = first, 1
    while path.exists():
        number += 1
        path = first.with_name(f"{first.name}-{number}")
    return path


def _refuse_foreign(path: pathlib.Path) -> None:
    try:
        others = sorted(entry.name for entry in path.iterdir() if entry.name not in FILES)
    except OSError as error:
        raise RunFolderError(f"--out {str(path)!r} cannot be read: {error.strerror}; name another folder") from None
    if others and not _has_model(path):
        raise RunFolderError(
            f"--out {str(path)!r} is no run folder and is not empty (it has {', '.join(others[:3])}); "
            "name a new or an empty folder"
        )


def _has_model(path: pathlib.Path) -> bool:
    try:
        document = json.loads((path / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("format") == FORMAT


def metrics_document(
    model: FittedModel,
    report: Report | None,
    *,
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
      source: what `describe` says of the data.
      config: the options of the model, of the training and of the measuring, by these names.
      seed: of the fit.
      load_seconds: what reading and splitting took.
      evaluate_seconds: what measuring took, the item space and compilation included; None where nothing was measured.
      started: `time.perf_counter()` at the start of the command.

    Returns:
      `test` and `valid` by names like "recall@20" (null where there is none), `intervals` and `counts` of the test,
      `seconds`, `config`, `seed`, `best_epoch`, `versions`, `data`, `device`, `notes`. With several seeds all this is
      of the first, whose model the folder has, but for the seconds, which are of all; see `seeds_document`.
    """
    measured = None if report is None else report.to_dict()
    took = model.info["seconds"]
    return plain(
        {
            "model": model.name,
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
