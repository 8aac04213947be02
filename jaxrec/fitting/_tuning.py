"""The search for settings: over any option of the objects of a fit, decided by the validation part."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxrec._keys import one_key
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.fitting._described import plain_description
from jaxrec.fitting._fit import fit, fit_many
from jaxrec.fitting._given import GIVEN, named, options_of
from jaxrec.fitting._options import TrainingOptions
from jaxrec.fitting._plan import check_model, is_trained, make_plan
from jaxrec.fitting._search_space import Range, applying, checked_space, label, listed, plain, value_at, with_settings
from jaxrec.fitting._searches import Exhaustive, OptunaSearch, Proposal, combinations
from jaxrec.fitting._study import Study, Trial, best_of
from jaxrec.models import with_sizes
from jaxrec.progress import work
from jaxrec.protocols import Callback, EpochEvent, StageInfo

_LISTS = ("loss", "regularizer", "negatives", "optimizer")
_SOLVED = ("model", "loss")  # all that a model without gradients has


def tune(
    model: Any,
    data: Split,
    space: Mapping[str, Range] | Sequence[Mapping[str, Any]],
    options: TrainingOptions | None = None,
    *,
    key: jax.Array | Sequence[jax.Array],
    trials: int | None = None,
    loss: Any = GIVEN,
    regularizer: Any = GIVEN,
    negatives: Any = GIVEN,
    optimizer: Any = GIVEN,
    batch_size: Any = GIVEN,
    epochs: Any = GIVEN,
    reduction: Any = GIVEN,
    tolerance: Any = GIVEN,
    validation: Any = GIVEN,
    refit: Any = GIVEN,
    weights: Any = GIVEN,
    prune: Any = None,
    together: int = 1,
    file: str | pathlib.Path | None = None,
    name: str = "study",
    callbacks: Sequence[Any] = (),
    on_trial: Callable[[Trial], Any] | None = None,
) -> Study:
    """Search for the settings that are best on the validation part. The test part is not read.

    With `trials`, Optuna chooses; the objects as they are given are trial 0. Without, every combination of lists is
    tried, or every setting of a list of settings, in order and nothing else, and Optuna is needed for `file` alone.

    Paths such as "loss.temperature" name what is searched, and the objects stay what `fit` takes: their checks hold,
    their values are the defaults, and objects from outside are searched like those of the library. The path of a whole
    object takes a list of objects or names; a longer path then counts where the chosen object has the option.

    A trial fails, and the search goes on, where values are refused, the loss is not finite or memory runs out.

    Args:
      model: as for `fit`.
      data: a split with a validation part.
      space: path to `IntRange`, `FloatRange` or a list of choices. Paths start with model, loss, regularizer,
        negatives, optimizer, batch_size, epochs, reduction or tolerance; a model that is solved has the first two. Or,
        without `trials`, a list of settings, each from path to value.
      options: as for `fit`, and so are the keywords of the training. A refit is left to the fit after the search.
      key: consumed. Every training starts from it, so trials differ in their settings only; the draws of the search
        come from it too. A list of S keys trains each setting S times, and the mean of the values counts.
      trials: how many there are in all, those of `file` included.
      prune: stop a trial whose best value is below the median of the earlier ones at the same epoch (True), never
        (False), or as a pruner of Optuna says. None: True where Optuna chooses. Of several keys the first decides.
      together: draw so many trials at a time and train those that differ in numbers only by one program, see
        `fit_many`. It pays on accelerators; on CPU a second setting of one program compiles nothing anyway.
      file: a journal of Optuna, which keeps the study, with or without `trials`; calling with the same arguments
        continues it, after a kill too, and it ends with the trials that it would have had. One process at a time.
      name: of the study in the file.
      callbacks: told of every epoch of every trial.
      on_trial: told of every trial that is over.

    Returns:
      The study: its trials, and the model and options of the best.

    Raises:
      JaxrecError: no validation part; a path that leads nowhere; a range without `trials`; Optuna is not installed; a
        study in the file that is of another search; no trial that came to an end.

    References:
      Akiba et al., Optuna: A Next-generation Hyperparameter Optimization Framework, KDD 2019; Li and Talwalkar, Random
      search and reproducibility for neural architecture search, UAI 2019, on what a search must say of itself.

    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0] * 6 + [1] * 6, [*range(6), *range(2, 8)])
    >>> split = jaxrec.split(data, "user_random", key=jax.random.key(0))
    >>> study = tune(jaxrec.EASE(), split, {"model.l2": [1.0, 10.0]}, key=jax.random.key(1))
    >>> [trial.settings for trial in study.trials]
    [{'model.l2': 1.0}, {'model.l2': 10.0}]
    >>> fitted = jaxrec.fit(study.model, split, study.options, key=jax.random.key(2))
    """
    given = named(
        loss, regularizer, negatives, optimizer, batch_size, epochs, reduction, tolerance, validation, refit, weights
    )
    check_model(model)
    options = options_of(model, options, given)
    keys = _keys(key)
    for what, number in (("together", together), ("trials", trials)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise JaxrecError(f"{what} must be a whole number of at least 1, got {number!r}")
    runner = _Runner(model, options, data, keys, callbacks)
    if trials is None:
        search = _exhaustive(runner, space, prune=prune, file=file, name=name)
    else:
        search = _optuna(runner, space, trials, prune=True if prune is None else prune, file=file, name=name)
    done = list(search.past)
    try:
        with work("tuning", search.trials, unit="trials") as told:
            told.reach(len(done))
            while len(done) < search.trials:
                batch = range(len(done), min(len(done) + together, search.trials))
                proposals = [search.ask(number, batch) for number in batch]
                with work("", share=len(batch)):
                    trials_over = runner.run(proposals)
                for proposal, trial in zip(proposals, trials_over, strict=True):
                    search.tell(proposal, trial)
                    done.append(trial)
                    if on_trial is not None:
                        on_trial(trial)
    finally:
        search.close()
    best = best_of(done, runner.measuring.higher_is_better)
    found = with_settings(model, options, search.values_of(best))
    return Study(tuple(done), runner.measuring.monitor, runner.measuring.higher_is_better, *found)


def _exhaustive(runner: _Runner, space: Any, *, prune: Any, file: Any, name: str) -> Exhaustive:
    model, options = runner.model, runner.options
    if prune:
        raise JaxrecError(f"prune goes with trials=N, got prune={prune!r}; leave it out, or pass trials")
    settings = _settings(model, options, space)
    shown = [{path: label(value) for path, value in one.items()} for one in settings]
    return Exhaustive(
        settings,
        higher_is_better=runner.measuring.higher_is_better,
        file=file,
        name=name,
        described={"settings": shown, **_described(runner)},
    )


def _settings(model: Any, options: TrainingOptions, space: Any) -> list[Mapping[str, Any]]:
    """All settings of lists of choices, or those that are listed."""
    if isinstance(space, Mapping):
        ranges = _checked(space, model, options)
        return list(combinations(ranges, lambda values: applying(ranges, model, options, values)))
    settings = list(space)
    if not settings or not all(isinstance(each, Mapping) for each in settings):
        raise JaxrecError(f"space must map paths to ranges, or be a list of settings, got {space!r}")
    lists: dict[str, dict[str, Any]] = {}
    for path, value in (pair for each in settings for pair in each.items()):
        lists.setdefault(path, {})[label(value)] = value
    if lists:  # a list of the defaults alone is a list too
        _checked({path: list(values.values()) for path, values in lists.items()}, model, options)
    return settings


def _described(runner: _Runner) -> dict[str, Any]:
    """What decides the outcome of a trial beside its settings, as plain JSON values."""
    return {
        "model": {"kind": type(runner.model).__name__, **plain_description(runner.model)},
        "training": plain_description(runner.options),
        "monitor": runner.measuring.monitor,
        "data": [runner.data.train.fingerprint(), runner.data.valid.fingerprint()],
        "key": [np.asarray(jax.random.key_data(key)).ravel().tolist() for key in runner.keys],
    }


def _optuna(runner: _Runner, space: Any, trials: int, *, prune: Any, file: Any, name: str) -> OptunaSearch:
    model, options = runner.model, runner.options
    if not isinstance(space, Mapping):
        raise JaxrecError(f"trials={trials} draws from ranges, and space is a list of settings; leave trials out")
    ranges = _checked(space, model, options)
    # As numbers, where the data choose them.
    train = runner.data.train
    chosen = with_sizes(model, train.num_users, train.num_items), options.settled(len(train))
    return OptunaSearch(
        ranges,
        {path: value_at(*chosen, path) for path in applying(ranges, model, options, {})},
        lambda values: applying(ranges, model, options, values),
        trials,
        key=runner.keys[0],
        higher_is_better=runner.measuring.higher_is_better,
        prune=prune,
        file=file,
        name=name,
        described={
            "space": {
                path: [label(each) for each in values] if isinstance(values, Sequence) else str(values)
                for path, values in ranges.items()
            },
            **_described(runner),
        },
    )


def _checked(space: Mapping[str, Range], model: Any, options: TrainingOptions) -> dict[str, Range]:
    ranges = checked_space(space, model, options)
    trained = [is_trained(each) for each in (model, *listed(ranges.get("model")))]
    if any(each != trained[0] for each in trained):
        raise JaxrecError("the choices of model are trained and solved ones; search for each kind by itself")
    unused = [path for path in ranges if path.partition(".")[0] not in _SOLVED and not trained[0]]
    if unused:
        raise JaxrecError(f"{type(model).__name__} is solved, not trained, and has no use for {', '.join(unused)}")
    return ranges


def _keys(key: Any) -> list[jax.Array]:
    if isinstance(key, jax.Array):
        typed = jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)
        several = key.ndim > (0 if typed else 1)
    else:
        several = isinstance(key, Sequence) and not isinstance(key, str) and len(key) > 0
    keys: list[Any] = list(key) if several else [key]
    return [one_key(each) for each in keys]


class _Runner:
    """Trains the settings of trials on the training part, and measures them on the validation part."""

    def __init__(
        self, model: Any, options: TrainingOptions, data: Split, keys: Sequence[jax.Array], callbacks: Sequence[Any]
    ) -> None:
        if not isinstance(data, Split) or not len(data.valid) or options.validation is None:
            missing = "options without validation" if isinstance(data, Split) and len(data.valid) else "no such part"
            raise JaxrecError(
                f"a search is decided by the validation part, and there are {missing}; pass a split such as "
                "jaxrec.split(data, valid=0.1), and a Validation"
            )
        # Without its test part, so that nothing can read it.
        self.data = dataclasses.replace(data, test=data.test.select(np.zeros(len(data.test), bool)))
        self.model, self.options, self.keys, self.callbacks = model, options, keys, list(callbacks)
        measuring = make_plan(model, self.data, dataclasses.replace(options, refit=False)).measuring
        assert measuring is not None
        self.measuring = measuring

    def run(self, proposals: Sequence[Proposal]) -> list[Trial]:
        """The trials of the proposals, in their order."""
        done: dict[int, Trial] = {}
        groups: dict[Any, list[_Setting]] = {}
        for proposal in proposals:
            try:
                model, options = with_settings(self.model, self.options, proposal.values)
            except ValueError as error:  # values that are refused, also by objects from outside
                done[proposal.number] = self._failed(proposal, error, 0.0)
                continue
            setting = _Setting(proposal, model, dataclasses.replace(options, refit=False))
            groups.setdefault(setting.program, []).append(setting)
        for settings in groups.values():
            done |= self._trained(settings)
        return [done[proposal.number] for proposal in proposals]

    def _trained(self, settings: list[_Setting]) -> dict[int, Trial]:
        """The trials of settings that one program serves."""
        started = time.perf_counter()
        pruning = _Pruning([each.proposal.prune for each in settings], len(self.keys), self.measuring.monitor)
        try:
            fits = self._together(settings, pruning) if len(settings) > 1 else self._alone(settings[0], pruning)
        except (JaxrecError, MemoryError, RuntimeError) as error:
            if not _expected(error):
                raise
            if len(settings) > 1:  # one of them is at fault, so the others are trained by themselves
                return {number: trial for each in settings for number, trial in self._trained([each]).items()}
            number = settings[0].proposal.number
            return {number: self._failed(settings[0].proposal, error, time.perf_counter() - started)}
        seconds = (time.perf_counter() - started) / len(settings)
        trials = {}
        for at, (setting, infos) in enumerate(zip(settings, fits, strict=True)):
            values = tuple(float(info["valid"][self.measuring.monitor]) for info in infos)
            trial = Trial(
                setting.proposal.number,
                self._plain(setting.proposal),
                float(np.mean(values)),
                "pruned" if at in pruning.pruned else "complete",
                seconds,
                values,
                tuple(info["best_epoch"] for info in infos),
            )
            if any(math.isnan(value) for value in values):
                error = f"{self.measuring.monitor} is not defined"
                trial = dataclasses.replace(trial, value=None, values=(), state="failed", error=error)
            trials[trial.number] = trial
        return trials

    def _alone(self, setting: _Setting, pruning: _Pruning) -> list[list[Any]]:
        infos = []
        with work("", len(self.keys)):
            for key in self.keys:
                callbacks = [*self.callbacks, *([] if infos else [pruning])]
                with work("", share=1):
                    fitted = fit(setting.model, self.data, setting.options, key=key, callbacks=callbacks)
                infos.append(fitted.info)
                if pruning.pruned:
                    break
        return [infos]

    def _together(self, settings: list[_Setting], pruning: _Pruning) -> list[list[Any]]:
        each = [setting.options for setting in settings for _ in self.keys]
        lists: dict[str, Any] = {name: [getattr(options, name) for options in each] for name in _LISTS}
        models = fit_many(
            settings[0].model,
            self.data,
            settings[0].options,
            keys=[*self.keys] * len(settings),
            callbacks=[*self.callbacks, pruning],
            **lists,
        )
        size = len(self.keys)
        return [[model.info for model in models[at : at + size]] for at in range(0, len(models), size)]

    def _failed(self, proposal: Proposal, error: BaseException, seconds: float) -> Trial:
        message = " ".join(str(error).split()) or type(error).__name__
        return Trial(proposal.number, self._plain(proposal), None, "failed", seconds, error=message)

    def _plain(self, proposal: Proposal) -> dict[str, Any]:
        """The settings as plain values; of a proposal of the defaults these."""
        values = proposal.defaults or proposal.values
        return {path: plain(value) for path, value in values.items()}


@dataclasses.dataclass(frozen=True)
class _Setting:
    """The objects of a trial."""

    proposal: Proposal
    model: Any
    options: TrainingOptions

    @property
    def program(self) -> Any:
        """What settings share that one program can serve."""
        own = self.options
        if not is_trained(self.model):
            return self.proposal.number
        numbers = jax.tree.structure((own.loss, own.regularizer, own.sampler, own.optimizer))
        return (self.model, numbers, own.batch_size, own.epochs, own.reduction, own.tolerance, own.weights)


class _Pruning(Callback):
    """Asks a search after every validation whether to stop its trial; members are the keys of each trial in turn."""

    def __init__(self, prune: Sequence[Callable[[int, float], bool]], keys: int, monitor: str) -> None:
        self._prune, self._keys, self._monitor, self.pruned = prune, keys, monitor, set[int]()

    def start(self, stage: StageInfo) -> None:
        self._epochs = stage.epochs

    def __call__(self, event: EpochEvent) -> bool:
        trial, key = divmod(event.member, self._keys)
        record = event.record
        if record.valid and key == 0 and self._prune[trial](record.epoch, record.valid[self._monitor]):
            # A training that is over is complete.
            self.pruned |= {trial} if record.epoch < self._epochs[event.member] else set()
        return trial in self.pruned


def _expected(error: BaseException) -> bool:
    """Whether an error is of a setting: of its values, its loss, or the memory; JAX has no class for the last."""
    text = str(error)
    return isinstance(error, (JaxrecError, MemoryError)) or "RESOURCE_EXHAUSTED" in text or "out of memory" in text
