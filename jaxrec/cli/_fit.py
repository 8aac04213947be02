"""`jaxrec fit`: read, split, train, measure, and leave a run folder."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from tyro import conf

from jaxrec.api._evaluate import default_space, evaluate, evaluate_ratings
from jaxrec.cli._memory import use_cache
from jaxrec.cli._output import emit, note, table, write_json
from jaxrec.cli._parsing import ComputeOptions, Switch, model_name, optional, parse, twin, values_of
from jaxrec.cli._run_folder import claimed, device, metrics_document, seeds_document
from jaxrec.cli._source import DataOptions, describe, random_key, read_data, split_data
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.fitting._fit import fit
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._many import fit_many
from jaxrec.fitting._options import FitOptions
from jaxrec.fitting._plan import is_trained, predicts_ratings
from jaxrec.fitting._storage import save
from jaxrec.models import MODELS, NMF
from jaxrec.ranking._topk import check_list_length, users_per_tile
from jaxrec.reports._averages import average_reports
from jaxrec.reports._report import Report

DEFAULT_K = (10, 20)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitCommand(ComputeOptions):
    """What `fit` has for every model.

    Attributes:
      data: a name that `jaxrec datasets` lists, or the path of a file of ratings or clicks.
      model: its name; it decides which further options there are.
      out: the run folder; by default a new one, runs/DATA-MODEL.
      seed: of initial values, shuffling and negatives.
      seeds: how many seeds are trained, SEED, SEED + 1 and so on, at once in one program. The figures are then their
        means, with the interval over users and the spread over seeds; the run folder keeps the model of the first.
      k: lengths of the lists that are measured.
      no_test: leave the test part alone, while settings are chosen on the validation part.
      no_distances: leave the distances within the lists out, which need a decomposition of the training matrix.
      memory_mb: the most that the scores of a chunk of users may take while lists are measured, in MiB.
    """

    data: Annotated[str, conf.Positional, conf.arg(metavar="DATA")]
    model: Annotated[str, conf.arg(metavar="{" + ",".join(MODELS) + "}")] = "lightgcn"
    out: Annotated[str | None, optional("RUN")] = None
    seed: int = 0
    seeds: int = 1
    k: Annotated[tuple[int, ...], conf.arg(aliases=("-k",))] = DEFAULT_K
    no_test: Switch = False
    no_distances: Switch = False
    memory_mb: int = 256
    data_and_split: conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """What NMF, which is solved and not trained, has of the options of training.

    Attributes:
      loss: mse predicts ratings from the observed ones; by default all pairs are factorised, to rank.
      rating_scale: the lowest and the highest rating that there can be; by default the extremes of the training part.
    """

    loss: Annotated[Literal["mse"] | None, optional("{mse}")] = None
    rating_scale: Annotated[tuple[float, float] | None, optional("LOW HIGH")] = None


def command_for(name: str) -> type[FitCommand]:
    """The options of `fit` for a model: those of every model, its own, and those of training if it is trained.

    >>> [field.name for field in dataclasses.fields(command_for("ease"))][-2:]
    ['data_and_split', 'ease']
    """
    kind = MODELS[name]
    own = twin(kind, f"{name}_options", _summary(kind))
    nested = [(name, conf.OmitArgPrefixes[own], dataclasses.field(default=own()))]
    if is_trained(kind()):
        how = twin(FitOptions, "training_options", _summary(FitOptions))
        nested.append(("training", conf.OmitArgPrefixes[how], dataclasses.field(default=how())))
    elif kind is NMF:
        nested.append(("training", conf.OmitArgPrefixes[TaskOptions], dataclasses.field(default=TaskOptions())))
    return dataclasses.make_dataclass(
        "FitCommand", nested, bases=(FitCommand,), frozen=True, kw_only=True, namespace={"__doc__": FitCommand.__doc__}
    )


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec fit`; see `FitCommand` for the options."""
    started = time.perf_counter()
    name = model_name(argv)
    description = (
        f"Train a model on DATA, measure it on the test part, and leave a run folder. Models: {', '.join(MODELS)}. "
        f"Below are the options of {name}; `jaxrec fit --model NAME --help` shows those of another."
    )
    command = parse(command_for(name), argv, f"fit --model {name}", description)
    module = MODELS[name](**values_of(getattr(command, name)))
    training = getattr(command, "training", None)
    given = {} if training is None else values_of(training)
    options = FitOptions(**{option: value for option, value in given.items() if value is not None}) if given else None
    if command.seeds < 1:
        raise JaxrecError(f"--seeds must be at least 1, got {command.seeds}")
    seeds = range(command.seed, command.seed + command.seeds)
    keys = [random_key(seed, "--seed") for seed in seeds]
    use_cache(command.cache_dir)
    device()
    with claimed(command.out, command.data, name) as folder:
        data, data_options = read_data(command.data, command.data_and_split)
        parts = split_data(data, data_options)
        for text in (*parts.train.notes, *parts.notes):
            note(text, command.quiet)
        _tell_unused_ratings(parts, data_options, module, options, command.quiet)
        k = list_lengths(command.k, parts, command.quiet)
        users_per_tile(parts.train.num_items, max(k), command.memory_mb)  # raises now what would be raised at the end
        load_seconds = time.perf_counter() - started
        progress = not command.quiet and sys.stderr.isatty()
        log = folder / "log.jsonl"
        log_of_epochs = log if is_trained(module) else None
        if command.seeds == 1:
            models = [fit(module, parts, options, key=keys[0], progress=progress, log=log_of_epochs)]
        else:
            models = fit_many(module, parts, options, keys=keys, progress=progress, log=log_of_epochs)
        model = models[0]
        source = describe(command.data, data_options, parts)
        model = dataclasses.replace(model, info={**model.info, "source": source, "seed": command.seed})
        # Saved before it is measured, so that no training is lost; figures of an older model must not stay beside it.
        (folder / "metrics.json").unlink(missing_ok=True)
        save(model, folder)
        before = time.perf_counter()
        reports = _measure(command, models, parts, k)
        evaluate_seconds = time.perf_counter() - before if reports else None
        document = metrics_document(
            model,
            reports[0] if reports else None,
            source=source,
            config={
                "model": {"name": name, **values_of(getattr(command, name))},
                "fit": dataclasses.asdict(options) if options is not None and is_trained(module) else given or None,
                "evaluate": {"k": k},
            },
            seed=command.seed,
            load_seconds=load_seconds,
            evaluate_seconds=evaluate_seconds,
            started=started,
        )
        if command.seeds > 1:
            document["seeds"] = seeds_document(models, reports, seeds)
        write_json(folder / "metrics.json", document)
        if options is None:
            log.unlink(missing_ok=True)
        _draw(model, folder, command.quiet)
    emit({"run": str(folder), **document}, _text(command.data, models, reports, seeds, folder), command.json)


def list_lengths(asked: Sequence[int], parts: Split, quiet: bool) -> tuple[int, ...]:
    """The lengths of the lists that are measured; the default ones only where the catalogue is long enough.

    Raises:
      JaxrecError: no length, or one below 1 or above the number of items.
    """
    items = parts.train.num_items
    if tuple(asked) == DEFAULT_K and items < max(DEFAULT_K):
        asked = [cut for cut in DEFAULT_K if cut <= items] or [items]
        note(f"the catalogue has only {items} items, so the lists have {', '.join(map(str, asked))}", quiet)
    if not asked:
        raise JaxrecError("-k names no length; pass one or more, for example -k 10 20")
    for cut in asked:
        check_list_length(cut, items)
    return tuple(asked)


def _tell_unused_ratings(parts: Split, data: DataOptions, module: Any, options: FitOptions | None, quiet: bool) -> None:
    rated = parts.train.rating is not None and parts.train.rating.min() < parts.train.rating.max()
    if rated and data.min_rating is None and not predicts_ratings(module, options or FitOptions()):
        note("every rating counts as a liking, low ones too; --min-rating leaves those below it out", quiet)


def _measure(command: FitCommand, models: Sequence[FittedModel], parts: Split, k: tuple[int, ...]) -> list[Report]:
    """The reports of the test part, one for each model; none where nothing is measured."""
    if command.no_test:
        return []
    if not len(parts.test):
        note("there is no test part, so nothing was measured on it", command.quiet)
        return []
    if models[0].info["task"] == "rating":
        return [evaluate_ratings(model, parts) for model in models]
    space = None if command.no_distances else default_space(parts)  # once for all models
    return [evaluate(model, parts, k=k, space=space, memory_mb=command.memory_mb) for model in models]


def _draw(model: FittedModel, folder: pathlib.Path, quiet: bool) -> None:
    """The learning curve, where there is one and matplotlib can draw it; an older one does not stay."""
    path = folder / "learning_curve.png"
    path.unlink(missing_ok=True)
    records = model.info["records"]
    if not records:
        return
    if importlib.util.find_spec("matplotlib") is None:
        note('no learning_curve.png without matplotlib: pip install "jaxrec[plot]"', quiet)
        return
    from jaxrec import plots

    title = f"{type(model.model).__name__} on {pathlib.PurePath(model.info['source']['data']).name}"
    best = model.info["best_epoch"] if model.info["valid"] else None
    plots.save_figure(plots.learning_curve(records, best_epoch=best, title=title), path)


def _text(
    data: str, models: Sequence[FittedModel], reports: Sequence[Report], seeds: Sequence[int], folder: pathlib.Path
) -> str:
    model, several = models[0], len(models) > 1
    took = model.info["seconds"]
    seconds = [f"fit {took['fit']:.1f}"]
    if took["epochs"]:
        seconds.append(
            f"of it compilation {took['compile']:.1f} and {len(took['epochs'])} epochs {sum(took['epochs']):.1f}"
        )
    lines = [f"{data}: {model}", f"seconds: {', '.join(seconds)}"]
    if several:
        lines.append(f"{len(models)} seeds:\n{_seeds_table(models, reports, seeds)}")
    elif model.info["valid"]:
        shown = ", ".join(f"{key} {value:.4f}" for key, value in model.info["valid"].items() if "known" not in key)
        lines.append(f"validation: {shown}")
    if reports:
        lines.append(f"test:\n{average_reports(reports)}")
    end = f", with the model of seed {seeds[0]}" if several else ""
    return "\n".join([*lines, f"run folder: {folder}{end}"])


def _seeds_table(models: Sequence[FittedModel], reports: Sequence[Report], seeds: Sequence[int]) -> str:
    """A row for each seed: its best epoch, and the accuracy on the test part or, without one, the validation part."""
    figures = [{name: report.mean(name) for name in report.names} for report in reports]
    figures = figures or [model.info["valid"] for model in models]
    names = [name for name in figures[0] if name.split("@")[0] in ("recall", "precision", "ndcg", "rmse", "mae")]
    rows = [("seed", "best epoch", *names)]
    for seed, model, values in zip(seeds, models, figures, strict=True):
        rows.append((str(seed), str(model.info["best_epoch"]), *(f"{values[name]:.4f}" for name in names)))
    return table(rows, right=range(len(rows[0])))


def _summary(source: Any) -> str:
    """The first sentence of a docstring."""
    return (source.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
