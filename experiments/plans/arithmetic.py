"""Bytes and seconds by arithmetic: what a device holds, what must move, and how long that takes at the least.

Bytes and seconds of a plan are those of one program: a `Layout` of the library (one device, columns, rows, or rows in
blocks of columns), and whether the compiler stores the gathered rows of a product before it sums them. What is counted
is what `jaxrec.fitting.step_plan` counts; tests/experiments/test_plans.py compares them.
"""

from __future__ import annotations

from experiments.plans.config import BLOCKS, FITS, SHARE, Data, Machine
from jaxrec.parallel import Layout

FLOAT, INDEX = 4, 4
KEPT, SHUFFLING = 5, 16
"""Bytes an interaction of the order of an epoch: places and a mask while it lasts, and more while they are shuffled."""


def held(data: Data, *, native: bool) -> dict[str, int]:
    """Bytes of what a training of LightGCN by BPR and Adam holds on one device.

    State: the tables and Adam's two moments. Operator: value and column of both directions of each pair, the pointers,
    and the row but for `native` products. Pairs: user and item, each user's sorted items with pointers, the share of
    each item.
    """
    state = 3 * FLOAT * data.nodes * data.dim
    matrix = 2 * data.pairs * entry_bytes(native=native) + INDEX * (data.nodes + 1)
    pairs = data.pairs * 3 * INDEX + INDEX * (data.users + 1) + FLOAT * data.items
    return {"state": state, "operator": matrix, "pairs": pairs}


def entry_bytes(*, native: bool) -> int:
    """Bytes of an entry of the operator: value and column, and its row."""
    return FLOAT + INDEX if native else FLOAT + 2 * INDEX


def stored(columns: int, lanes: int) -> int:
    """The numbers that a row of so many columns takes."""
    return -(-columns // lanes) * lanes


def on_a_device(data: Data, machine: Machine, layout: Layout, *, stores: bool = False) -> dict[str, int]:
    """Bytes of each device, part by part; `total` has their sum, with the larger of `shuffling` and `step`.

    State and operator are shared, the operator by rows alone; the pairs, each user's items and the order of an epoch
    are on every device as a whole. The state before an epoch is kept until the epoch is over. While a step runs there
    are three tables of the device's part, two more with blocks of columns, the table that is gathered, and the rows of
    the batch, with rows before and after they are summed.

    Args:
      data: planned.
      machine: likewise.
      layout: of the devices.
      stores: whether the compiler stores the gathered rows of a product, one for each entry. The CPU's never does.
    """
    lanes, width = machine.lanes, data.dim // layout.columns
    part = FLOAT * data.nodes // layout.rows * stored(width, lanes)
    entries = 2 * data.pairs // layout.rows
    step = (3 if layout.blocks == 1 else 5) * part + gathered(data, layout, lanes)
    step += FLOAT * 3 * data.batch * stored(width, lanes) * (2 if layout.rows > 1 else 1)
    if stores and not machine.native:
        step += FLOAT * entries * stored(width // layout.blocks, lanes)
    parts = {
        "state": 3 * part,
        "before": 3 * part,
        "operator": entries * entry_bytes(native=machine.native) + INDEX * (data.nodes // layout.rows + 1),
        "pairs": held(data, native=machine.native)["pairs"],
        "places": INDEX * data.nodes if layout.devices > 1 else 0,
        "order": KEPT * data.pairs,
        "shuffling": SHUFFLING * data.pairs,
        "step": step,
    }
    return parts | {"total": sum(parts.values()) - min(parts["shuffling"], parts["step"])}


def gathered(data: Data, layout: Layout, lanes: int = 1) -> int:
    """Bytes of the table, or of its block, that a product in rows gathers at a time."""
    width = data.dim // layout.columns // layout.blocks
    return FLOAT * data.nodes * stored(width, lanes) if layout.rows > 1 else 0


def moved(data: Data, machine: Machine, layout: Layout, *, width: int = FLOAT, stores: bool = False) -> int:
    """Bytes that a product moves on each device, bound by memory: entries, a gathered row for each, and the result.

    With blocks of columns the entries are read once a block, and the row of a block is a transaction at the least.

    Args:
      data: planned.
      machine: likewise.
      layout: of the devices.
      width: bytes of a number of the table, 4 or 2.
      stores: see `on_a_device`; the rows are then written and read once more.
    """
    columns = data.dim // layout.columns
    row = -(-width * columns // layout.blocks // machine.small) * machine.small
    if stores and not machine.native:
        row += 2 * FLOAT * stored(columns // layout.blocks, machine.lanes)
    entries = 2 * data.pairs // layout.rows * (entry_bytes(native=machine.native) + row)
    return layout.blocks * entries + FLOAT * data.nodes // layout.rows * columns


def communicated(data: Data, layout: Layout, lanes: int = 1) -> dict[str, int]:
    """Bytes of the results of a step's collectives on each device, as `jaxrec.fitting.step_plan` counts them.

    In rows all products but one gather the table (the last layer's way back begins with rows that every device has),
    and the three rows of each pair of a batch are summed over devices before and after propagation. In columns five
    numbers a pair are summed.
    """
    if layout.rows > 1:
        rows = 3 * data.batch * stored(data.dim // layout.columns, lanes)
        gathers = (2 * data.layers - 1) * layout.blocks * gathered(data, layout, lanes)
        return {"all-gather": gathers, "all-reduce": 2 * FLOAT * rows}
    return {"all-reduce": 5 * FLOAT * data.batch} if layout.columns > 1 else {}


def seconds_of_step(
    data: Data, machine: Machine, layout: Layout, *, width: int = FLOAT, stores: bool = False
) -> dict[str, float]:
    """Seconds of a step: products, Adam, and what comes from other devices; for the arguments see `moved`.

    There are 2 L products. Adam reads and writes state and gradient, 28 bytes a number. Of what is gathered a device
    has its own part; a sum over devices is received once as parts and once as a whole.
    """
    own, sent = data.nodes // layout.rows * stored(data.dim // layout.columns, machine.lanes), 0.0
    if machine.link is not None:
        others = (layout.devices - 1) / layout.devices
        made = communicated(data, layout, machine.lanes)
        sent = others * (made.get("all-gather", 0) + 2 * made["all-reduce"]) / machine.link
    product = moved(data, machine, layout, width=width, stores=stores) / (SHARE * machine.bandwidth)
    return {"products": 2 * data.layers * product, "Adam": 28 * own / machine.bandwidth, "received": sent}


def layout_of(data: Data, machine: Machine, *, stores: bool = False) -> Layout | None:
    """The layout that fits the memory and takes the fewest seconds; None where none fits."""
    n = machine.devices

    def fits(layout: Layout) -> bool:
        return on_a_device(data, machine, layout, stores=stores)["total"] <= FITS * machine.memory

    def seconds(layout: Layout) -> float:
        return sum(seconds_of_step(data, machine, layout, stores=stores).values())

    layouts = (Layout(),) if n == 1 else (Layout(columns=n), Layout(rows=n), Layout(rows=n, blocks=BLOCKS))
    return min(filter(fits, layouts), key=seconds, default=None)


def flags_of(layout: Layout) -> str:
    """The options of `jaxrec fit` for a layout of rows or of columns."""
    if layout.devices == 1:
        return ""
    blocks = f" --column-blocks {layout.blocks}" if layout.blocks > 1 else ""
    return f"--devices {layout.devices} --layout {layout.axes()[0]}{blocks}"


def ranking_seconds(data: Data, machine: Machine) -> float:
    """Seconds of ranking the catalog for every user: the product of the tables, at half of the peak."""
    return 2 * data.users * data.items * data.dim / (0.5 * machine.flops * machine.devices)
