"""The paper's settings, the settings chosen on the validation nodes, and their grid."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Literal

from jaxrec.errors import JaxrecError

Selection = Literal["last", "loss", "accuracy"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """The training of a network. The defaults are the paper's.

    Attributes:
      hidden: width of the hidden layer.
      dropout: share of dropped entries, of the features and of the hidden layer.
      l2: coefficient of half the squared entries of the first layer's weights.
      learning_rate: learning rate of Adam.
      epochs: maximum number of epochs.
      window: stop when the validation loss exceeds its mean over the last `window` epochs; 0 never stops early.
      selection: the reported epoch: the "last" one, or the first with the best validation "loss" or "accuracy".

    References:
      Kipf and Welling, ICLR 2017, section 5.2; the stopping rule is that of the authors' code.
    """

    hidden: int = 16
    dropout: float = 0.5
    l2: float = 5e-4
    learning_rate: float = 0.01
    epochs: int = 200
    window: int = 10
    selection: Selection = "last"

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("window", 0), ("l2", 0)):
            if getattr(self, name) < least:
                raise JaxrecError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise JaxrecError(f"learning_rate must be positive, got {self.learning_rate}")
        if self.selection not in ("last", "loss", "accuracy"):
            raise JaxrecError(f'selection must be "last", "loss" or "accuracy", got {self.selection!r}')


PAPER = Settings()

# Chosen by `python -m experiments.planetoid --dataset NAME --tune`; see the README.
TUNED: dict[str, Settings] = {
    "cora": Settings(hidden=32, dropout=0.8, l2=1e-4, learning_rate=0.02, window=0, selection="loss"),
    "citeseer": Settings(hidden=64, dropout=0.5, l2=2e-3, learning_rate=0.01, window=0, selection="loss"),
}


def grid() -> list[Settings]:
    """List the candidates for the validation nodes; each is measured with every selection."""
    return [
        Settings(hidden=hidden, dropout=dropout, l2=l2, learning_rate=rate, window=0)
        for hidden, dropout, l2, rate in itertools.product(
            (16, 32, 64), (0.5, 0.8, 0.9), (1e-4, 5e-4, 2e-3), (0.01, 0.02)
        )
    ]
