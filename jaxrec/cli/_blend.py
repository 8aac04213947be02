"""`jaxrec blend`: the models of several run folders as one, with weights that the validation part decides."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from tyro import conf

from jaxrec import registry
from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._fit import list_lengths, measure_test
from jaxrec.cli._help import Guide
from jaxrec.cli._measured import split_of
from jaxrec.cli._output import emit, note, write_json
from jaxrec.cli._parsing import Switch, class_of, optional, parse
from jaxrec.cli._run_folder import RunOptions, claimed, metrics_document, replacing
from jaxrec.cli._source import random_key
from jaxrec.errors import JaxrecError
from jaxrec.evaluation import DEFAULT_K, higher_is_better
from jaxrec.fitting._blend import blend
from jaxrec.fitting._described import plain_description, rebuild
from jaxrec.fitting._fitted import FittedModel
from jaxrec.reports._report import Report
from jaxrec.text import aligned_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlendCommand(RunOptions):
    """The options of `blend`.

    Attributes:
      runs: two or more run folders of one split; of fits with --no-refit.
      out: the run folder of the blend; by default a new one, runs/DATA-blend. A run that is there is replaced, when the
        new one is over; a folder of anything else is refused.
      weights: a number for each run, or "equal", in place of learnt ones; with "equal" calibrations are learnt.
      calibration: how the scores of the runs are made comparable: one name for all, or one for each; softmax, share or
        zscore, or package.module:Class. By default softmax or share for each run, whichever makes its held-out items
        likelier, and softmax with numbers as --weights.
      candidates: learn the weights on the so many best items of each run; by default on all items.
      calibrate_on: learn the calibration of a run over all items, or over its candidates alone, which suits rankers of
        candidates.
      l2: the penalty of the weights.
      nonnegative: learn no weight below 0, which suits runs that score much alike.
      refit: fit the members again on training and validation part; weights and calibrations stay.
      all_data: fit the members on all parts; the test part too, for use. The figures are of validation.
      seed: of the halves of the users; figures of validation are cross-fitted on them.
      k: lengths of the lists that are measured.
      no_test: do not measure the test part.
      no_distances: leave the distances within the lists out.
      memory_mb: the most that the scores of a chunk of users may take while lists are measured, in MiB.
      data: where the data are now, if elsewhere than at the fit; for folders of jaxrec.save, the data.
    """

    runs: Annotated[tuple[str, ...], conf.Positional, conf.arg(metavar="RUN ...")]
    out: Annotated[str | None, optional("RUN")] = None
    weights: Annotated[tuple[float, ...] | Literal["equal"], optional("NUMBER ...|equal")] = ()
    calibration: Annotated[tuple[str, ...], optional("NAME ...")] = ()
    candidates: Annotated[int | None, optional("N")] = None
    calibrate_on: Literal["all", "candidates"] = "all"
    l2: float = 1e-3
    nonnegative: Switch = False
    refit: bool = True
    all_data: Switch = False
    seed: int = 0
    k: Annotated[tuple[int, ...], conf.arg(aliases=("-k",))] = DEFAULT_K
    no_test: Switch = False
    no_distances: Switch = False
    memory_mb: int = 256
    data: Annotated[str | None, optional("DATA")] = None
    data_and_split: conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)


GUIDE = Guide(
    "Blend the models of run folders: weights on their calibrated scores are learnt on the validation part, which the "
    "models must not have seen (jaxrec fit ... --no-refit); then the models are fitted again on both parts.",
    first=("out", "weights", "calibration", "all_data", "k", "seed", "data", "json"),
    examples=(
        "jaxrec fit movielens-small --model ease --no-refit --out runs/ease",
        "jaxrec fit movielens-small --model itemknn --no-refit --out runs/knn",
        "jaxrec blend runs/ease runs/knn --out runs/blend",
    ),
)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec blend`; see `BlendCommand` for the options."""
    started = time.perf_counter()
    command = parse(
        BlendCommand,
        argv,
        "blend",
        GUIDE,
    )
    if len(command.runs) < 2:
        raise JaxrecError(f"a blend is of two run folders or more, got {len(command.runs)}; name further ones")
    words = [registry.make("calibration", class_of("calibration", word)) for word in command.calibration]
    key = random_key(command.seed, "--seed")
    command.start()
    members = [command.restored(folder) for folder in command.runs]
    parts, source = split_of(command.runs[0], members[0], command.data, command.data_and_split, command.kinds())
    for text in (*parts.train.notes, *parts.notes):
        note(text, command.quiet)
    k = list_lengths(command.k, parts, command.quiet)
    load_seconds = time.perf_counter() - started
    with claimed(command.out, source["data"], "blend") as folder:
        model = blend(
            members,
            parts,
            weights=command.weights or None,
            calibration=(words if len(words) > 1 else words[0]) if words else None,
            candidates=command.candidates,
            calibrate_on=command.calibrate_on,
            l2=command.l2,
            nonnegative=command.nonnegative,
            refit="all" if command.all_data else command.refit,
            key=key,
        )
        model = dataclasses.replace(model, info={**model.info, "source": source, "seed": command.seed})
        with replacing(model, folder, None) as saved:
            before = time.perf_counter()
            reports = measure_test(command, [model], parts, k)
            document = metrics_document(
                model,
                reports[0] if reports else None,
                digest=saved.digest,
                source=source,
                config={
                    "model": {"name": "blend", "runs": list(command.runs), **model.info["blend"]},
                    "fit": {"l2": command.l2, "refit": command.refit, "all_data": command.all_data},
                    "evaluate": {"k": k},
                },
                seed=command.seed,
                load_seconds=load_seconds,
                evaluate_seconds=time.perf_counter() - before if reports else None,
                started=started,
            )
            write_json(saved.beside("metrics.json"), document)
    text = _text(command, source["data"], model, reports)
    emit({"run": str(folder), **document}, f"{text}\nrun folder: {folder}", command.json)


def _text(command: BlendCommand, data: str, model: FittedModel, reports: Sequence[Report]) -> str:
    lines = [f"{data}: {model}", members_table(model, command.runs)]
    if model.info["valid"]:
        shown = ", ".join(f"{name} {value:.4f}" for name, value in model.info["valid"].items() if "known" not in name)
        lines.append(f"validation{' (cross-fitted)' if model.info['blend']['learnt_on'] == 'valid' else ''}: {shown}")
        lines += better_members(model, command.runs)
    return "\n".join([*lines, *(f"test:\n{report}" for report in reports)])


def better_members(model: FittedModel, names: Sequence[str]) -> list[str]:
    """A line for each member that is better than the blend by every figure of the validation part that both have."""
    valid, of_members = model.info["valid"], model.info["blend"]["valid"]
    shared = [name for name in valid if of_members and all(name in each for each in of_members)]

    def better(own: Mapping[str, float], name: str) -> bool:
        return (own[name] - valid[name]) * (1 if higher_is_better(name) else -1) > 0

    return [
        f"note: {name} alone is better than the blend on the validation part, by every figure above; keep it, or leave "
        "a member out"
        for name, own in zip(names, of_members, strict=True)
        if shared and all(better(own, each) for each in shared)
    ]


def members_table(model: FittedModel, names: Sequence[str] | None = None) -> str:
    """A row for each member of a blend: its weight, its calibration, and its figures on the validation part.

    Args:
      model: a blend.
      names: of the members; by default those of their models.
    """
    told = model.info["blend"]
    figures = [name for name in model.info["valid"] if all(name in each for each in told["valid"]) and "kn" not in name]
    rows: list[tuple[str, ...]] = [("member", "weight", "calibration", *figures)]
    for at, name in enumerate(names or told["members"]):
        calibration: Any = rebuild(told["calibrations"][at])
        numbers = ", ".join(f"{field} {value:.3g}" for field, value in plain_description(calibration).items())
        shown = f"{type(calibration).__name__} {numbers}".strip()
        values = (f"{told['valid'][at][figure]:.4f}" for figure in figures)
        rows.append((name, f"{told['weights'][at]:.3f}", shown, *values))
    return aligned_text(rows, right=[1, *range(3, 3 + len(figures))])
