"""The search of `auto`: what was tried, which models are kept, the time that is left, and the choice at the end."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxrec.data.splitting._holdout import generator_of
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.evaluation import higher_is_better
from jaxrec.fitting._again import fit_again
from jaxrec.fitting._auto_list import Candidate
from jaxrec.fitting._auto_table import Try
from jaxrec.fitting._blend import blended, described
from jaxrec.fitting._blend_learning import held_out_of
from jaxrec.fitting._fit import fit
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._learnt_blend import Learning, equal_of_best, folds_of, learnt_blends, share_of_users
from jaxrec.fitting._plan import is_trained
from jaxrec.fitting._validation import Validation, ranking_measuring
from jaxrec.progress import work
from jaxrec.training import Deadline

_MARGIN = 1.2  # what is estimated may take so many times as long
_BLEND_COMPILES = 6.0  # what a blend compiles, in times that the programs that measured the first model took
_BLEND_SHARE = 0.25  # of the time, at the most, is kept for that, so that slow compiling leaves time to try models
_END_SHARE = 1 / 3  # of the time, at the most, is kept for the end, where the best model needs no more
_COMPILED_AGAIN = 0.5  # of the seconds that a fit compiles, at the most; .24 to .45 were seen
_LEARNING = Learning(nonnegative=True)  # the best of each kind score much alike
_EQUAL = 1e-9  # means of two halves are rounded
_BLEND_PASSES = 20  # of learning, in times that a member takes to be measured
_BLEND_MEASURED = 3  # scores for the learning, and the cross-fitted figures of both ways to weigh


@dataclasses.dataclass(frozen=True)
class Kept:
    """The best model of a word so far, and what it costs to go on with it.

    Attributes:
      of_users: [n], the value that decides of each user; its mean is `value`.
    """

    fitted: FittedModel
    name: str
    value: float
    of_users: np.ndarray
    refit: float
    measure: float


class Search:
    """The state of a search: its table, the best of each word, and the time that is left."""

    def __init__(
        self,
        split: Split,
        validation: Validation,
        seconds: float,
        key: jax.Array,
        *,
        blend: bool,
        refit: Any,
        clock: Callable[[], float],
    ) -> None:
        self.split, self.validation, self.seconds = split, validation, seconds
        self.blend, self.refit, self.clock = blend, refit, clock
        self.started = clock()
        self.table: list[Try] = []
        self.kept: dict[str, Kept] = {}
        self.took: dict[str, float] = {}
        """The least that a fit of a word was seen to take."""
        self.programs: float | None = None
        """Seconds that the programs that measured the first model took to compile: how fast this is here."""
        part = split.whole if refit == "all" else split.fitted
        self.again = len(part) / len(split.train) if refit else 0.0
        self.rate = _rate()
        assert validation.monitor is not None
        self.sign = 1.0 if higher_is_better(validation.monitor) else -1.0
        self.users, _, _ = held_out_of(split.valid)
        self.fold = folds_of(len(self.users), generator_of(key))
        self.halves = [
            split.valid.select(np.isin(split.valid.user, self.users[self.fold == at])) for at in np.unique(self.fold)
        ]
        self.values: list[np.ndarray] = []
        """Of each model that was measured, the value that decides of each user [n], larger is better."""
        self.figures: list[list[Mapping[str, float]]] = []
        """Of each such model, the figures in each half."""

    def left(self) -> float:
        """The seconds that are left."""
        return self.seconds - (self.clock() - self.started)

    def reserve(self) -> float:
        """The seconds that the end takes, for what is kept so far.

        A blend of all may take a part of the time only, so that members that are slow to fit again do not keep others
        from being tried; the end takes the members that there is time for.
        """
        kept = list(self.kept.values())
        if not kept:
            return 0.0
        best = max(kept, key=lambda one: one.value).refit * _MARGIN
        if not self.blend:
            return best
        all_of_them = (sum(one.refit for one in kept) + self.blending(kept)) * _MARGIN
        return min(all_of_them, max(best, _END_SHARE * self.seconds))

    def kept_for(self) -> str:
        """What the seconds that are not left are kept for, in words."""
        kept = self.reserve()
        ends = [*(["the blend"] if self.blend else []), *(["the refit"] if self.refit else [])]
        return f", as {kept:.3g} s are kept for {' and '.join(ends)}" if kept and ends else ""

    def blending(self, kept: Sequence[Kept]) -> float:
        """The seconds that learning and measuring a blend take: some passes over the scores of all members."""
        if len(kept) < 2:
            return 0.0
        share = share_of_users(self.split, len(kept), _LEARNING)
        programs = min(_BLEND_COMPILES * (self.programs or 0.0), _BLEND_SHARE * self.seconds)
        return programs + (_BLEND_MEASURED + _BLEND_PASSES * share) * sum(one.measure for one in kept)

    def consider(
        self,
        candidate: Candidate,
        model: Any,
        later: int,
        callbacks: Sequence[Any],
        compiled: Callable[[], float],
        *,
        key: jax.Array,
    ) -> Try:
        """Fit and measure a candidate where there is time; `later` candidates yet to come are trained."""
        if isinstance(model, str):
            return Try(candidate.name, "skipped", model)
        free, trained = self.left() - self.reserve(), is_trained(model)
        share = free / (1 + later if trained else 1) / (1 + self.again)
        expected = self.expected(candidate)
        if free <= 0 or expected * _MARGIN > share:
            need = f"it takes about {expected:.3g} s and as much again to refit, and " if expected >= 0.1 else ""
            return Try(candidate.name, "skipped", f"{need}{max(free, 0):.3g} s are left{self.kept_for()}")
        before, deadline = self.clock(), Deadline(share, clock=self.clock)
        how: dict[str, Any] = {"validation": self.validation, "refit": False}
        told = [*callbacks, deadline] if trained else []
        try:
            options = candidate.options(model, **how)
            given = how if options is None else {}
            fitted = fit(model, self.split, options, **given, callbacks=told, key=key)
            took, compiled_fit = self.clock() - before, compiled()
            values, measure = self.measured(fitted, compiled)
        except (JaxrecError, MemoryError, RuntimeError) as error:
            # JAX raises its own subclass of RuntimeError for memory of a device; any other one is a defect.
            if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            why = str(error) if isinstance(error, JaxrecError) else "out of memory"
            return Try(candidate.name, "failed", why, {}, self.clock() - before)
        valid = fitted.info["valid"] or values
        self.keep(candidate, fitted, valid, measure, took, min(compiled_fit, took))
        epochs = len(fitted.info["seconds"]["epochs"])
        why = f"its time was over after {epochs} epoch{'s' * (epochs > 1)}" if deadline.reached else ""
        return Try(candidate.name, "stopped" if why else "tried", why, valid, took)

    def expected(self, candidate: Candidate) -> float:
        """The seconds that a fit takes at the least; 0 where nothing is known."""
        if candidate.model in self.took:
            return self.took[candidate.model]
        if candidate.operations is None:
            return 0.0
        train = self.split.train
        return candidate.operations(train.num_users, train.num_items, len(train)) / self.rate

    def measured(self, fitted: FittedModel, compiled: Callable[[], float]) -> tuple[dict[str, float], float]:
        """Measure a model in each half of the users: the figures of all, and the seconds without compiling."""
        before, without = self.clock(), compiled()
        own, of_halves = np.full(len(self.users), np.nan), list[Mapping[str, float]]()
        for half in self.halves:
            measuring = ranking_measuring(self.validation, self.split.train, half, fitted.seen)
            assert measuring.of_users is not None
            figures, users, values = measuring.of_users(fitted.scorer)
            own[np.searchsorted(self.users, users)] = self.sign * values
            of_halves.append(figures)
        valid = self.of_both(of_halves)
        self.values.append(own)
        self.figures.append(of_halves)
        programs = compiled() - without
        self.programs = programs if self.programs is None else self.programs
        return valid, max(self.clock() - before - programs, 0.0)

    def of_both(self, halves: Sequence[Mapping[str, float]]) -> dict[str, float]:
        """The figures of all users from those of each half."""
        valid: dict[str, float] = {}
        for figures, size in zip(halves, np.bincount(self.fold) / len(self.fold), strict=True):
            for name, value in figures.items():
                valid[name] = valid.get(name, 0.0) + float(size) * value
        return valid

    def best_single(self) -> tuple[np.ndarray, dict[str, float]]:
        """The values of users [n] and the figures of the best single model, of each half the best one of the other."""
        values = np.stack(self.values)
        if self.fold.max(initial=0) == 0:
            best = int(np.nanmean(values, axis=1).argmax())
            return values[best], self.of_both(self.figures[best])
        halves = range(self.fold.max() + 1)
        chosen = [int(np.nanmean(values[:, self.fold != at], axis=1).argmax()) for at in halves]
        figures = self.of_both([self.figures[best][at] for at, best in zip(halves, chosen, strict=True)])
        return values[np.asarray(chosen)[self.fold], np.arange(len(self.fold))], figures

    def keep(
        self,
        candidate: Candidate,
        fitted: FittedModel,
        valid: Mapping[str, float],
        measure: float,
        took: float,
        compiled: float,
    ) -> None:
        """Keep the model where it is the best of its word, and what was learnt of the time."""
        info = fitted.info
        epochs = info["seconds"]["epochs"]
        # Other numbers of a model that is solved are not compiled for again.
        self.took[candidate.model] = (
            compiled + (took - compiled) / len(epochs) if epochs else max(took - compiled, took / 10)
        )
        # A fit again is not validated. Other data are compiled for again, but for what does not depend on their size.
        measured = min(info["seconds"]["evaluate"], took)
        programs = min(max(compiled - measured, 0.0), took - measured)
        runs = took - measured - programs
        if epochs:
            runs *= info["best_epoch"] / len(epochs)
        refit = _COMPILED_AGAIN * programs + self.again * runs
        value = self.sign * valid[str(self.validation.monitor)]
        best = self.kept.get(candidate.model)
        if best is None or value > best.value:
            fitted = dataclasses.replace(fitted, info={**info, "valid": dict(valid)})
            self.kept[candidate.model] = Kept(
                fitted, candidate.name, value, self.values[-1], refit if self.refit else 0.0, measure
            )

    def finish(self, key: jax.Array) -> FittedModel:
        """Blend, choose, and fit again."""
        ranked = sorted(self.kept.values(), key=lambda one: -one.value)
        single, chosen = ranked[0], ranked[:1]
        make: Callable[[Sequence[FittedModel]], FittedModel] | None = None
        blend_told: dict[str, Any] = {"tried": False, "why": "it was not asked for"}
        if self.blend:
            blend_told, members, make = self.blended(self.affordable(ranked), single, key)
            chosen = chosen if make is None else members
        refitted, why = bool(self.refit), ""
        if self.refit and sum(one.refit for one in chosen) > self.left():
            if single.refit > self.left():
                refitted, why = False, "no time was left for the refit, so it is the model of the training part"
            elif make is not None:
                chosen, make, why = ranked[:1], None, "no time was left for the refit of all members of the blend"
        models = [one.fitted for one in chosen]
        if refitted:
            with work("fitting again"):
                models = [fit_again(model, self.split, "all" if self.refit == "all" else True) for model in models]
        model = models[0] if make is None else make(models)
        told: dict[str, Any] = {
            "seconds": self.seconds,
            "took": round(self.clock() - self.started, 3),
            "monitor": self.validation.monitor,
            "table": [row.to_dict() for row in self.table],
            "blend": blend_told,
            "kept": single.name if make is None else "blend",
            "members": [one.name for one in chosen],
            "why": why,
        }
        return dataclasses.replace(model, info={**model.info, "auto": told})

    def affordable(self, ranked: Sequence[Kept]) -> list[Kept]:
        """The best members whose blending and refit there is time for."""
        members: list[Kept] = []
        for one in ranked:
            more = [*members, one]
            cost = sum(each.refit for each in more) + self.blending(more)
            if cost * _MARGIN <= self.left() or not members:
                members = more
        return members

    def blended(
        self, members: Sequence[Kept], single: Kept, key: jax.Array
    ) -> tuple[dict[str, Any], list[Kept], Callable[[Sequence[FittedModel]], FittedModel] | None]:
        """Weigh members in two ways, and take the better one.

        Returns:
          What is told of the blend, its members, and, where it is better than the best single model, what makes it of
          these when they are fitted again; None where it is not.
        """
        if len(members) < 2:
            return {"tried": False, "why": "there are no two models that there is time to blend"}, [], None
        started, fitted = time.perf_counter(), [one.fitted for one in members]
        ways = {"learnt": None, "equal, of the better half": equal_of_best(np.stack([one.of_users for one in members]))}
        try:
            found = learnt_blends(
                fitted, self.split, _LEARNING, self.validation, list(ways.values()), key=key, fold=self.fold
            )
        except JaxrecError as error:
            return {"tried": False, "why": str(error)}, [], None
        means = [float(self.sign * np.nanmean(one.of_users)) for one in found]
        way = int(np.argmax(means))
        calibrations, weights, learning, valid, of_users = found[way]
        used = np.flatnonzero(weights).tolist() if np.count_nonzero(weights) > 1 else list(range(len(members)))
        members, fitted = [members[at] for at in used], [fitted[at] for at in used]
        calibrations, weights = [calibrations[at] for at in used], weights[used]
        weighed = list(ways)[way]
        of_blend = {**described(fitted, calibrations, weights), **learning, "weighed": weighed}
        best, figures = self.best_single()
        gap, error = paired_gap(self.sign * of_users, best)
        better = gap > _EQUAL or -gap <= error > _EQUAL
        monitor = str(self.validation.monitor)
        told = {
            "tried": True,
            "why": _why_blend(gap, error, single.name, better=better),
            "valid": valid,
            "single": {**figures, monitor: float(self.sign * np.nanmean(best))},
            "difference": {monitor: self.sign * gap, "standard error": error},
            "cross_fitted": "each half of the users with what was learnt, or is the best model, in the other half",
            "weighed": weighed,
            "ways": {word: {monitor: self.sign * mean} for word, mean in zip(ways, means, strict=True)},
            "members": [one.name for one in members],
            "weights": np.round(weights, 6).tolist(),
        }

        def made(models: Sequence[FittedModel]) -> FittedModel:
            info = {"valid": valid, "blend": of_blend}
            return blended(models, calibrations, weights, key=key, started=started, **info)

        return told, members, made if better else None


def paired_gap(values: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """The mean of the differences of users, and its standard error; users without a value are left out.

    >>> paired_gap(np.array([1.0, 0.5, np.nan]), np.array([0.5, 0.5, 0.0]))
    (0.25, 0.25)
    """
    difference = values - others
    difference = difference[np.isfinite(difference)]
    if len(difference) < 2:
        return float(difference.sum()), 0.0
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference)))


def _why_blend(gap: float, error: float, single: str, *, better: bool) -> str:
    if not better:
        return f"{single} is " + ("as good" if gap >= -_EQUAL else "better by more than a standard error")
    if gap > _EQUAL:
        return "better than the best single model"
    return f"{single} is better by less than a standard error, and a blend varies less"


def _rate(size: int = 512) -> float:
    """Floating-point operations a second of a product of matrices on the host."""
    matrix, times = np.ones((size, size), np.float32), []
    for _ in range(3):
        started = time.perf_counter()
        _ = matrix @ matrix
        times.append(time.perf_counter() - started)
    return 2 * size**3 / max(min(times), 1e-9)
