"""Where the settings of a search come from: a list that is tried from end to end, or Optuna."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import itertools
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.fitting._journal import Journal, check_same, kept_trials
from jaxrec.fitting._search_space import IntRange, Range, label, plain
from jaxrec.fitting._study import Trial

Ranges = Mapping[str, Range]


def no_pruning(epoch: int, value: float) -> bool:
    """Whether to stop after an epoch with this validation value: never.

    >>> no_pruning(5, 0.0)
    False
    """
    return False


@dataclasses.dataclass(frozen=True)
class Proposal:
    """The settings of one trial that is to be run.

    Attributes:
      number: of the trial.
      values: path to value; none for the defaults.
      defaults: path to value, of a trial of the defaults.
      batch: the numbers of the trials that were asked for at once; none of them knows the outcome of another.
      prune: told the validation value of an epoch, says whether to stop the trial.
      handle: of the search.

    >>> Proposal(0, {}).prune(1, 0.5)
    False
    """

    number: int
    values: Mapping[str, Any]
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    batch: range = range(0)
    prune: Callable[[int, float], bool] = no_pruning
    handle: Any = None


Applying = Callable[[Mapping[str, Any]], Iterator[str]]
"""From the values that are chosen to the paths that lead to an option."""


class Exhaustive:
    """All of a list of settings, in its order; with a file those that are over are kept in it, each written at once.

    Args:
      settings: of each trial.
      higher_is_better: whether more of the monitored value is better.
      file: a journal of Optuna, or None.
      name: of the study in the file.
      described: what decides the outcome of the trials; another one in the file is refused.
    """

    def __init__(
        self,
        settings: Sequence[Mapping[str, Any]],
        *,
        higher_is_better: bool = True,
        file: str | pathlib.Path | None = None,
        name: str = "study",
        described: Mapping[str, Any] | None = None,
    ) -> None:
        self._settings, self.trials = settings, len(settings)
        self.past: tuple[Trial, ...] = ()
        self._journal = self._kept = None
        if file is None:
            return
        self._optuna = load_optuna("a study file")
        self._journal = Journal(file)
        try:
            with _quiet(self._optuna):
                self._kept = self._journal.study(name, "maximize" if higher_is_better else "minimize")
                check_same(self._kept, described or {}, file)
            kept = {trial.number: trial for trial, _ in kept_trials(self._kept)}
            self.past = tuple(kept[number] for number in itertools.takewhile(kept.__contains__, range(self.trials)))
        except BaseException:
            self.close()
            raise

    def ask(self, number: int, batch: range) -> Proposal:
        """The settings of a trial."""
        return Proposal(number, self._settings[number])

    def tell(self, proposal: Proposal, trial: Trial) -> None:
        """Keep a trial; nothing is to be learned from it."""
        if self._kept is None:
            return
        kept = {"trial": dataclasses.asdict(trial)}
        done = trial.state == "complete"
        states = self._optuna.trial.TrialState
        made = self._optuna.trial.create_trial(
            state=states.COMPLETE if done else states.FAIL, value=trial.value if done else None, user_attrs=kept
        )
        with _quiet(self._optuna):
            self._kept.add_trial(made)

    def close(self) -> None:
        """Let go of the file."""
        if self._journal is not None:
            self._journal.close()

    def values_of(self, trial: Trial) -> Mapping[str, Any]:
        """The values of a trial."""
        return self._settings[trial.number]


def combinations(space: Ranges, applying: Applying) -> list[dict[str, Any]]:
    """All combinations of lists of choices, each once; the last path varies fastest.

    Raises:
      JaxrecError: a range that is no list.

    >>> combinations({"model.dim": [8, 16], "epochs": [1]}, lambda values: iter(["model.dim", "epochs"]))
    [{'model.dim': 8, 'epochs': 1}, {'model.dim': 16, 'epochs': 1}]
    """
    lists: list[Sequence[Any]] = []
    for path, values in space.items():
        if not isinstance(values, Sequence):
            raise JaxrecError(f"{path} has no end of values in {values}; pass trials=N, or a list of choices")
        lists.append(values)
    made: dict[Any, dict[str, Any]] = {}
    for values in itertools.product(*lists):
        chosen = dict(zip(space, values, strict=True))
        chosen = {path: chosen[path] for path in applying(chosen)}
        made[tuple((path, label(value)) for path, value in chosen.items())] = chosen
    return list(made.values())


class OptunaSearch:
    """Optuna's tree-structured Parzen estimator, with a seed of its own for each trial, in memory or in a file.

    A study in a file is continued where it ended. Trial n draws from the seed, n and the trials that were over when
    it was asked for, so it gets the same settings, whether or not there was a break. The file has trials that are over,
    each written at once, and Optuna works on a copy in memory: a trial that was killed leaves nothing, and is run again
    under its own number. Of trials that are asked for together, see `tune`, all run again where one is missing.

    References:
      Akiba et al., Optuna: A Next-generation Hyperparameter Optimization Framework, KDD 2019.
    """

    def __init__(
        self,
        space: Ranges,
        defaults: Mapping[str, Any],
        applying: Applying,
        trials: int,
        *,
        key: jax.Array,
        higher_is_better: bool,
        prune: Any,
        file: str | pathlib.Path | None,
        name: str,
        described: Mapping[str, Any],
    ) -> None:
        self.trials, self._space, self._defaults, self._applying, self._key = trials, space, defaults, applying, key
        self._optuna = optuna = load_optuna()
        pruner = prune
        if isinstance(prune, bool):
            pruner = optuna.pruners.MedianPruner() if prune else optuna.pruners.NopPruner()
        direction = "maximize" if higher_is_better else "minimize"
        self._journal = None if file is None else Journal(file)
        try:
            with _quiet(optuna):
                self._study = optuna.create_study(direction=direction, pruner=pruner)
                self._kept = None if self._journal is None else self._journal.study(name, direction)
                if self._kept is not None:
                    check_same(self._kept, described, file)
                self.past = tuple(self._past())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        if self._journal is not None:
            self._journal.close()

    def _past(self) -> Iterator[Trial]:
        """The trials of the file, which the search in memory learns from; whole batches only."""
        kept = (
            {} if self._kept is None else {trial.number: (trial, frozen) for trial, frozen in kept_trials(self._kept)}
        )
        whole = next(number for number in range(len(kept) + 1) if number not in kept)
        if whole:
            first, size = kept[whole - 1][1].user_attrs.get("batch", (whole - 1, 1))
            whole = whole if first + size <= whole else first
        for number in range(whole):
            trial, frozen = kept[number]
            self._study.add_trial(frozen)
            yield trial

    def ask(self, number: int, batch: range) -> Proposal:
        """The settings of a trial; the first one has the defaults."""
        # A seed for each trial, not a stream for all, so that a study that is continued goes on as it would have.
        key = jax.random.fold_in(jax.random.fold_in(self._key, 2**31 - 1), number)
        seed = int(np.asarray(jax.random.bits(key, dtype=np.uint32)))
        with _quiet(self._optuna):
            self._study.sampler = self._optuna.samplers.TPESampler(seed=seed)
            fixed = {} if number else self._fixed()
            if not number:
                self._study.enqueue_trial(fixed)
            trial = self._study.ask()
            values: dict[str, Any] = {}
            done: set[str] = set()
            while path := next((path for path in self._applying(values) if path not in done), None):
                done.add(path)
                if number:
                    values[path] = self._suggested(trial, path)
                elif path in fixed:  # told, so that the search learns from the defaults
                    self._suggested(trial, path)

        def prune(epoch: int, value: float) -> bool:
            trial.report(value, epoch)
            return number > 0 and trial.should_prune()  # the defaults are what others are compared with

        return Proposal(number, values, {} if number else self._defaults, batch, prune, trial)

    def values_of(self, trial: Trial) -> dict[str, Any]:
        """The values of a trial, also of one that was kept in a file."""
        values = {}
        for path, setting in trial.settings.items() if trial.number else ():
            choices = self._space[path]
            found = isinstance(choices, Sequence)
            values[path] = next(each for each in choices if plain(each) == setting) if found else setting
        return values

    def _fixed(self) -> dict[str, Any]:
        """The defaults that lie in their ranges, as the search knows them."""
        fixed = {}
        for path, default in self._defaults.items():
            values = self._space[path]
            if isinstance(values, Sequence):
                if label(default) in map(label, values):
                    fixed[path] = label(default)
            elif default in values:
                fixed[path] = default
        return fixed

    def _suggested(self, trial: Any, path: str) -> Any:
        values = self._space[path]
        if isinstance(values, Sequence):
            choice = trial.suggest_categorical(path, [label(value) for value in values])
            return next(value for value in values if label(value) == choice)
        if isinstance(values, IntRange):
            return trial.suggest_int(path, values.low, values.high, step=values.step, log=values.log)
        return trial.suggest_float(path, values.low, values.high, log=values.log)

    def tell(self, proposal: Proposal, trial: Trial) -> None:
        """Learn from a trial, and keep it."""
        states = self._optuna.trial.TrialState
        proposal.handle.set_user_attr("trial", dataclasses.asdict(trial))
        proposal.handle.set_user_attr("batch", [proposal.batch.start, len(proposal.batch)])
        with _quiet(self._optuna):
            if trial.state == "complete":
                self._study.tell(proposal.handle, trial.value)
            else:
                self._study.tell(proposal.handle, state=states.PRUNED if trial.state == "pruned" else states.FAIL)
            if self._kept is not None:
                self._kept.add_trial(self._study.get_trials(deepcopy=False)[proposal.handle.number])


def load_optuna(what: str = "a search with trials=N") -> Any:
    """The package that searches, and that keeps studies in files.

    Args:
      what: needs it.

    Raises:
      JaxrecError: it is not installed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise JaxrecError(
            f'{what} needs Optuna: pip install "jaxrec[tune]"; or give lists of values, which need neither trials nor '
            "a file"
        )
    import optuna

    return optuna


@contextlib.contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Without Optuna's lines about every trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
