"""`jaxrec plan`: what a training takes on each of several devices, and sends in each step, before it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

from tyro import conf

from jaxrec import registry
from jaxrec.cli._choices import Choices
from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._devices import MeshOptions, fake_devices, layout_of, ordered
from jaxrec.cli._help import Guide
from jaxrec.cli._output import emit, note
from jaxrec.cli._parsing import ComputeOptions, parse
from jaxrec.cli._source import read_data, split_data
from jaxrec.errors import JaxrecError
from jaxrec.fitting._mesh import check_mesh
from jaxrec.fitting._mesh_plan import DataSizes, StepPlan, choose_layout, step_plan
from jaxrec.fitting._plan import make_plan
from jaxrec.parallel import Layout
from jaxrec.text import aligned_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlanCommand(MeshOptions, ComputeOptions):
    """Options for every model.

    Attributes:
      data: a name that `jaxrec datasets` lists, or the path of a file of ratings or clicks.
      model: its name, or package.module:Class for one of your own; it decides which further options there are.
      devices: how many devices; fake ones are made where JAX has only a CPU, or is started with JAX_PLATFORMS=cpu.
    """

    data: Annotated[str, conf.Positional, conf.arg(metavar="DATA")]
    model: Annotated[str, conf.arg(metavar="NAME")] = "lightgcn"
    data_and_split: conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec plan`; see `PlanCommand` for the options."""
    choices = Choices(argv)
    command = parse(choices.command(PlanCommand), argv, f"plan --model {choices.model_word}", _guide(choices))
    if choices.chooses:
        raise JaxrecError(f"plan is for one model, and {choices.model_word} chooses among several")
    number = 1 if command.devices is None else command.devices
    asked = layout_of(command)
    fake_devices(number)
    command.start()
    model, _ = choices.made(command)
    options, _ = choices.options(command)
    if not getattr(model, "mesh_axes", ()):
        how = "is trained" if choices.trained else "is solved"
        raise JaxrecError(
            f"plan states the bytes of models whose tables several devices can share, {', '.join(shared())}; "
            f"{choices.model_word} {how} on one device, so there is nothing to plan"
        )
    data, data_options = read_data(command.data, command.data_and_split)
    parts = split_data(data, data_options)
    plan = make_plan(model, parts, options)
    sizes = DataSizes.of(plan.part, weighed=options.weights is not None)
    check_mesh(plan.model, ordered(Layout(), command) if asked is None else asked, [options])
    if asked is None:
        chosen, why = choose_layout(plan.model, sizes, options, number)
        chosen = ordered(chosen, command)
    else:
        chosen, why = asked, "as asked"
    plans, left = [], []
    usual = [Layout(), *(dataclasses.replace(Layout(), **{axis: number}) for axis in plan.model.mesh_axes)]
    for layout in dict.fromkeys([*(ordered(each, command) for each in usual), chosen]):
        try:
            check_mesh(plan.model, layout, [options])
            plans.append(step_plan(plan.model, sizes, options, layout, layout.mesh(), compiled=True))
        except JaxrecError as error:
            left.append(str(error))
    for text in left:
        note(text, command.quiet)
    if not plans:
        raise JaxrecError(left[0])
    document = {
        "data": command.data,
        "model": choices.model_word,
        **dataclasses.asdict(sizes),
        "chosen": dataclasses.asdict(chosen),
        "why": why,
        "plans": [each.to_dict() for each in plans],
    }
    emit(document, _text(command.data, sizes, plans, chosen, why), command.json)


def shared() -> list[str]:
    """The models that several devices can share.

    >>> shared()[:2]
    ['mf', 'lightgcn']
    """
    return [name for name in registry.names("model", installed=False) if registry.find("model", name).mesh_axes]


def _guide(choices: Choices) -> Guide:
    """What the help says beside the options."""
    return Guide(
        "The bytes that a training takes on each device, and those that a device gets from others in a step, from the "
        f"compiled program. Nothing is trained. Models: {', '.join(shared())}.",
        first=("model", "devices", "layout"),
        examples=("jaxrec plan movielens-small --devices 8",),
        named=choices.named(),
        elsewhere=choices.elsewhere,
    )


def _text(data: str, sizes: DataSizes, plans: Sequence[StepPlan], chosen: Layout, why: str) -> str:
    head = ("MB a device", "state", "adjacency", "pairs", "arguments", "temporaries", "gathered", "all communicated")
    rows: list[tuple[str, ...]] = [head]
    for plan in plans:
        sent = sum((plan.communicated or {}).values())
        known: tuple[Any, ...] = (plan.state, plan.operator, plan.pairs, plan.arguments, plan.temporaries)
        figures = (*known, plan.gathered.total, sent)
        mark = " *" if plan.layout == chosen else ""
        rows.append((f"{plan.layout}{mark}", *(f"{(figure or 0) / 1e6:,.2f}" for figure in figures)))
    told = [
        f"{data}: {sizes.users:,} users, {sizes.items:,} items, {sizes.pairs:,} pairs",
        aligned_text(rows, right=range(1, len(head))),
        "pairs: with each user's items, on every device; arguments and temporaries: of a step, without them; gathered "
        "and communicated: in one step, on each device",
        "on one device; --devices N compares the layouts of several" if chosen.devices == 1 else f"* {chosen}: {why}",
    ]
    told[2:2] = [plans[0].step] if plans[0].step else []
    return "\n".join(told)
