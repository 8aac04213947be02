"""`FitOptions`, the options of 0.1: one flat table for all losses, kept until 0.3."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from jaxrec.errors import JaxrecError
from jaxrec.fitting._options import TrainingOptions
from jaxrec.fitting._validation import Validation
from jaxrec.losses import BPR, InBatchSoftmax, Logistic, NormL2, SampledSoftmax, SquaredError, SquaredL2
from jaxrec.sampling import Uniform
from jaxrec.training import SGD, Adagrad, Adam

_WORDS = {"none": "keep", "item": "same_item", "seen": "seen"}  # mask_hits


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """The options of 0.1; use `TrainingOptions`, or the keywords of `jaxrec.fit`.

    Raises:
      JaxrecError: an unknown word, or an option that the loss has no use for.

    Warns:
      DeprecationWarning: always.

    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     FitOptions(loss="softmax", negatives=8, temperature=0.2).training().loss
    SampledSoftmax(temperature=0.2, similarity='cosine', logq_correction=False, logit_adjustment=None)
    """

    loss: str = "bpr"
    batch_size: int = 1024
    learning_rate: float = 5e-3
    decay: float = 1.0
    optimizer: str = "adam"
    momentum: float = 0.0
    sparse: bool = False
    reduction: str = "mean"
    l2: float = 1e-2
    l2_form: str = "squared"
    negatives: int = 1
    temperature: float = 0.12
    cosine: bool = True
    groups: int = 1
    mask_hits: str = "none"
    correct_popularity: bool = False
    popularity_prior: float | None = None
    epochs: int = 100
    eval_every: int = 5
    patience: int = 4
    monitor: str = "ndcg@10"
    tolerance: float = 0.0
    rating_scale: tuple[float, float] | None = None
    validate: bool = True
    refit: bool = True

    def __post_init__(self) -> None:
        warnings.warn(
            "FitOptions is a name of 0.1 and goes in 0.3; pass TrainingOptions, or keywords such as loss=BPR()",
            DeprecationWarning,
            stacklevel=3,
        )
        values = dataclasses.asdict(self)
        used = {*_USED[_loss(values)], *_ALWAYS}
        unused = [field.name for field in dataclasses.fields(self) if field.name not in used]
        unused = [name for name in unused if values[name] != getattr(type(self), name)]
        if unused:
            raise JaxrecError(f"loss={self.loss!r} has no use for {', '.join(unused)}; leave them out")
        self.training()

    def training(self) -> TrainingOptions:
        """The same as objects."""
        return from_old(dataclasses.asdict(self))


_ALWAYS = (
    *("loss", "batch_size", "learning_rate", "decay", "optimizer", "momentum", "sparse", "reduction", "l2", "l2_form"),
    *("epochs", "eval_every", "patience", "monitor", "tolerance", "validate", "refit"),
)
_USED = {
    "bpr": ("negatives",),
    "logistic": ("negatives",),
    "mse": ("negatives", "rating_scale"),
    "softmax": ("negatives", "temperature", "cosine"),
    "softmax in the batch": (
        *("negatives", "temperature", "cosine", "groups", "mask_hits", "correct_popularity", "popularity_prior"),
    ),
}


def from_old(values: Mapping[str, Any]) -> TrainingOptions:
    """The options of 0.1, as a run folder has them, as objects. What its loss had no use for is left out.

    Raises:
      JaxrecError: an unknown word, or a value out of range.

    >>> from_old({"loss": "bpr", "l2": 0.5, "negatives": 2}).regularizer
    SquaredL2(weight=0.5)
    """
    plain = {field.name: field.default for field in dataclasses.fields(FitOptions)}
    if unknown := [name for name in values if name not in plain]:
        raise JaxrecError(f"0.1 had no option {', '.join(unknown)}")
    old = {**plain, **values}
    for name, words in (
        ("optimizer", ("adam", "sgd", "adagrad")),
        ("l2_form", ("squared", "norm")),
        ("mask_hits", tuple(_WORDS)),
    ):
        if old[name] not in words:
            raise JaxrecError(f"{name} must be one of {', '.join(words)}, got {old[name]!r}")
    if old["negatives"] < 0:
        raise JaxrecError(f"negatives must be at least 0, got {old['negatives']}")
    softmax = {"temperature": old["temperature"], "similarity": "cosine" if old["cosine"] else "dot"}
    losses = {
        "bpr": BPR,
        "logistic": Logistic,
        "mse": lambda: SquaredError(None if old["rating_scale"] is None else tuple(old["rating_scale"])),
        "softmax": lambda: SampledSoftmax(**softmax),
        "softmax in the batch": lambda: InBatchSoftmax(
            **softmax,
            chunks=old["groups"],
            accidental_hits=_WORDS[old["mask_hits"]],  # pyright: ignore[reportArgumentType]
            logq_correction=old["correct_popularity"],
            logit_adjustment=old["popularity_prior"],
        ),
    }
    loss = losses[_loss(old)]()
    drawn = "negatives" in _USED[_loss(old)] and loss.default_negatives() is not None
    if drawn and not old["negatives"]:
        raise JaxrecError(f"negatives=0 leaves the loss {old['loss']!r} nothing to compare with; use 1 or more")
    sampler = Uniform(old["negatives"]) if drawn else None
    rate = {
        "learning_rate": old["learning_rate"],
        "decay": None if old["decay"] == 1 else old["decay"],
        "sparse": old["sparse"],
    }
    optimizers = {
        "adam": lambda: Adam(**rate),
        "adagrad": lambda: Adagrad(**rate),
        "sgd": lambda: SGD(**rate, momentum=old["momentum"] or None),
    }
    if old["momentum"] and old["optimizer"] not in ("sgd",):
        raise JaxrecError(f'momentum goes with "sgd" only, got {old["momentum"]} with {old["optimizer"]!r}')
    if not old["l2"] >= 0:
        raise JaxrecError(f"l2 must not be negative, got {old['l2']}")
    form = {"squared": SquaredL2, "norm": NormL2}[old["l2_form"]]
    watched = None if old["monitor"] == plain["monitor"] else old["monitor"]
    return TrainingOptions(
        loss=loss,
        regularizer=form(old["l2"]) if old["l2"] else None,
        negatives=None if sampler == loss.default_negatives() else sampler,
        optimizer=optimizers[old["optimizer"]](),
        batch_size=old["batch_size"],
        epochs=old["epochs"],
        reduction=old["reduction"],
        tolerance=old["tolerance"],
        validation=Validation(old["eval_every"], old["patience"], watched) if old["validate"] else None,
        refit=old["refit"],
    )


def _loss(values: Mapping[str, Any]) -> str:
    """The kind of loss of 0.1: its word, and with softmax whether negatives were drawn."""
    word = values["loss"]
    if word not in _USED or " " in word:
        raise JaxrecError(f'loss must be "bpr", "softmax", "logistic" or "mse", got {word!r}')
    in_batch = f"{word} in the batch"
    return in_batch if in_batch in _USED and not values["negatives"] else word


def old_lists(options: TrainingOptions, **given: Sequence[float] | None) -> dict[str, list[Any]]:
    """Lists of objects, from the lists of numbers that 0.1 had.

    >>> old_lists(TrainingOptions(), l2=None)
    {}
    """
    places = {"learning_rate": ("optimizer", "learning_rate"), "l2": ("regularizer", "weight")}
    lists = {}
    for name, values in given.items():
        if values is None:
            continue
        field, number = places.get(name, ("loss", name))
        thing = getattr(options, field)
        if not any(each.name == number for each in dataclasses.fields(thing)):
            raise JaxrecError(f"{type(thing).__name__} has no {number}; leave {name} out, or choose another {field}")
        warnings.warn(
            f"fit_many's {name} is a name of 0.1 and goes in 0.3; pass {field}=[...], a list of S objects",
            DeprecationWarning,
            stacklevel=3,
        )
        lists[field] = [dataclasses.replace(thing, **{number: float(value)}) for value in values]
    return lists
