"""What `auto` tries, in this order: words of the registry with a few settings each, cheapest first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from jaxrec import registry
from jaxrec.errors import JaxrecError
from jaxrec.fitting._options import TrainingOptions
from jaxrec.fitting._plan import is_trained

_MADE = ("loss", "optimizer", "negatives", "regularizer")  # fields of a training that are objects


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A model with settings that `auto` may try.

    Attributes:
      model: its word in the registry; one that is not there is skipped.
      settings: options of the model.
      training: fields of `TrainingOptions`, for a model that is trained; an object is (word, its options).
      operations: (users, items, interactions) -> floating-point operations of a fit, of a model that takes long and
        cannot be stopped; None otherwise.

    >>> Candidate("mf", {"dim": 8}, {"loss": ("softmax", {"temperature": 0.2})}).name
    'mf dim=8, loss=softmax temperature=0.2'
    """

    model: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    operations: Callable[[int, int, int], float] | None = None

    @property
    def name(self) -> str:
        """The word, the options of the model and the loss, for tables."""
        shown = {name: value for name, value in self.training.items() if name == _MADE[0]}
        return " ".join([self.model, ", ".join(_words(*each) for each in {**self.settings, **shown}.items())]).strip()

    def described(self) -> dict[str, Any]:
        """All settings as plain JSON values.

        >>> Candidate("mf", {"dim": 8}, {"loss": ("softmax", {"temperature": 0.2})}).described()
        {'model': 'mf', 'dim': 8, 'loss': 'softmax temperature=0.2'}
        """
        told = {name: _words(name, value, "") if name in _MADE else value for name, value in self.training.items()}
        return {"model": self.model, **self.settings, **told}

    def made(self) -> Any:
        """The model.

        Raises:
          JaxrecError: no such word, or a setting that the model does not have.
        """
        return registry.make("model", self.model, options=self.settings)

    def options(self, model: Any, **shared: Any) -> TrainingOptions | None:
        """How the model is trained; None for one that is solved.

        Args:
          model: see `made`.
          shared: further fields.
        """
        if not is_trained(model):
            return None
        own = {
            name: registry.make(name, value[0], options=value[1]) if name in _MADE else value
            for name, value in self.training.items()
        }
        return TrainingOptions(**{**shared, **own})


def _words(name: str, value: Any, before: str | None = None) -> str:
    before = f"{name}=" if before is None else before
    if name in _MADE:
        return " ".join([f"{before}{value[0]}", *(f"{option}={each}" for option, each in value[1].items())])
    return f"{before}{value}"


def _softmax(temperature: float, **training: Any) -> dict[str, Any]:
    loss = ("softmax", {"temperature": temperature, "logit_adjustment": 1.0})
    how = {"loss": loss, "optimizer": ("adam", {"learning_rate": 0.01}), "regularizer": ("squared", {"weight": 0.0})}
    return {**how, "batch_size": 2048, **training}


def _inverse(users: int, items: int, interactions: int) -> float:
    """Of a Cholesky factor and an inverse, which run at a third of the rate of a product."""
    return 7.0 * items**3


CANDIDATES: tuple[Candidate, ...] = (
    Candidate("popularity"),
    Candidate("itemknn"),
    Candidate("itemknn", {"neighbors": 100, "similarity": "normalized"}),
    Candidate("userknn"),
    *(Candidate("ease", {"l2": l2}, operations=_inverse) for l2 in (300.0, 100.0, 1000.0)),
    Candidate("filter"),
    Candidate("spectral"),
    Candidate("ials"),
    Candidate("mf", {"dim": 64}, _softmax(0.3)),
    Candidate("lightgcn", {"dim": 64, "layers": 1}, _softmax(0.3)),
    Candidate("lightgcn", {"dim": 64, "layers": 2}, _softmax(0.15)),
    Candidate("mf"),
    Candidate("lightgcn"),
)
"""Tried in this order while time is left."""


def built(candidate: Candidate) -> Any:
    """The model of a candidate, or the reason why there is none.

    >>> built(Candidate("ease", {"l2": 5.0})).l2, built(Candidate("no_such_model"))
    (5.0, 'no model of this name is registered')
    """
    if candidate.model not in registry.names("model"):
        return "no model of this name is registered"
    try:
        return candidate.made()
    except JaxrecError as error:
        return str(error)
