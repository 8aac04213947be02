"""Bytes and seconds by arithmetic: what a part holds, what must move, and how long that takes at the least."""

from __future__ import annotations

from experiments.plans.config import SHARE, Data, Machine

FLOAT, INDEX = 4, 4


def held(data: Data) -> dict[str, int]:
    """Bytes of what a training of LightGCN by BPR and Adam holds, of all devices together.

    State: the tables and Adam's two moments. Operator: value, row and column of both directions of each pair, and
    the pointers. Pairs: user and item, each user's sorted items with pointers, the share of each item.
    """
    state = 3 * FLOAT * data.nodes * data.dim
    matrix = 2 * data.pairs * (FLOAT + 2 * INDEX) + INDEX * (data.nodes + 1)
    pairs = data.pairs * 3 * INDEX + INDEX * (data.users + 1) + FLOAT * data.items
    return {"state": state, "operator": matrix, "pairs": pairs}


def on_a_device(data: Data, machine: Machine, way: str) -> float:
    """Bytes of one device: what it holds, and while a step runs three tables, its part of them or the gathered ones.

    Args:
      data, machine: planned.
      way: "rows", where all is shared and the table of a product is gathered in 8 blocks of columns, or "columns",
        where the operator is on every device.
    """
    parts, n, whole = held(data), machine.devices, FLOAT * data.nodes * data.dim
    pairs = parts["pairs"]  # on every device, unless there are several hosts that read their own part
    if way == "columns" or n == 1:
        return parts["state"] / n + parts["operator"] + pairs + 3 * whole / n
    return (parts["state"] + parts["operator"] + pairs) / n + 3 * whole / n + whole / 8


def moved(data: Data, columns: float, small: int, width: int = FLOAT) -> float:
    """Bytes of a product that is bound by memory: entries, a gathered row for each, and the result.

    Args:
      data: planned.
      columns: of the table that a device has.
      small: bytes of a transaction.
      width: bytes of a number of the table, 4 or 2.
    """
    row = -(-width * columns // small) * small
    return 2 * data.pairs * (FLOAT + 2 * INDEX + row) + FLOAT * data.nodes * columns


def seconds_of_step(data: Data, machine: Machine, way: str, width: int = FLOAT) -> dict[str, float]:
    """Seconds of a step: products, Adam, and what comes from other devices.

    There are 2 L products. Adam reads and writes state and gradient, 28 bytes a number.
    """
    n, products = machine.devices, 2 * data.layers
    if way == "columns":
        product = moved(data, data.dim / n, machine.small, width)
    else:
        product = moved(data, data.dim, machine.small, width) / n
    received = 0.0
    if machine.link is not None and way == "rows":
        received = products * width * data.nodes * data.dim * (n - 1) / n / machine.link
    elif machine.link is not None:
        received = 2 * FLOAT * 2 * data.batch / machine.link  # scores of positives and negatives, there and back
    return {
        "products": products * product / (SHARE * machine.bandwidth),
        "Adam": 28 * data.nodes * data.dim / n / machine.bandwidth,
        "received": received,
    }


def way_of(data: Data, machine: Machine) -> str:
    """The way that fits the memory and takes fewer seconds; "none" where neither fits nine tenths of it."""
    ways = ("columns",) if machine.devices == 1 else ("columns", "rows")
    fitting = [way for way in ways if on_a_device(data, machine, way) <= 0.9 * machine.memory]
    return min(fitting, key=lambda way: sum(seconds_of_step(data, machine, way).values()), default="none")


def ranking_seconds(data: Data, machine: Machine) -> float:
    """Seconds of ranking the catalog for every user: the product of the tables, at half of the peak."""
    return 2 * data.users * data.items * data.dim / (0.5 * machine.flops * machine.devices)
