"""`jaxrec tune`: search for the settings of a model on the validation part, and print the fit of the best."""

from __future__ import annotations

import dataclasses
import importlib.util
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from tyro import conf

from jaxrec import registry
from jaxrec._checks import digits, kind_of
from jaxrec.cli._choices import NONE, Choices, TrainingFlags
from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._help import Guide
from jaxrec.cli._output import emit, note
from jaxrec.cli._parsing import ComputeOptions, class_of, optional, parse
from jaxrec.cli._source import describe, random_key, read_data, split_data
from jaxrec.errors import JaxrecError
from jaxrec.fitting._search_space import FloatRange, IntRange, Range, value_at
from jaxrec.fitting._study import Trial
from jaxrec.fitting._tuning import tune
from jaxrec.fitting._versions import versions


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuneCommand(ComputeOptions):
    """Options for every model.

    Attributes:
      data: a name of `jaxrec datasets`, or a file of interactions; ratings or clicks, see jaxrec.read.
      model: its name, or package.module:Class; it decides which further options there are, and `--model NAME --help`
        shows them.
      search: FLAG=LOW:HIGH, or FLAG=VALUE,VALUE, for each flag; also FLAG=LOW:HIGH:log, and FLAG=LOW:HIGH:STEP of whole
        numbers. Flags that are not searched keep their values.
      trials: how many settings are drawn and tried; by Optuna, first those of the flags. Without it all combinations of
        values are tried.
      study: a file that keeps the trials; the same command continues them.
      name: of the study in the file.
      seed: of search, initial values, shuffling and negatives.
      seeds: how often each setting is trained; with SEED, SEED + 1 and so on, and the mean counts.
      prune: stop settings early that are worse than the median of the earlier ones; only with --trials.
      together: train so many settings that differ in numbers only by one program; for accelerators.
    """

    data: Annotated[str, conf.Positional, conf.arg(metavar="DATA")]
    model: Annotated[str, conf.arg(metavar="NAME")] = "lightgcn"
    search: Annotated[tuple[str, ...], optional("RANGE ...")] = ()
    trials: Annotated[int | None, optional("N")] = None
    study: Annotated[str | None, optional("FILE")] = None
    name: Annotated[str, conf.arg(metavar="NAME")] = "study"
    seed: int = 0
    seeds: int = 1
    prune: bool = True
    together: int = 1
    data_and_split: conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)


_OWN = ("search", "trials", "study", "name", "seeds", "together")  # not of the fit that is printed
_SWITCHES = ("prune", "json", "quiet")
_SEVERAL = ("search",)
_SEARCHED = (
    *("loss", "negatives", "regularizer", "optimizer", "weights", "batch_size", "epochs", "reduction", "tolerance"),
)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec tune`; see `TuneCommand` for the options."""
    choices = Choices(argv)
    word = choices.model_word
    if choices.chooses:
        raise JaxrecError(
            f"{word} chooses models and settings itself; tune one of {', '.join(registry.names('model'))}"
        )
    command = parse(choices.command(TuneCommand), argv, f"tune --model {word}", _guide(choices))
    model, _ = choices.made(command)
    options, given = choices.options(command)
    callbacks = [registry.make("callback", class_of("callback", each)) for each in given.get("callbacks", ())]
    paths = flags_of(choices, command.search)
    space = {
        path: range_of(flag, text, value_or_none(model, options, path), kind_at(model, options, path))
        for flag, text, path in paths
    }
    if not space:
        raise JaxrecError("--search names no flag; pass one or more, for example --search dim=16:128:log")
    ranges = [flag for flag, _, path in paths if isinstance(space[path], (IntRange, FloatRange))]
    if command.trials is None and ranges:
        raise JaxrecError(f"--search {ranges[0]} is a range; pass --trials N too")
    given = [flag for flag, value in (("--trials", command.trials), ("--study", command.study)) if value is not None]
    if given and importlib.util.find_spec("optuna") is None:
        raise JaxrecError(
            f"{given[0]} needs Optuna: pip install 'jaxrec[tune]'; without --trials and --study every combination of "
            "lists is tried, for example --search dim=16,32,64"
        )
    if command.seeds < 1:
        raise JaxrecError(f"--seeds must be at least 1, got {command.seeds}")
    keys = [random_key(seed, "--seed") for seed in range(command.seed, command.seed + command.seeds)]
    command.start()
    data, data_options = read_data(command.data, command.data_and_split)
    parts = split_data(data, data_options)
    for text in (*parts.train.notes, *parts.notes):
        note(text, command.quiet)
    if not len(parts.valid):
        raise JaxrecError("a search is decided by the validation part, and the split has none; pass --valid 0.1")
    study = tune(
        model,
        parts,
        space,
        options,
        key=keys,
        trials=command.trials,
        prune=None if command.trials is None else command.prune,
        together=command.together,
        file=command.study,
        name=command.name,
        callbacks=callbacks,
        on_trial=lambda trial: _tell(trial, command.quiet),
    )
    best = {flag: study.best.settings[path] for flag, _, path in paths if path in study.best.settings}
    line = shlex.join(["jaxrec", "fit", *fit_words(argv, best)])
    document = {
        **study.to_dict(),
        "command": line,
        "source": describe(command.data, data_options, parts),
        "seed": command.seed,
        "versions": versions(),
    }
    emit(document, f"{study}\n\nthe best, fitted and measured on the test part:\n{line}", command.json)


def _guide(choices: Choices) -> Guide:
    """What the help says of a search over the options of a model."""
    return Guide(
        "Search for the settings of a model that are best on the validation part of DATA; the test part is not read.",
        first=("model", "search", "trials", "study", "seed", "seeds", "min_rating", "k_core", "json"),
        examples=("jaxrec tune movielens-small --model ease --search l2=10,100,1000",),
        named=choices.named(),
        elsewhere=choices.elsewhere,
    )


def flags_of(choices: Choices, words: Sequence[str]) -> list[tuple[str, str, str]]:
    """(flag, text of its range, path) of the words after --search.

    Raises:
      JaxrecError: a word without =, a flag that the choices do not have or that two of their groups have.

    >>> flags_of(Choices(["--model", "mf"]), ["l2=1e-4:1e-1:log", "dim=8,16"])
    [('l2', '1e-4:1e-1:log', 'regularizer.weight'), ('dim', '8,16', 'model.dim')]
    """
    pairs = [word.partition("=") for word in words]
    for word, (flag, mark, text) in zip(words, pairs, strict=True):
        if not (flag and mark and text):
            raise JaxrecError(f"--search {word!r} is no FLAG=RANGE; write for example dim=16:128:log or dim=16,32,64")
    named = {flag.replace("-", "_"): text for flag, _, text in pairs}
    owners: list[tuple[str, type]] = [("model", choices.model), *choices.parts.items()]
    for kind in choices.parts:  # those that are searched have flags too
        listed = named.get(kind, "").split(",")
        owners += [(kind, class_of(kind, each)) for each in listed if each not in ("", NONE) and digits(each) is None]
    places: dict[str, list[str]] = {}
    if choices.trained:
        places = {field.name: [field.name] for field in dataclasses.fields(TrainingFlags) if field.name in _SEARCHED}
    for root, owner in owners:
        for field in dataclasses.fields(owner):
            if "objects" in field.metadata or field.metadata.get("flag", "") is None:
                continue  # no range is of objects
            place, own = f"{root}.{field.name}", str(field.metadata.get("flag", field.name))
            for name in {own, place}:
                known = places.setdefault(name, [])
                known += [place] if place not in known else []
    found = []
    for flag, text in named.items():
        known = places.get(flag, [])
        if len(known) != 1:
            what = (
                f"names {' and '.join(known)}; write one of these" if known else f"is none; there are {_list(places)}"
            )
            raise JaxrecError(f"--search {flag}: the flag {what}")
        found.append((flag, text, known[0]))
    return found


def range_of(flag: str, text: str, default: Any, kind: type | None = None) -> Range:
    """The range of a text; the kind of its option, or its default, says whether it is of whole numbers.

    Raises:
      JaxrecError: a text that is no range.

    >>> range_of("dim", "16:128:log", 64), range_of("l2", "0:1", 0.01), range_of("similarity", "cosine,dot", "dot")
    (IntRange(low=16, high=128, log=True, step=1), FloatRange(low=0.0, high=1.0, log=False), ('cosine', 'dot'))
    """
    if kind is None and isinstance(default, (bool, int, float)):
        kind = type(default)
    if ":" not in text:
        return tuple(_value(flag, each, default, kind) for each in text.split(","))
    low, high, *rest = text.split(":")
    ends = [_value(flag, end, default, kind) for end in (low, high)]
    log, more = "log" in rest, [each for each in rest if each != "log"]
    if all(isinstance(end, (int, float)) for end in ends):
        if ends[0] > ends[1]:
            turned = ":".join([high, low, *rest])
            raise JaxrecError(f"--search {flag}={text}: {low} is above {high}; write {flag}={turned}")
        if log and not ends[0] > 0:
            raise JaxrecError(f"--search {flag}={text}: a range with log starts above 0, got {low}; leave log out")
    if all(isinstance(end, int) for end in ends) and len(more) <= 1:
        step = _value(flag, more[0], 1, int) if more else 1
        return IntRange(ends[0], ends[1], log=log, step=step)
    if more or any(isinstance(end, (bool, str)) or end is None for end in ends):
        raise JaxrecError(f"--search {flag}={text} is no range; write LOW:HIGH, LOW:HIGH:log, or VALUE,VALUE,...")
    return FloatRange(float(ends[0]), float(ends[1]), log=log)


def fit_words(argv: Sequence[str], best: dict[str, Any]) -> list[str]:
    """The words of `jaxrec fit` for what was found: those of `jaxrec tune` without its own, and the best values.

    >>> fit_words(["a.csv", "--model", "mf", "--search", "dim=8,16", "--dim", "4", "--json"], {"dim": 16})
    ['a.csv', '--model', 'mf', '--dim', '16']
    """
    switches = {*_SWITCHES, *(flag for flag, value in best.items() if isinstance(value, bool))}
    words: list[str] = []
    name = ""  # of a flag whose values are dropped
    for word in argv:
        if word.startswith("--"):
            name, mark, _ = word.removeprefix("--").replace("-", "_").partition("=")
            known = name in _OWN or name in best or (name := name.removeprefix("no_")) in switches
            words += [] if known else [word]
            name = name if known and not mark and name not in switches else ""
        elif not name or (name in _SEVERAL and "=" not in word):
            words.append(word)
            name = ""
        elif name not in _SEVERAL:
            name = ""
    for flag, value in best.items():
        name = flag.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{name}")
        elif value is not None:
            words += [f"--{name}", str(value)]
    return words


def value_or_none(model: Any, options: Any, path: str) -> Any:
    """What stands at a path; None where only another choice has it."""
    try:
        return value_at(model, options, path)
    except AttributeError:
        return None


def kind_at(model: Any, options: Any, path: str) -> type | None:
    """The kind of number or switch that an option at a path takes; None for any other, and where there is none."""
    above, _, name = path.rpartition(".")
    owner = options if not above else value_or_none(model, options, above)
    return kind_of(owner, name)


_READ: Mapping[type, tuple[Callable[[str], Any], str]] = {
    bool: (lambda word: {"true": True, "false": False}[word.lower()], "neither true nor false"),
    int: (int, "no whole number"),
    float: (float, "no number"),
}


def _value(flag: str, text: str, default: Any, kind: type | None) -> Any:
    """One value of an option, of its kind, or of the first kind that reads it."""
    if default is None and text.lower() == "none":
        return None
    if kind is not None and kind in _READ:
        read, what = _READ[kind]
        try:
            return read(text)
        except (ValueError, KeyError):
            raise JaxrecError(f"--search {flag}: {text!r} is {what}") from None
    for read in () if isinstance(default, str) else (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _list(places: dict[str, list[str]]) -> str:
    hidden = ("parent", "name", "num_users", "num_items")
    return ", ".join(name.replace("_", "-") for name in places if "." not in name and name not in hidden)


def _tell(trial: Trial, quiet: bool) -> None:
    value = trial.error if trial.value is None else f"{trial.value:.4f}"
    settings = ", ".join(f"{path} {setting}" for path, setting in trial.settings.items())
    note(f"trial {trial.number}: {value} ({settings}; {trial.state}, {trial.seconds:.1f} s)", quiet)
