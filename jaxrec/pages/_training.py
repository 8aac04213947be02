"""How the runs came about: learning curves, seconds, settings, versions, and the command that repeats each."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxrec.errors import JaxrecError, RunFolderError
from jaxrec.fitting._described import class_at, describe, plain_description
from jaxrec.pages._charts import line_chart
from jaxrec.pages._evidence import Entry, Evidence
from jaxrec.pages._marks import key_of
from jaxrec.pages._markup import Html, joined, tag
from jaxrec.pages._parts import figure, grid, number, paragraph, table

_MOST_ROWS = 25  # epochs in the table behind a learning curve
_SIZES = ("num_users", "num_items")


def training(evidence: Evidence) -> Html:
    """The section of the training."""
    return joined(
        _curves(evidence),
        _seconds(evidence),
        _settings(evidence),
        _versions(evidence),
        _commands(evidence),
    )


def records_of(entry: Entry, stage: str = "fit") -> list[Mapping[str, Any]]:
    """The epochs of one stage of a run, in order.

    Args:
      entry: a run.
      stage: "fit", or "refit" on training and validation part together.
    """
    records: Sequence[Mapping[str, Any]] = entry.model.info.get("records") or ()
    return [record for record in records if str(record.get("stage", "fit")) == stage]


def _curves(evidence: Evidence) -> Html:
    trained = {label: entry for label, entry in evidence.entries.items() if records_of(entry)}
    heading = tag("h3", "Learning curves")
    if not trained:
        return joined(heading, paragraph("No run was trained in epochs, so there is no learning curve."))
    numbers = [evidence.labels.index(label) for label in trained]
    figures = []
    watched = _watched(trained)
    if watched is not None:
        curves = {label: _validations(entry, watched) for label, entry in trained.items()}
        best = {label: float(entry.model.info["best_epoch"]) for label, entry in trained.items()}
        chart = line_chart(
            curves,
            name=f"{watched} on the validation part over the epochs; the mark is the epoch that was chosen.",
            x_label="epoch",
            y_label=f"{watched}, validation",
            numbers=numbers,
            marked=best,
        )
        chosen = ", ".join(f"{label} {epoch:.0f}" for label, epoch in best.items())
        caption = f"Validation while training; the mark is the epoch that was chosen ({chosen})."
        figures.append(figure(chart, caption, _epochs_table(curves, watched), key=_key(trained, numbers)))
    losses = {
        label: [(float(one["epoch"]), float(one["loss"]) / _first_loss(entry)) for one in records_of(entry)]
        for label, entry in trained.items()
    }
    chart = line_chart(
        losses,
        name="The training loss of each run as a share of that of its first epoch.",
        x_label="epoch",
        y_label="loss, as a share of the first epoch's",
        numbers=numbers,
        y_include=[0.0],
    )
    raw = {
        label: [(float(one["epoch"]), float(one["loss"])) for one in records_of(entry)]
        for label, entry in trained.items()
    }
    caption = "The training loss. Losses of different kinds have scales of their own, so each is divided by its first."
    figures.append(figure(chart, caption, _epochs_table(raw, "loss"), key=_key(trained, numbers)))
    return joined(heading, grid(figures))


def _key(trained: Mapping[str, Entry], numbers: Sequence[int]) -> Html:
    return key_of(list(trained), lines=True, numbers=numbers)


def _watched(trained: Mapping[str, Entry]) -> str | None:
    """The validation metric that most of the runs have, the better known first."""
    names: dict[str, int] = {}
    for entry in trained.values():
        have = {name for record in records_of(entry) for name in (record.get("valid") or {})}
        for name in have:
            names[name] = names.get(name, 0) + 1
    return max(
        names, key=lambda name: (names[name], name.startswith("ndcg@10"), name.startswith("ndcg"), name), default=None
    )


def _validations(entry: Entry, name: str) -> list[tuple[float, float]]:
    validated = [record for record in records_of(entry) if name in (record.get("valid") or {})]
    return [(float(record["epoch"]), float(record["valid"][name])) for record in validated]


def _first_loss(entry: Entry) -> float:
    first = abs(float(records_of(entry)[0]["loss"]))
    return first if first > 0 and math.isfinite(first) else 1.0


def _epochs_table(curves: Mapping[str, Sequence[tuple[float, float]]], name: str) -> Html:
    epochs = sorted({epoch for points in curves.values() for epoch, _ in points})
    step = -(-len(epochs) // _MOST_ROWS)
    shown = sorted({*epochs[::step], *epochs[-1:]})
    values = {label: dict(points) for label, points in curves.items()}
    rows = [[f"{epoch:g}", *(_value(own.get(epoch)) for own in values.values())] for epoch in shown]
    return table(["epoch", *curves], rows, caption=f"{name} by epoch" + (f", one epoch in {step}" if step > 1 else ""))


def _value(value: float | None) -> str:
    return "–" if value is None else number(value)


def _seconds(evidence: Evidence) -> Html:
    rows = []
    for label, entry in evidence.entries.items():
        took: Mapping[str, Any] = entry.model.info.get("seconds") or {}
        epochs = took.get("epochs") or []
        together = entry.model.info.get("together")
        measured = (
            entry.report.seconds if entry.report is not None else entry.figures.get("seconds", {}).get("evaluate")
        )
        rows.append(
            [
                label + (f" (with {together - 1} more in one program)" if together else ""),
                _second(took.get("fit")),
                _second(took.get("compile")),
                str(len(epochs)) if epochs else "–",
                _second(sum(epochs)) if epochs else "–",
                _second(took.get("evaluate")),
                _second(measured),
            ]
        )
    head = ["", "fit in all", "of it compilation", "epochs", "of them", "validation", "test"]
    return joined(tag("h3", "Seconds"), table(head, rows, caption="Wall time in seconds", stacked=True))


def _second(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, (int, float)) and math.isfinite(value) else "–"


def settings_of(entry: Entry) -> dict[str, str]:
    """The options of the model and of the training of a run, as texts by their names.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "v"], ["a", "b"])
    >>> settings_of(Entry(jaxrec.fit(jaxrec.EASE(l2=3.0), data, key=jax.random.key(0))))["l2"]
    '3.0'
    """
    found: dict[str, str] = {"model": type(entry.model.model).__name__}
    members = ("options",) if "blend" in entry.model.info else ()  # the table of the members has their trainings
    for one in (entry.model.model, entry.model.options):
        if not dataclasses.is_dataclass(one):
            continue
        for name, value in plain_description(one).items():
            if name not in (*_SIZES, *members) and value is not None:
                found[name] = _word(value)
    seed = entry.figures.get("seed", entry.model.info.get("seed"))
    key = entry.model.info.get("key")
    if seed is not None:
        found["seed"] = str(seed)
    elif key:
        found["key"] = " ".join(map(str, key))
    found["best epoch"] = str(entry.model.info.get("best_epoch") or "–")
    found["fitted on"] = str(entry.model.info.get("fitted_on", "–"))
    return found


def _word(value: Any) -> str:
    if isinstance(value, Mapping) and "kind" in value:
        return brief(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_word(one)}" for name, one in value.items() if one is not None)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_word, value)) or "none"
    return str(value)


def brief(described: Mapping[str, Any]) -> str:
    """The name of an object of options, and those that differ from their defaults; sizes are left out.

    Args:
      described: see `jaxrec.fitting._described.describe`.

    >>> import jaxrec
    >>> from jaxrec.fitting._described import describe
    >>> brief(describe(jaxrec.EASE(l2=1.25, num_users=7))), brief(describe(jaxrec.MF()))
    ('EASE (l2 1.25)', 'MF')
    """
    usual = _defaults(described["kind"])
    own = {
        name: value
        for name, value in described["fields"].items()
        if name not in _SIZES and value is not None and (name not in usual or usual[name] != value)
    }
    inner = ", ".join(f"{name} {f'{one:.4g}' if isinstance(one, float) else _word(one)}" for name, one in own.items())
    kind = described["kind"].rpartition(":")[2]
    return f"{kind} ({inner})" if inner else kind


@functools.cache
def _defaults(place: str) -> dict[str, Any]:
    """The options of a class that have a default, described; none for a class that this process does not know."""
    try:
        fields = dataclasses.fields(class_at(place))
    except (RunFolderError, TypeError):
        return {}
    found = {}
    for field in fields:
        with contextlib.suppress(JaxrecError):  # of what is no option, such as the parent of a module of Flax
            if field.default is not dataclasses.MISSING:
                found[field.name] = describe(field.default)
            elif field.default_factory is not dataclasses.MISSING:
                found[field.name] = describe(field.default_factory())
    return found


def _settings(evidence: Evidence) -> Html:
    settings = {label: settings_of(entry) for label, entry in evidence.entries.items()}
    names = list(dict.fromkeys(name for own in settings.values() for name in own))
    rows = [[name, *(own.get(name, "–") for own in settings.values())] for name in names]
    columns = range(len(settings) + 1)
    return joined(
        tag("h3", "Settings"),
        table(
            ["", *settings],
            rows,
            caption="Options of models and trainings",
            text_columns=list(columns),
            stacked=True,
            sparse=True,
        ),
        [_members(label, entry) for label, entry in evidence.entries.items()],
    )


def _members(label: str, entry: Entry) -> Html | None:
    """The members of a blend with their weights and what was set for them; None for another model."""
    told = entry.model.info.get("blend")
    if not isinstance(told, Mapping):
        return None
    fields = describe(entry.model.model)["fields"]
    rows = [
        [name, number(float(weight)), brief(calibration), brief(member), "–" if options is None else brief(options)]
        for name, weight, calibration, member, options in zip(
            told["members"], told["weights"], told["calibrations"], fields["members"], fields["options"], strict=True
        )
    ]
    head = ["member", "weight", "calibration", "model", "training"]
    caption = f"Members of {label}: options that differ from their defaults"
    return table(head, rows, caption=caption, text_columns=(0, 2, 3, 4), stacked=True)


def _versions(evidence: Evidence) -> Html:
    found = {label: entry.model.info.get("versions") or {} for label, entry in evidence.entries.items()}
    different = {tuple(sorted(own.items())) for own in found.values()}
    text = lambda own: ", ".join(f"{name} {version}" for name, version in own)  # noqa: E731
    if len(different) == 1:
        told: object = paragraph(text(next(iter(different))) or "not known")
    else:
        rows = [[label, text(sorted(own.items())) or "not known"] for label, own in found.items()]
        told = table(["", "versions"], rows, caption="Versions of each run", text_columns=(0, 1))
    devices = {
        f"{one['count']} × {one['kind']} ({one['platform']})"
        for entry in evidence.entries.values()
        if isinstance(one := entry.figures.get("device"), Mapping) and {"count", "kind", "platform"} <= set(one)
    }
    where = paragraph(f"Fitted on {', '.join(sorted(devices))}.") if devices else None
    return joined(tag("h3", "Versions"), told, where)


def _commands(evidence: Evidence) -> Html:
    by_command: dict[str, list[str]] = {}
    for label, entry in evidence.entries.items():
        by_command.setdefault(entry.command, []).append(label)
    told = []
    for command, labels in by_command.items():
        if command:
            told.append(paragraph(f"{', '.join(labels)}:"))
            told.append(
                tag(
                    "pre",
                    tag("code", command),
                    tabindex="0",
                    role="group",
                    aria_label=f"Command of {', '.join(labels)}",
                )
            )
        else:
            told.append(
                paragraph(f"{', '.join(labels)}: fitted from Python with the settings above; no command is known.")
            )
    return joined(tag("h3", "To repeat the runs"), told)
