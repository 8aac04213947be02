"""What the words of a command choose: model, loss, sampler and the like, and the options that each brings along."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from tyro import conf

from jaxrec import registry
from jaxrec._checks import digits
from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._mistakes import Owners, flags_in
from jaxrec.cli._objects import with_objects
from jaxrec.cli._parsing import class_of, optional, summary_of, twin, values_of, word_of
from jaxrec.errors import JaxrecError
from jaxrec.fitting._options import TrainingOptions
from jaxrec.fitting._plan import is_trained
from jaxrec.fitting._validation import Validation
from jaxrec.losses import SquaredError

T = TypeVar("T")

_PLAIN = TrainingOptions()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingFlags:
    """Options of the training; `--loss NAME --help` shows those of another loss, and likewise for the other choices.

    Attributes:
      loss: its name, or package.module:Class.
      negatives: a number of uniform negatives for each positive, or the name of a sampler, or package.module:Class; by
        default what the loss has.
      regularizer: its name, package.module:Class, or none.
      optimizer: its name, or package.module:Class.
      weights: the name of a rule for the weight of each interaction, time_decay or rating_confidence, or
        package.module:Class; by default all weigh the same.
      batch_size: positives in a step; by default 1,024, and up to 8,192 for much data with in-batch softmax.
      epochs: passes over the interactions, at the most.
      reduction: minimize the mean or the sum over the rows of a batch.
      tolerance: stop when the loss summed over an epoch changes by less than this; 0 never stops so.
      eval_every: epochs between two validations.
      patience: stop after so many validations without a new best; 0 never stops early.
      monitor: the validation metric to watch, such as recall@50; by default ndcg@10, or rmse for ratings.
      item_categories: a column of the items such as genres, where miscalibration or category coverage is watched.
      validate: measure the validation part while training; without it, both parts are trained on for all epochs.
      refit: train again on training and validation part, with the number of epochs that validation chose.
      callbacks: names, or package.module:Class, of what is told of every epoch, such as tensorboard.
    """

    loss: Annotated[str, conf.arg(metavar="NAME")] = registry.name_of("loss", _PLAIN.loss)
    negatives: Annotated[str | None, optional("N|NAME")] = None
    regularizer: Annotated[str, conf.arg(metavar="NAME")] = registry.name_of("regularizer", _PLAIN.regularizer)
    optimizer: Annotated[str, conf.arg(metavar="NAME")] = registry.name_of("optimizer", _PLAIN.optimizer)
    weights: Annotated[str | None, optional("NAME")] = None
    batch_size: Annotated[int | None, optional("N")] = _PLAIN.batch_size
    epochs: int = _PLAIN.epochs
    reduction: Literal["mean", "sum"] = _PLAIN.reduction
    tolerance: float = _PLAIN.tolerance
    eval_every: int = Validation().every
    patience: int = Validation().patience
    monitor: Annotated[str | None, optional("METRIC@K")] = None
    item_categories: Annotated[str | None, optional("COLUMN")] = None
    validate: bool = True
    refit: bool = True
    callbacks: Annotated[tuple[str, ...], optional("NAME ...")] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SolvedFlags:
    """Options of a model that is solved.

    Attributes:
      validate: measure the validation part; without it, the model is solved once, on both parts.
      refit: solve again on training and validation part, after the validation part was measured.
    """

    validate: bool = True
    refit: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskFlags(SolvedFlags):
    """Options of a model that is solved, and may predict ratings.

    Attributes:
      loss: mse predicts ratings from the observed ones; by default all pairs are factorized, to rank.
      rating_scale: the lowest and the highest rating that there can be; by default the extremes of the training part.
      validate: measure the validation part; without it, the model is solved once, on both parts.
      refit: solve again on training and validation part, after the validation part was measured.
    """

    loss: Annotated[Literal["mse"] | None, optional("{mse}")] = None
    rating_scale: Annotated[tuple[float, float] | None, optional("LOW HIGH")] = None


NONE = "none"  # the word for no regularizer
_CHOICES = ("loss", "negatives", "regularizer", "optimizer", "weights")


class Choices:
    """The classes that the words of a command choose, and the command that has their options.

    >>> choices = Choices(["ratings.csv", "--model", "mf", "--loss", "softmax"])
    >>> [field.name for field in dataclasses.fields(choices.command(DataOptions))][-5:]
    ['model_options', 'training', 'loss_options', 'regularizer_options', 'optimizer_options']
    """

    def __init__(self, argv: Sequence[str]) -> None:
        self.model_word = word_of(argv, "--model", "lightgcn")
        self.chooses = self.model_word in registry.names("recipe")
        """Whether the word is of a recipe, which chooses among models itself."""
        self.model = class_of("recipe", self.model_word) if self.chooses else _model_of(self.model_word)
        self.parts: dict[str, type] = {}
        """Of the training, by kind."""
        self.own: dict[str, tuple[str, type | None]] = {}
        """Of the model: the field to the word that chooses its object, and the class of this word."""
        self.trained = self.rates = False
        if self.chooses:
            return
        made = self.model if not dataclasses.is_dataclass(self.model) else _anyhow(self.model)
        self.trained = is_trained(made)
        self.own = _own_parts(self.model, argv)
        # A model that is solved says by its answer to a loss of ratings whether there is a choice.
        self.rates = not self.trained and made.task(SquaredError()) != made.task(None)
        for kind in _CHOICES if self.trained else ():
            word = word_of(argv, f"--{kind}", getattr(TrainingFlags, kind, None) or "")
            if word and word != NONE and digits(word) is None:
                self.parts[kind] = class_of(kind, word)

    def groups(self) -> list[tuple[str, type]]:
        """The groups of options that these choices have, by the names of their fields in the command."""
        groups = [("model_options", twin(self.model, "ModelOptions", summary_of(self.model)))]
        if self.own:
            groups.append(("model_choices", _choosing(self.own)))
        groups += [(f"{name}_options", _twin(name, part)) for name, (_, part) in self.own.items() if part is not None]
        if self.trained:
            groups.append(("training", TrainingFlags))
            groups += [(f"{kind}_options", _twin(kind, part)) for kind, part in self.parts.items()]
        else:
            groups.append(("training", TaskFlags if self.rates else SolvedFlags))
        return groups

    def command(self, base: type[T]) -> type[T]:
        """The options of `fit`, or of another command, for these choices."""
        taken: set[str] = {field.name for owner in (base, DataOptions) for field in dataclasses.fields(owner)}  # pyright: ignore[reportArgumentType]
        nested = []
        for name, group in self.groups():
            flags = {str(field.metadata.get("flag", field.name)) for field in dataclasses.fields(group)}
            # A flag that another group has gets the group's name in front of it.
            kind: Any = group if flags & taken else conf.OmitArgPrefixes[group]
            taken |= flags
            nested.append((name, kind, dataclasses.field(default=_anyhow(group))))
        return dataclasses.make_dataclass(
            base.__name__, nested, bases=(base,), frozen=True, kw_only=True, namespace={"__doc__": base.__doc__}
        )

    def named(self) -> dict[str, str]:
        """The groups whose options are those of these choices, and the flag and word that chose each.

        >>> Choices(["ratings.csv", "--model", "mf"]).named()
        {'model_options': '--model mf', 'loss_options': '--loss softmax'}
        """
        loss = (
            {"loss_options": f"--loss {registry.name_of('loss', self.parts['loss'])}"} if "loss" in self.parts else {}
        )
        return {"model_options": f"--model {self.model_word}", **loss}

    def elsewhere(self) -> Iterator[Owners]:
        """Who has options that these choices have not: other choices of this model, other models, choices of those.

        >>> tiers = list(Choices(["--model", "itemknn"]).elsewhere())
        >>> [title for title, flags in tiers[1] if "--layers" in flags][:2]
        ['--model lightgcn', '--model lightgcnpp']
        """
        parts = [each for kind in _CHOICES for each in _owners(kind)]
        yield [*(each for field in self.own for each in _owners(field)), *(parts if self.trained else ())]
        words = [name for kind in ("model", "recipe") for name in registry.names(kind, installed=False)]
        others = {word: Choices(["--model", word]) for word in words if word != self.model_word}
        yield [
            (f"--model {word}", frozenset().union(*(flags_in(group) for _, group in each.groups())))
            for word, each in others.items()
        ]
        fields = dict.fromkeys(field for each in others.values() for field in each.own if field not in self.own)
        yield [*(each for field in fields for each in _owners(field)), *(() if self.trained else parts)]

    def made(self, command: Any) -> tuple[Any, dict[str, Any]]:
        """The model, or the recipe, and the flags that it comes from."""
        flags = values_of(command.model_options)
        own: dict[str, Any] = {}
        for name, (word, part) in self.own.items():
            its = {} if part is None else values_of(getattr(command, f"{name}_options"))
            if part is not None:
                own[name] = part(**with_objects(part, its))
            flags |= {name: word or None, **its}
        return self.model(**with_objects(self.model, values_of(command.model_options)), **own), flags

    def options(self, command: Any) -> tuple[TrainingOptions, Mapping[str, Any]]:
        """The options of the training, and the flags that they come from."""
        flags = getattr(command, "training", None)
        refit: dict[str, Any] = {"refit": "all"} if getattr(command, "all_data", False) else {}
        if flags is None:
            return TrainingOptions(**refit), {}
        if not self.trained:
            rated = getattr(flags, "loss", None) is not None
            loss: dict[str, Any] = {"loss": SquaredError(flags.rating_scale)} if rated else {}
            unmeasured: dict[str, Any] = {} if flags.validate else {"validation": None}
            return TrainingOptions(**{"refit": flags.refit, **loss, **unmeasured, **refit}), values_of(flags)
        given = {kind: values_of(getattr(command, f"{kind}_options")) for kind in self.parts}
        made = {kind: part(**with_objects(part, given[kind])) for kind, part in self.parts.items()}
        if flags.regularizer == NONE:
            made["regularizer"] = None
        number = None if flags.negatives is None else digits(flags.negatives)
        if number is not None:
            made["negatives"] = number or None  # 0.1 said "none" by 0
        validation = (
            Validation(flags.eval_every, flags.patience, flags.monitor, item_categories=flags.item_categories)
            if flags.validate
            else None
        )
        shared = {name: getattr(flags, name) for name in ("batch_size", "epochs", "reduction", "tolerance", "refit")}
        options = TrainingOptions(**{**made, **shared, "validation": validation, **refit})
        return options, {**values_of(flags), **{name: value for own in given.values() for name, value in own.items()}}


def _owners(kind: str) -> Owners:
    """The words of a choice, and the flags that each brings along."""
    flag = f"--{kind.replace('_', '-')}"
    known = registry.names(kind, installed=False)
    return [(f"{flag} {name}", flags_in(_twin(kind, class_of(kind, name)))) for name in known]


def _twin(kind: str, part: type) -> type:
    """The options of an object that a word chooses."""
    return twin(part, f"{kind.capitalize()}Options", summary_of(part))


def _model_of(word: str) -> type:
    """The class of a model; a message about another name has those of recipes too."""
    known = [*registry.names("model"), *registry.names("recipe")]
    if ":" not in word and word not in known:
        raise JaxrecError(registry.no_such("model", word, known, outside=True))
    return class_of("model", word)


def _own_parts(model: type, argv: Sequence[str]) -> dict[str, tuple[str, type | None]]:
    """The objects among a model's options that a word chooses: field to word and class; no word is no object.

    >>> {name: word for name, (word, _) in _own_parts(class_of("model", "spectral"), []).items()}
    {'head': 'network'}
    """
    own: dict[str, tuple[str, type | None]] = {}
    for field in dataclasses.fields(model) if dataclasses.is_dataclass(model) else ():
        kind = field.metadata.get("choice")
        if kind is None:
            continue
        default = "" if field.default is None else registry.name_of(kind, field.default)
        word = word_of(argv, f"--{field.name.replace('_', '-')}", default)
        own[field.name] = word, class_of(kind, word) if word else None
    return own


def _choosing(own: Mapping[str, tuple[str, type | None]]) -> type:
    """The flags whose words choose objects of the model."""
    fields: list[Any] = []
    for name, (word, _) in own.items():
        hint: Any = Annotated[str, conf.arg(metavar="NAME")] if word else Annotated[str | None, optional("NAME")]
        fields.append((name, hint, dataclasses.field(default=word or None)))
    lines = [
        f"  {name}: one of {', '.join(registry.names(name))}, or package.module:Class; "
        f"`--{name} NAME --help` shows its options."
        for name in own
    ]
    text = "\n".join(["Objects of the model that a word chooses.", "", "Attributes:", *lines])
    return dataclasses.make_dataclass("ModelChoices", fields, frozen=True, kw_only=True, namespace={"__doc__": text})


def _anyhow(kind: type) -> Any:
    """An object of a class of options with its defaults; MISSING where a field has none, for the parser to ask."""
    missing = any(
        field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        for field in dataclasses.fields(kind)
    )
    return dataclasses.MISSING if missing else kind()
