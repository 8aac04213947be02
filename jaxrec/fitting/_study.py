"""The result of a search: its trials, the best of them, and a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.fitting._options import TrainingOptions
from jaxrec.text import aligned_text

State = Literal["complete", "pruned", "failed"]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One setting that was tried.

    Attributes:
      number: from 0.
      settings: path to value, numbers and words as they are, objects by a short label.
      value: of the monitored metric, the mean over the keys; of a pruned trial its best until then, None of a failed
        one.
      state: "complete", "pruned" (stopped early, since it was worse than others at that epoch) or "failed".
      seconds: that it took; of trials in one program an equal share.
      values: the value of each key.
      epochs: the best epoch of each key; 0 of a model that is solved.
      error: the message of a failed trial.

    >>> Trial(0, {"model.dim": 64}, 0.31, "complete", 2.5).error
    ''
    """

    number: int
    settings: Mapping[str, Any]
    value: float | None
    state: State
    seconds: float
    values: tuple[float, ...] = ()
    epochs: tuple[int, ...] = ()
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Study:
    """What a search found. `jaxrec.fit(study.model, split, study.options, key=key)` fits the best setting.

    Attributes:
      trials: in the order in which they were started.
      monitor: the metric on the validation part that decided.
      higher_is_better: whether more of it is better.
      model: of the best setting.
      options: of the best setting, with the validation and the refit that the search was given.

    >>> trials = (Trial(0, {"model.l2": 1.0}, 0.2, "complete", 0.1), Trial(1, {"model.l2": 2.0}, 0.3, "complete", 0.1))
    >>> study = Study(trials, "ndcg@10", True, None, TrainingOptions())
    >>> study.best.settings
    {'model.l2': 2.0}
    >>> print(study)
    trial  ndcg@10  model.l2  epochs  seconds  state
        0   0.2000         1              0.1  complete
        1   0.3000         2              0.1  complete, the best
    """

    trials: tuple[Trial, ...]
    monitor: str
    higher_is_better: bool
    model: Any
    options: TrainingOptions

    @property
    def best(self) -> Trial:
        """The best complete trial, the first of equals."""
        return best_of(self.trials, self.higher_is_better)

    def to_dict(self) -> dict[str, Any]:
        """The study as plain JSON values.

        >>> trials = (Trial(0, {"model.l2": 1.0}, 0.2, "complete", 0.1),)
        >>> Study(trials, "ndcg@10", True, None, TrainingOptions()).to_dict()["best"]
        0
        """
        trials = [dataclasses.asdict(trial) for trial in self.trials]
        return {"monitor": self.monitor, "best": self.best.number, "trials": trials}

    def to_frame(self) -> Any:
        """The trials as a pandas DataFrame, a row each and a column for each path."""
        import pandas

        rows = [{**dataclasses.asdict(trial), **trial.settings} for trial in self.trials]
        return pandas.DataFrame(rows).drop(columns=["settings"])

    def __str__(self) -> str:
        return trial_table(self.trials, self.monitor, self.best.number)


def best_of(trials: Sequence[Trial], higher_is_better: bool) -> Trial:
    """The best complete trial.

    Raises:
      JaxrecError: none is complete; the message has the first failure.
    """
    complete = [trial for trial in trials if trial.value is not None and trial.state == "complete"]
    if not complete:
        first = next((trial.error for trial in trials if trial.error), "all were pruned")
        raise JaxrecError(f"none of the {len(trials)} trials came to an end; the first: {first}")
    values = np.array([trial.value for trial in complete])
    return complete[int(np.argmax(values if higher_is_better else -values))]


def trial_table(trials: Sequence[Trial], monitor: str, best: int | None = None) -> str:
    """The trials in aligned columns."""
    paths = list(dict.fromkeys(path for trial in trials for path in trial.settings))
    rows = [("trial", monitor, *paths, "epochs", "seconds", "state")]
    for trial in trials:
        state = trial.state + (", the best" if trial.number == best else "") + (trial.error and f": {trial.error}")
        rows.append(
            (
                str(trial.number),
                "" if trial.value is None else f"{trial.value:.4f}",
                *(_shown(trial.settings[path]) if path in trial.settings else "" for path in paths),
                " ".join(str(epoch) for epoch in trial.epochs if epoch),
                f"{trial.seconds:.1f}",
                state,
            )
        )
    return aligned_text(rows)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
