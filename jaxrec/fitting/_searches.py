"""Where the settings of a search come from: a list that is tried from end to end, or Optuna."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import itertools
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxrec.errors import JaxrecError
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
      prune: told the validation value of an epoch, says whether to stop the trial.
      handle: of the search.

    >>> Proposal(0, {}).prune(1, 0.5)
    False
    """

    number: int
    values: Mapping[str, Any]
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    prune: Callable[[int, float], bool] = no_pruning
    handle: Any = None


Applying = Callable[[Mapping[str, Any]], Iterator[str]]
"""From the values that are chosen to the paths that lead to an option."""


class Exhaustive:
    """All of a list of settings, in its order."""

    past: tuple[Trial, ...] = ()

    def __init__(self, settings: Sequence[Mapping[str, Any]]) -> None:
        self._settings, self.trials = settings, len(settings)

    def ask(self, number: int) -> Proposal:
        """The settings of a trial."""
        return Proposal(number, self._settings[number])

    def tell(self, proposal: Proposal, trial: Trial) -> None:
        """Nothing is to be learned."""

    def give_up(self, proposals: Sequence[Proposal]) -> None:
        """Nothing is to be cleaned up."""

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

    A study in a file is continued where it ended: trial n gets the same settings, whether or not there was a break.

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
        with _quiet(optuna):
            self._study = optuna.create_study(
                study_name=name,
                storage=None if file is None else _storage(file),
                direction="maximize" if higher_is_better else "minimize",
                pruner=pruner,
                load_if_exists=True,
            )
            self._check_same(described, file)
            self.past = tuple(self._past())

    def _check_same(self, described: Mapping[str, Any], file: Any) -> None:
        """Refuse to continue a study of something else."""
        ours = json.loads(json.dumps(described))
        theirs = self._study.user_attrs.get("jaxrec")
        if theirs is None:
            self._study.set_user_attr("jaxrec", ours)
            return
        differ = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
        if differ:
            at = differ[0]
            raise JaxrecError(
                f"the study {self._study.study_name!r} in {file} is of another search: {', '.join(differ)} differ; "
                f"{at} was {theirs.get(at)} and is {ours.get(at)}; choose another name or file"
            )

    def _past(self) -> Iterator[Trial]:
        for frozen in self._study.get_trials(deepcopy=False):
            if not frozen.state.is_finished():  # of a run that was killed
                self._study.tell(frozen.number, state=self._optuna.trial.TrialState.FAIL)
            elif "trial" in frozen.user_attrs:
                kept = dict(frozen.user_attrs["trial"])
                yield Trial(**{**kept, "values": tuple(kept["values"]), "epochs": tuple(kept["epochs"])})

    def ask(self, number: int) -> Proposal:
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

        return Proposal(number, values, {} if number else self._defaults, prune, trial)

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
        with _quiet(self._optuna):
            if trial.state == "complete":
                self._study.tell(proposal.handle, trial.value)
            else:
                self._study.tell(proposal.handle, state=states.PRUNED if trial.state == "pruned" else states.FAIL)

    def give_up(self, proposals: Sequence[Proposal]) -> None:
        """Mark trials that were broken off, which are run again when the study is continued."""
        with _quiet(self._optuna):
            for proposal in proposals:
                self._study.tell(proposal.handle, state=self._optuna.trial.TrialState.FAIL)


def load_optuna() -> Any:
    """The package that searches.

    Raises:
      JaxrecError: it is not installed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise JaxrecError(
            'a search with trials=N needs Optuna: pip install "jaxrec[tune]"; lists without trials do not'
        )
    import optuna

    return optuna


def _storage(file: str | pathlib.Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    path = pathlib.Path(file)
    if not path.absolute().parent.is_dir():
        raise JaxrecError(f"study {str(file)!r} is in a folder that does not exist; make {str(path.parent)!r} first")
    # A lock by opening a file works where links do not, on Windows.
    return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))


@contextlib.contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Without Optuna's lines about every trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
