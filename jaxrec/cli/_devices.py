"""The flags of several devices."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from typing import Annotated, Any

from jaxrec.cli._parsing import optional
from jaxrec.errors import JaxrecError
from jaxrec.parallel import Layout, NodeOrder
from jaxrec.parallel._mesh import FAKE


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShareOptions:
    """Several devices that share the users.

    Attributes:
      devices: rank on so many devices, which share the users; by default on one.
      item_parts: split the items into so many parts, each on its own devices, where they do not fit one.
    """

    devices: Annotated[int | None, optional("N")] = None
    item_parts: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshOptions:
    """Several devices that share the tables, and the order of users and items in them.

    Attributes:
      devices: train on so many devices, which also share the users when lists are measured; by default on one.
      layout: how they share the tables: by rows, by columns, by ROWSxCOLUMNS such as 4x2, or auto, which chooses rows
        or columns by the bytes that they take.
      column_blocks: with rows, products gather so many blocks of columns one after another, which takes less memory
        and more time.
      node_order: of users and items while a graph model trains, on one device too: that of the data, or by clusters,
        so that products find more of the rows that they gather in the cache; data by default. Draws, models and
        checkpoints are those of the data's order.
    """

    devices: Annotated[int | None, optional("N")] = None
    layout: Annotated[str, optional("auto|rows|columns|RxC")] = "auto"
    column_blocks: int = 1
    node_order: Annotated[NodeOrder | None, optional("data|clusters")] = None


def ordered(layout: Layout, command: Any) -> Layout:
    """A layout that was chosen, with the order of nodes that a command names.

    >>> ordered(Layout(rows=2), MeshOptions(node_order="clusters")).order
    'clusters'
    """
    return dataclasses.replace(layout, order=command.node_order or "data")


def shared_by(command: Any) -> Layout | None:
    """The devices that rank for a command; None where there is one.

    Raises:
      JaxrecError: parts of the items without devices, or that do not divide their number.

    >>> shared_by(ShareOptions(devices=4, item_parts=2))
    Layout(rows=4, columns=1, blocks=1, item_parts=2, order='data')
    """
    if command.devices is None:
        if command.item_parts != 1:
            raise JaxrecError("--item-parts is for several devices; name their number with --devices, or leave it out")
        return None
    if command.devices < 1:
        raise JaxrecError(f"--devices must be at least 1, got {command.devices}")
    return Layout(rows=command.devices, item_parts=command.item_parts)


def layout_of(command: Any) -> Layout | None:
    """The layout that a command names; None where it names none, or leaves it to be chosen.

    Raises:
      JaxrecError: no such layout, or one of another number of devices.

    >>> layout_of(MeshOptions(devices=8, layout="4x2"))
    Layout(rows=4, columns=2, blocks=1, item_parts=1, order='data')
    """
    word, number, blocks = command.layout, command.devices, command.column_blocks
    if number is None:
        if word != "auto" or blocks != 1:
            flag = "--layout" if word != "auto" else "--column-blocks"
            raise JaxrecError(f"{flag} is for several devices; name their number with --devices, or leave it out")
        return ordered(Layout(), command) if command.node_order == "clusters" else None
    if number < 1:
        raise JaxrecError(f"--devices must be at least 1, got {number}")
    if word == "auto":
        if blocks != 1:
            raise JaxrecError(
                f"--column-blocks {blocks} is for --layout rows, or one such as 4x2; name it, or pass --column-blocks 1"
            )
        return None
    both = re.fullmatch(r"(\d+)x(\d+)", word)
    if both is not None:
        layout = Layout(int(both[1]), int(both[2]), blocks)
    elif word in ("rows", "columns"):
        layout = Layout(**{word: number, "blocks": blocks})
    else:
        raise JaxrecError(f"--layout must be auto, rows, columns or one such as 4x2, got {word!r}")
    if layout.devices != number:
        raise JaxrecError(f"--layout {word} takes {layout.devices} devices, and --devices names {number}")
    return ordered(layout, command)


def fake_devices(number: int) -> None:
    """Have JAX make fake devices on the CPU for what only plans, unless it has started or was told their number.

    They are taken where JAX has only a CPU, or is told to by JAX_PLATFORMS=cpu, as the refusal of too few devices says.
    """
    if FAKE.partition("=")[2] in os.environ.get("XLA_FLAGS", ""):
        return
    import jax

    # Where devices are there already it is too late, and where there are accelerators they are taken.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", number)
