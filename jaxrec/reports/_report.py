"""The result of an evaluation: values per user, means with their intervals over users and over seeds, counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.reports._groups import Groups, as_groups
from jaxrec.reports._values import bounds_of
from jaxrec.statistics._intervals import normal_interval
from jaxrec.statistics._resampling import check_level
from jaxrec.statistics._seeds import ENOUGH_SEEDS, SeedSpread, spread_of
from jaxrec.text import aligned_text, html_table, number_text, printable


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """What was measured for one model (or for the mean of several runs of one model).

    Attributes:
      users: int32 [n], indices of the users that were evaluated, each once.
      per_user: name to float32 [n]; names are like "recall@20", "ndcg@10", "ild@10". NaN marks a user for whom the
        value is not defined, and means leave it out.
      overall: name to a number of all lists together, like "coverage@10".
      counts: name to how many users, items or lists a statement is about; see `evaluate_scorer`.
      seconds: wall time of ranking and measuring, compilation included.
      masked: what was left out of the lists, in words.
      fitted: what the model was fitted on, in words.
      catalogue: what could be recommended, in words.
      space: the item space of the distances, in words; "" where none was used.
      runs: how many trained models the values are means of.
      seeds: name to float64 [runs], the value of each of these trainings, where there are several; see
        `average_reports`.
      user_ids: array [n], the caller's ids of `users`, or None where they are not known here.
      setting: fingerprints of what was measured: test part, mask, catalog, item space, fitted part. Reports are
        averaged only where they agree.
      lower: the names of values of which the lowest is the best, as their metrics say.
      bounds: name to the lowest and highest value that its metric can have, where the metric is none of the registry.
      trained: bool [n], whether each of `users` had training data, or None where that is not known here.
      ordered: what ordered lists that came from elsewhere, in words; "" for those of a model.
      members: the reports of single trainings that this one is the mean of, so that groups can be cut from each.

    Two sources of chance are kept apart: `interval` is about users, for these trained models; `spread` is about seeds,
    that is about training the model again.

    Raises:
      MismatchError: a per-user array of another length than `users`, a user that is there twice, or `seeds` that are
        not one value for each of the runs.

    >>> report = Report(np.arange(4), {"recall@10": np.array([0.0, 0.5, 0.5, 1.0])}, {"coverage@10": 0.25})
    >>> report.mean("recall@10")
    0.5
    """

    users: np.ndarray
    per_user: Mapping[str, np.ndarray]
    overall: Mapping[str, float] = dataclasses.field(default_factory=dict)
    counts: Mapping[str, int | float] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    masked: str = ""
    fitted: str = ""
    catalogue: str = ""
    space: str = ""
    runs: int = 1
    seeds: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    user_ids: np.ndarray | None = None
    setting: Mapping[str, str] = dataclasses.field(default_factory=dict)
    lower: frozenset[str] = frozenset()
    bounds: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    trained: np.ndarray | None = None
    ordered: str = ""
    members: tuple[Report, ...] = ()

    def __post_init__(self) -> None:
        users = np.asarray(self.users, np.int32)
        if len(np.unique(users)) != len(users):
            raise MismatchError("users names a user twice; every evaluated user has one value")
        per_user = {name: np.asarray(values, np.float32) for name, values in self.per_user.items()}
        for name, values in per_user.items():
            if values.shape != users.shape:
                raise MismatchError(f"per_user {name!r} has shape {values.shape}, expected {users.shape}")
        for name, given in (("user_ids", self.user_ids), ("trained", self.trained)):
            if given is not None and len(given) != len(users):
                raise MismatchError(f"{name} has {len(given)} entries, expected {len(users)}: one for each user")
        seeds = {name: np.asarray(values, np.float64) for name, values in self.seeds.items()}
        for name in self.names if self.runs > 1 else ():
            shape = seeds[name].shape if name in seeds else None
            if shape != (self.runs,):
                raise MismatchError(
                    f"seeds {name!r} has shape {shape}, expected {(self.runs,)}, one value for each of the "
                    f"{self.runs} runs; make the mean with average_reports"
                )
        object.__setattr__(self, "users", users)
        object.__setattr__(self, "seeds", seeds)
        object.__setattr__(self, "per_user", per_user)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all values, those per user first."""
        return (*self.per_user, *self.overall)

    def mean(self, name: str) -> float:
        """The mean over users of a per-user value, or the value itself of one over all lists; NaN without a user.

        Raises:
          JaxrecError: the report has no value of this name.
        """
        if name in self.overall:
            return float(self.overall[name])
        values = self._defined(name)
        return float(values.mean()) if values.size else math.nan

    def values(self, name: str, users: np.ndarray) -> np.ndarray:
        """The per-user values of a name as float64 [n], in the order of these users [n].

        Raises:
          MismatchError: other users than those of the report.
          JaxrecError: no per-user value of this name.

        >>> report = Report(np.array([7, 3]), {"recall@10": np.array([0.5, 1.0])})
        >>> report.values("recall@10", np.array([3, 7]))
        array([1. , 0.5])
        """
        self._defined(name)
        order = np.argsort(self.users)
        if not np.array_equal(self.users[order], np.sort(users)):
            differ = len(np.setxor1d(self.users, users))
            raise MismatchError(
                f"the reports are on different users ({differ:,} are in one of them only); evaluate on one test part"
            )
        return self.per_user[name][order][np.searchsorted(self.users[order], users)].astype(np.float64)

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        r"""Interval of a mean over users, by the normal approximation, within the bounds of the metric.

        .. math:: \bar{x} \pm z \, s / \sqrt{n}

        with s the standard deviation over the n users (divisor n - 1) and z the normal quantile of the level. It says
        how the mean would vary with other users of the same kind, for these trained models; it says nothing about other
        seeds, and is too narrow for values that few users have. Where it would leave the bounds of a metric, such as 0
        and 1, it is taken of the logit, as `jaxrec.statistics.normal_interval` says. Values over all lists, like
        coverage, are no mean over users and have no such interval.

        Args:
          name: a per-user value.
          level: the probability, between 0 and 1.

        Returns:
          (low, high); NaN with fewer than two users.

        Raises:
          JaxrecError: no per-user value of this name, or a level outside (0, 1).

        >>> report = Report(np.arange(4), {"recall@10": np.array([0.0, 0.5, 0.5, 1.0])})
        >>> [round(end, 3) for end in report.interval("recall@10")]
        [0.1, 0.9]
        """
        return normal_interval(self._defined(name), level, self.bounds_of(name))

    def spread(self, name: str, level: float = 0.95) -> SeedSpread:
        """The spread of a value over the trainings that this report is the mean of, as `seed_spread` gives it.

        It says how the value varies when the model is trained again, for every value, those over all lists too. It says
        nothing about other users. A claim about methods needs at least 5 trainings.

        Args:
          name: any value of the report.
          level: the probability of the interval, between 0 and 1.

        Returns:
          Mean, standard deviation, and the ends of the interval of the mean; NaN where a training has no such value.

        Raises:
          JaxrecError: a report of one training, no value of this name, or a level outside (0, 1).

        >>> from jaxrec.reports import average_reports
        >>> runs = [Report(np.arange(2), {"recall@10": np.array(values)}) for values in ([0.0, 1.0], [0.5, 1.0])]
        >>> average_reports(runs).spread("recall@10").mean
        0.625
        """
        check_level(level)
        if self.runs < 2:
            raise JaxrecError("the report is of one training; a spread needs several: average_reports makes their mean")
        if name not in self.seeds:
            raise JaxrecError(f"the report has no value {name!r}; it has {', '.join(self.names)}")
        return spread_of(self.seeds[name], level, self.bounds_of(name))

    def of_trained_users(self) -> Report:
        """The report of the users who had training data, from the values of each user that are there already.

        Returns:
          This report where every user had, or where it is not known; otherwise one as `by_group` makes it.

        >>> report = Report(np.arange(2), {"recall@10": np.array([0.0, 1.0])}, trained=np.array([False, True]))
        >>> report.mean("recall@10"), report.of_trained_users().mean("recall@10")
        (0.5, 1.0)
        """
        if self.trained is None or np.all(self.trained):
            return self
        if not np.any(self.trained):
            return self._of_rows(np.zeros(0, np.int32))
        who = (self.users if self.user_ids is None else self.user_ids).tolist()
        return self.by_group(dict(zip(who, map(bool, self.trained), strict=True)))[True]

    def by_group(self, labels: Groups | Mapping[Any, Any] | Sequence[Any] | np.ndarray) -> dict[Any, Report]:
        """A report for each group of users, from the values of each user that are there already.

        Values of all lists together, like coverage or the Gini index, do not follow from values of users: the groups
        have none. They have one count, `users_evaluated`; masks, catalog and seconds are those of the whole report.
        Of a mean of several trainings each is grouped, so that a group has its own spread over seeds.

        Args:
          labels: `Groups` of users, for example from `jaxrec.reports.activity_groups`; a mapping from a user's id
            (the index where the report knows no ids) to a label; or an array [n] with the label of each of `users`.

        Returns:
          Label to report, in the order of `Groups`, otherwise in natural order. A group without an evaluated user is
          not there.

        Raises:
          MismatchError: an evaluated user without a label, or another number of labels.
          JaxrecError: a label that is missing or cannot name a group; a mean of trainings without their reports.

        >>> report = Report(np.arange(3), {"recall@10": np.array([0.0, 0.5, 1.0])})
        >>> {label: group.mean("recall@10") for label, group in report.by_group(["new", "old", "old"]).items()}
        {'new': 0.0, 'old': 0.75}
        """
        if self.runs > 1:
            if not self.members:
                raise JaxrecError(
                    f"the report is the mean of {self.runs} trainings and lacks their reports; make it with "
                    "average_reports"
                )
            from jaxrec.reports._averages import average_reports

            return average_reports([member.by_group(labels) for member in self.members])
        if isinstance(labels, Groups):
            groups = Groups(labels.names, labels.at(self.users, self.user_ids, "user"))
        elif isinstance(labels, Mapping):
            groups = as_groups(labels, self.users if self.user_ids is None else self.user_ids, len(self.users), "user")
        else:
            groups = as_groups(labels, self.user_ids, len(self.users), "user")
        out = {}
        for at, name in enumerate(groups.names):
            rows = np.flatnonzero(groups.of == at)
            if len(rows):
                out[name] = self._of_rows(rows)
        return out

    def _of_rows(self, rows: np.ndarray) -> Report:
        """The report of some of the users of one training."""
        return dataclasses.replace(
            self,
            users=self.users[rows],
            per_user={key: values[rows] for key, values in self.per_user.items()},
            overall={},
            counts={"users_evaluated": len(rows)},
            user_ids=None if self.user_ids is None else self.user_ids[rows],
            trained=None if self.trained is None else self.trained[rows],
            runs=1,
            seeds={},
            members=(),
        )

    def bounds_of(self, name: str) -> tuple[float, float] | None:
        """The lowest and highest value that there can be under a name, as its metric says; None where it says none.

        >>> Report(np.arange(1), {"recall@10": np.array([0.5])}).bounds_of("recall@10")
        (0.0, 1.0)
        """
        return self.bounds[name] if name in self.bounds else bounds_of(name)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings for JSON; None where a number is not defined.

        `mean` and `interval` (95%, over users); `seeds`, for a mean of several trainings only: name to `values`, one
        for each, with their `mean`, `std` and the ends of the 95% interval of the mean over seeds, `low` and `high`;
        `mean_of_trained_users` where some users had no training data; then counts and settings.

        >>> Report(np.arange(2), {"recall@10": np.array([0.0, 1.0])}).to_dict()["mean"]
        {'recall@10': 0.5}
        """
        return {
            "mean": {name: _plain(self.mean(name)) for name in self.names},
            "interval": {name: [_plain(end) for end in self.interval(name)] for name in self.per_user},
            "seeds": {
                name: {
                    "values": [_plain(value) for value in self.seeds[name].tolist()],
                    **{field: _plain(value) for field, value in self.spread(name)._asdict().items()},
                }
                for name in (self.names if self.runs > 1 else ())
            },
            **({"mean_of_trained_users": without} if (without := self._without_untrained()) else {}),
            "counts": {name: _plain(count) for name, count in self.counts.items()},
            "seconds": _plain(self.seconds),
            "masked": self.masked,
            "fitted": self.fitted,
            "catalogue": self.catalogue,
            "space": self.space,
            **({"ordered": self.ordered} if self.ordered else {}),
            "runs": self.runs,
        }

    def to_frame(self) -> Any:
        """The values of each user as a pandas frame: a column `user` (the id, or the index where ids are not known).

        Raises:
          JaxrecError: pandas is not installed.

        >>> Report(np.arange(2), {"recall@10": np.array([0.0, 1.0])}).to_frame().columns.tolist()
        ['user', 'recall@10']
        """
        try:
            import pandas
        except ImportError:
            raise JaxrecError('to_frame needs pandas: pip install "jaxrec[data]"') from None
        users = self.users if self.user_ids is None else self.user_ids
        return pandas.DataFrame({"user": users, **self.per_user})

    def _repr_html_(self) -> str:
        rows = [["", "mean", "95% interval over users"]]
        for name in self.names:
            ends = _ends(*self.interval(name)) if name in self.per_user else ""
            rows.append([name, number_text(self.mean(name)), ends])
        told = self._told()
        runs = f", mean of {self.runs} runs" if self.runs > 1 else ""
        return html_table(
            f"Report of {len(self.users):,} users{runs}",
            rows,
            [f"{name}: {text}" for name, text in told.items() if text],
        )

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        several = self.runs > 1
        heads = (
            ["95% interval over users", "std over seeds", "95% interval over seeds"] if several else ["95% interval"]
        )
        rows = [["", "mean", *heads]]
        for name in self.names:
            row = [name, number_text(self.mean(name)), _ends(*self.interval(name)) if name in self.per_user else ""]
            if several:
                spread = self.spread(name)
                row += [number_text(spread.std), _ends(spread.low, spread.high)]
            rows.append(row)
        lines = [aligned_text(rows), f"{len(self.users):,} users, {self.seconds:.1f} s"]
        if several:
            lines[-1] += f", mean of {self.runs} runs"
            lines += ["over users: these trained models with other users; over seeds: the models trained again"]
            if self.runs < ENOUGH_SEEDS:
                lines += [f"{self.runs} seeds: a claim about methods needs at least {ENOUGH_SEEDS}"]
        shown = {name: count for name, count in self.counts.items() if count and name != "users_evaluated"}
        lines += [f"{name.replace('_', ' ')}: {round(count, 1):,}" for name, count in shown.items()]
        if without := self._without_untrained():
            values = ", ".join(f"{name} {number_text(math.nan if v is None else v)}" for name, v in without.items())
            lines.append(f"without users untrained: {values}")
        lines += [f"{name}: {text}" for name, text in self._told().items() if text]
        return "\n".join(printable(line) for text in lines for line in text.split("\n"))

    def _told(self) -> dict[str, str]:
        """The settings in words."""
        known = {"lists ordered": self.ordered, "masked": self.masked, "fitted": self.fitted}
        return {**known, "catalog": self.catalogue, "item space": self.space}

    def _without_untrained(self) -> dict[str, float | int | None]:
        """The means over users with training data; none where all have it, or where it is not known."""
        if self.trained is None or np.all(self.trained):
            return {}
        own = self.of_trained_users()
        return {name: _plain(own.mean(name)) for name in self.per_user}

    def _defined(self, name: str) -> np.ndarray:
        if name not in self.per_user:
            why = " (it is one number of all lists, not a mean over users)" if name in self.overall else ""
            raise JaxrecError(f"the report has no per-user value {name!r}{why}; it has {', '.join(self.per_user)}")
        # Means of many small float32 numbers are taken in float64.
        values = self.per_user[name].astype(np.float64)
        return values[~np.isnan(values)]


def _ends(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"{low:.4f} to {high:.4f}"


def _plain(value: float) -> float | int | None:
    if isinstance(value, (int, np.integer)):
        return int(value)
    return float(value) if math.isfinite(value) else None
