"""`jaxrec evaluate`: make the split of a run folder again, and measure its model on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Literal

from tyro import conf

import jaxrec.api
from jaxrec.cli.fit import DEFAULT_K, list_lengths
from jaxrec.cli.memory import use_cache
from jaxrec.cli.output import emit, note
from jaxrec.cli.parsing import ComputeOptions, Switch, optional, parse
from jaxrec.cli.run_folder import device
from jaxrec.cli.source import split_again
from jaxrec.errors import MismatchError, RunFolderError


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateCommand(ComputeOptions):
    """What `evaluate` has.

    Attributes:
      run: the run folder.
      part: "test", or "valid" for a model that was not fitted on the validation part.
      k: lengths of the lists.
      metrics: names of ranking metrics.
      no_distances: leave the distances within the lists out, which need a decomposition of the training matrix.
      memory_mb: the most that the scores of a chunk of users may take, in MiB.
      data: where the data are now, if not where they were at the fit.
      data_dir: the folder that holds the folders of named data sets now, likewise.
    """

    run: Annotated[str, conf.Positional, conf.arg(metavar="RUN")]
    part: Literal["test", "valid"] = "test"
    k: Annotated[tuple[int, ...], conf.arg(aliases=("-k",))] = DEFAULT_K
    metrics: tuple[str, ...] = ("recall", "precision", "ndcg")
    no_distances: Switch = False
    memory_mb: int = 256
    data: Annotated[str | None, optional("DATA")] = None
    data_dir: Annotated[str | None, optional("FOLDER")] = None


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec evaluate`; see `EvaluateCommand` for the options."""
    command = parse(
        EvaluateCommand,
        argv,
        "evaluate",
        "Measure the model of a run folder on the split that it was fitted on. Nothing in the folder changes.",
    )
    use_cache(command.cache_dir)
    device()
    model = jaxrec.api.restore(command.run)
    described = model.info.get("source")
    if not isinstance(described, dict):
        raise RunFolderError(
            f"{command.run!r} does not say which data and split it is of, since `jaxrec fit` did not write it; "
            "measure it in Python with jaxrec.evaluate(jaxrec.restore(folder), split)"
        )
    if command.part == "valid" and model.info["fitted_on"] != "train":
        raise MismatchError(
            f"the model was fitted on {model.info['fitted_on']}, so the validation part says nothing about it; what it "
            f"had there before the refit is `valid` in {command.run}/metrics.json, or fit with --no-refit"
        )
    parts = split_again(described, moved_to=command.data, data_dir=command.data_dir)
    for text in (*parts.train.notes, *parts.notes):
        note(text, command.quiet)
    if model.info["task"] == "rating":
        report = jaxrec.api.evaluate_ratings(model, parts, part=command.part)
    else:
        report = jaxrec.api.evaluate(
            model,
            parts,
            k=list_lengths(command.k, parts, command.quiet),
            metrics=command.metrics,
            part=command.part,
            space=None if command.no_distances else "svd",
            memory_mb=command.memory_mb,
        )
    document = {"run": command.run, "model": model.name, "part": command.part, **report.to_dict()}
    document = {**document, "data": described["data"], "fingerprint": described["fingerprint"]}
    emit(document, f"{described['data']}: {model}, {command.part} part\n{report}", command.json)
