"""`jaxrec fit`: read, split, train, measure, and leave a run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import pathlib
import time
from collections.abc import Sequence
from typing import Annotated, Any

from tyro import conf

from jaxrec import registry
from jaxrec.api._evaluate import default_space, evaluate, evaluate_ratings
from jaxrec.cli._choices import Choices
from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._devices import MeshOptions, layout_of, ordered
from jaxrec.cli._help import Guide
from jaxrec.cli._output import emit, note, write_json
from jaxrec.cli._parsing import ComputeOptions, Switch, class_of, optional, parse
from jaxrec.cli._processes import claimed_for_all, nothing_described, over_processes
from jaxrec.cli._resume import (
    check_checkpoints,
    check_same,
    checkpoints_for_all,
    described_run,
    remove_checkpoints,
    resumed,
    run_of,
)
from jaxrec.cli._run_folder import metrics_document, replacing, seeds_document
from jaxrec.cli._source import describe, random_key, read_data, split_data
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.evaluation import DEFAULT_K
from jaxrec.fitting._auto_table import auto_table
from jaxrec.fitting._fit import fit, fit_many
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._mesh_plan import layout_for
from jaxrec.fitting._publishing import log_path
from jaxrec.fitting._storage import restore
from jaxrec.parallel import writes
from jaxrec.progress import work
from jaxrec.ranking._checks import check_list_length
from jaxrec.ranking._topk import users_per_tile
from jaxrec.reports._averages import average_reports
from jaxrec.reports._report import Report
from jaxrec.text import aligned_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitCommand(MeshOptions, ComputeOptions):
    """Options for every model.

    Attributes:
      data: a name of `jaxrec datasets`, or a file of interactions; ratings or clicks, see jaxrec.read.
      model: its name, or package.module:Class; it decides which further options there are, and `--model NAME --help`
        shows them. `auto` tries several models within a stated time, and keeps the best or their blend.
      out: the run folder; by default a new one, runs/DATA-MODEL. A run that is there is replaced, when the new one is
        over; a folder of anything else is refused.
      checkpoint_every: epochs between two checkpoints in the run folder, so that the run can be resumed after any stop;
        none by default. SIGTERM (exit status 75) and Ctrl-C (130) then wait for the end of the epoch, which is kept.
      resume: go on with the run of this folder, with the options that it was started with; other options are refused.
        It gives what a run gives that was never stopped, to the bit. A run that is over is left as it is, with exit
        status 0.
      other_machine: resume also with other devices, cores or versions, where equal bits cannot be promised.
      seed: of initial values, shuffling and negatives.
      seeds: how many seeds are trained, SEED, SEED + 1 and so on, at once in one program. The figures are then their
        means, with the interval over users and the spread over seeds; the run folder keeps the model of the first.
      k: lengths of the lists that are measured.
      no_test: do not measure the test part, while settings are chosen on the validation part; the model is fitted on
        the training and the validation part as ever.
      all_data: fit the saved model on all parts, the test part too, for use; the epochs are those that validation
        chose, and the figures are of validation.
      from_run: a run folder of the same kind of model, to start from: users and items that it knows, by their ids,
        start with its rows, and new ones are drawn as ever.
      no_distances: leave the distances within the lists out, which need a decomposition of the training matrix.
      memory_mb: the most that the scores of a chunk of users may take while lists are measured, in MiB.
    """

    data: Annotated[str, conf.Positional, conf.arg(metavar="DATA")]
    model: Annotated[str, conf.arg(metavar="NAME")] = "lightgcn"
    out: Annotated[str | None, optional("RUN")] = None
    checkpoint_every: Annotated[int | None, optional("N")] = None
    resume: Annotated[str | None, optional("RUN")] = None
    other_machine: Switch = False
    seed: int = 0
    seeds: int = 1
    k: Annotated[tuple[int, ...], conf.arg(aliases=("-k",))] = DEFAULT_K
    no_test: Switch = False
    all_data: Switch = False
    from_run: Annotated[str | None, conf.arg(name="from", metavar="RUN", help_behavior_hint="")] = None
    no_distances: Switch = False
    memory_mb: int = 256
    data_and_split: conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec fit`; see `FitCommand` for the options."""
    started = time.perf_counter()
    again = resumed(argv)
    if again is None:
        choices, command = _parsed(argv)
        if command.other_machine:
            raise JaxrecError("--other-machine goes with --resume RUN; leave it out")
    else:
        kept, own, others = again
        if kept.finished:
            emit({"run": str(kept.folder), "finished": True}, f"the run {kept.folder} is over already", own.json)
            return
        choices, command = _parsed(kept.argv)
        if others:
            check_same(command, _parsed([*kept.argv, *others])[1])
        command = own.onto(kept.on(command))
    name = choices.model_word
    module, model_flags = choices.made(command)
    options, given = choices.options(command)
    callbacks = [registry.make("callback", class_of("callback", word)) for word in given.get("callbacks", ())]
    if command.seeds < 1:
        raise JaxrecError(f"--seeds must be at least 1, got {command.seeds}")
    check_checkpoints(command, choices)
    if choices.chooses and (command.seeds > 1 or command.from_run is not None):
        flag = "--seeds" if command.seeds > 1 else "--from"
        raise JaxrecError(f"{flag} is for one model, and {name} chooses among several; leave it out")
    command = over_processes(command, f"--model {name} tries several models" if choices.chooses else None)
    layout = layout_of(command)
    if (command.devices is not None or layout is not None) and choices.chooses:
        flag = "--node-order" if command.devices is None else "--devices"
        raise JaxrecError(f"{flag} is for one model, and {name} chooses among several; leave it out")
    seeds = range(command.seed, command.seed + command.seeds)
    keys = [random_key(seed, "--seed") for seed in seeds]
    command.start()
    kinds = (choices.model, *choices.parts.values(), *(part for _, part in choices.own.values() if part is not None))
    start = None if command.from_run is None else restore(command.from_run, kinds=kinds)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(claimed_for_all(command.out, command.data, name.rpartition(":")[2].lower()))
        resumable = command.checkpoint_every is not None
        this = run_of(folder, argv, command) if again is None else again[0]
        describing = described_run(this, resumable, command.quiet) if writes() else nothing_described()
        change = stack.enter_context(describing)
        data, data_options = read_data(command.data, command.data_and_split)
        parts = split_data(data, data_options)
        for text in (*parts.train.notes, *parts.notes):
            note(text, command.quiet)
        ranks = choices.chooses or module.task(options.loss) == "ranking"
        _tell_unused_ratings(parts, data_options, ranks, command.quiet)
        k = list_lengths(command.k, parts, command.quiet)
        users_per_tile(parts.train.num_items, max(k), command.memory_mb)  # raises now what would be raised at the end
        source = describe(command.data, data_options, parts)
        change(source=source)
        load_seconds = time.perf_counter() - started
        if command.devices is not None and layout is None:
            layout, why = layout_for(module, parts, options, devices=command.devices, members=command.seeds)
            layout = ordered(layout, command)
            note(f"{layout}: {why}", command.quiet)
        log = log_path(folder) if choices.trained and writes() else None
        how: dict[str, Any] = {
            "init": start,
            "log": log,
            "callbacks": callbacks,
            **({} if layout is None else {"mesh": layout}),
            **checkpoints_for_all(command, folder, again is not None, this.began),
        }
        change(began=True)
        if choices.chooses:
            told = lambda row: note(str(row), command.quiet)  # noqa: E731
            models = [module(parts, refit=options.refit, on_try=told, key=keys[0])]
        elif command.seeds == 1:
            models = [fit(module, parts, options, key=keys[0], **how)]
        else:
            models = fit_many(module, parts, options, keys=keys, **how)
        model = models[0]
        for text in model.info.get("warm_start", {}).get("notes", ()):
            note(text, command.quiet)
        model = dataclasses.replace(model, info={**model.info, "source": source, "seed": command.seed})
        if not writes():  # it takes part in what the first process measures, and writes nothing
            measure_test(command, models, parts, k)
            return
        # Saved before it is measured, so that no training is lost.
        with replacing(model, folder, log) as saved:
            before = time.perf_counter()
            reports = measure_test(command, models, parts, k)
            evaluate_seconds = time.perf_counter() - before if reports else None
            document = metrics_document(
                model,
                reports[0] if reports else None,
                digest=saved.digest,
                source=source,
                config={
                    "model": {"name": name, **model_flags},
                    "fit": {**given, "all_data": command.all_data} if given or command.all_data else None,
                    "evaluate": {"k": k},
                },
                seed=command.seed,
                load_seconds=load_seconds,
                evaluate_seconds=evaluate_seconds,
                started=started,
            )
            if "auto" in model.info:
                document["auto"] = model.info["auto"]
            if command.seeds > 1:
                document["seeds"] = seeds_document(models, reports, seeds)
            write_json(saved.beside("metrics.json"), document)
            _draw(model, saved.beside("learning_curve.png"), command.quiet)
        change(finished=True)
        remove_checkpoints(folder)
    emit({"run": str(folder), **document}, fit_text(command.data, models, reports, seeds, folder), command.json)


def _parsed(argv: Sequence[str]) -> tuple[Choices, Any]:
    """The choices and the options of a command."""
    choices = Choices(argv)
    name = choices.model_word
    words = ", ".join([*registry.names("model"), *registry.names("recipe")])
    guide = Guide(
        f"Train a model on DATA, measure it on the test part, and leave a run folder. Models: {words}.",
        first=("model", "epochs", "columns", "no_header", "min_rating", "test", "k", "out"),
        examples=("jaxrec fit movielens-small --model ease --out runs/ease",),
        named=choices.named(),
        elsewhere=choices.elsewhere,
    )
    return choices, parse(choices.command(FitCommand), argv, f"fit --model {name}", guide)


def list_lengths(asked: Sequence[int], parts: Split, quiet: bool) -> tuple[int, ...]:
    """The lengths of the lists that are measured; the default ones only where the catalog is long enough.

    Raises:
      JaxrecError: no length, or one below 1 or above the number of items.
    """
    items = parts.train.num_items
    if tuple(asked) == DEFAULT_K and items < max(DEFAULT_K):
        asked = [cut for cut in DEFAULT_K if cut <= items] or [items]
        note(f"the catalog has only {items} items, so the lists have {', '.join(map(str, asked))}", quiet)
    if not asked:
        raise JaxrecError("-k names no length; pass one or more, for example -k 10 20")
    for cut in asked:
        check_list_length(cut, items)
    return tuple(asked)


def _tell_unused_ratings(parts: Split, data: DataOptions, ranks: bool, quiet: bool) -> None:
    rated = parts.train.rating is not None and parts.train.rating.min() < parts.train.rating.max()
    if rated and data.min_rating is None and ranks:
        note("every rating counts as a liking, low ones too; --min-rating leaves those below it out", quiet)


def measure_test(command: Any, models: Sequence[FittedModel], parts: Split, k: tuple[int, ...]) -> list[Report]:
    """The reports of the test part, one for each model; none where nothing is measured."""
    if command.no_test or command.all_data:
        return []
    if not len(parts.test):
        note("there is no test part, so nothing was measured on it", command.quiet)
        return []
    if models[0].info["task"] == "rating":
        return [evaluate_ratings(model, parts) for model in models]
    space = None if command.no_distances else default_space(parts)  # once for all models
    reports, how = [], {"memory_mb": command.memory_mb, "mesh": getattr(command, "devices", None)}
    with work("measuring the test part", len(models), unit="models" if len(models) > 1 else ""):
        for model in models:
            with work("", share=1):
                reports.append(evaluate(model, parts, k=k, space=space, **how))
    return reports


def _draw(model: FittedModel, path: pathlib.Path, quiet: bool) -> None:
    """The learning curve, where there is one and matplotlib can draw it."""
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


def fit_text(
    data: str, models: Sequence[FittedModel], reports: Sequence[Report], seeds: Sequence[int], folder: pathlib.Path
) -> str:
    """What is printed of a fit: the data, the figures, the seconds and the run folder."""
    model, several = models[0], len(models) > 1
    took = model.info["seconds"]
    seconds = [f"fit {took['fit']:.1f}"]
    if took["epochs"]:
        seconds.append(
            f"of it compilation {took['compile']:.1f} and {len(took['epochs'])} epochs {sum(took['epochs']):.1f}"
        )
    lines = [f"{data}: {model}", f"seconds: {', '.join(seconds)}"]
    if "auto" in model.info:
        lines.append(auto_table(model))
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
    """A row for each seed: its best epoch, and the values of the test part or, without one, of the validation part."""
    figures = [{name: report.mean(name) for name in report.names} for report in reports]
    figures = figures or [model.info["valid"] for model in models]
    names = [name for name in figures[0] if name in models[0].info["valid"]] or list(figures[0])
    rows = [("seed", "best epoch", *names)]
    for seed, model, values in zip(seeds, models, figures, strict=True):
        rows.append((str(seed), str(model.info["best_epoch"]), *(f"{values[name]:.4f}" for name in names)))
    return aligned_text(rows, right=range(len(rows[0])))
