"""Layouts: how many devices share the rows, how many the columns, and the mesh of devices that this needs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias, get_args

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrec._checks import whole
from jaxrec.errors import JaxrecError
from jaxrec.parallel._placement import PARTS

AXES = ("rows", "columns")
NodeOrder: TypeAlias = Literal["data", "clusters"]
"""The order of users and items in the tables of a training: that of the data, or by clusters; see `Layout`."""
FAKE = "XLA_FLAGS=--xla_force_host_platform_device_count"


@dataclasses.dataclass(frozen=True)
class Layout:
    """How tables and adjacency lie on several devices, or on one.

    With `rows` each device has some rows of the tables and of the adjacency, and a product gathers the table first.
    With `columns` each has some columns of the tables and the whole adjacency, and a product needs nothing of another
    device. Both make a mesh of rows x columns devices. Lists are ranked by all of them: they share the users, or, where
    the items do not fit one device, `item_parts` of them share the items of the users that are theirs.

    Attributes:
      rows: among how many devices the rows are split.
      columns: among how many the columns.
      blocks: with rows, a product gathers the columns of a device in so many blocks, one after another, or in as many
        as there are columns. It takes less memory and more time: the adjacency is read once for each block. Where the
        number does not divide the columns, some of them are in two blocks.
      item_parts: in ranking, into how many parts the items are split; a divisor of the number of devices. Training has
        no use for it.
      order: of the nodes while they are trained, "data" or "clusters": of all of them, or of those of each device
        where the rows are split. It changes no draw, and what comes back is in the order of the data. Ranking has no
        use for it.

    Raises:
      JaxrecError: a number below 1, parts that do not divide the devices, or another order.

    >>> Layout(rows=4, columns=2).devices, str(Layout(rows=4, columns=2))
    (8, '8 devices (4 x rows, 2 x columns)')
    """

    rows: int = 1
    columns: int = 1
    blocks: int = 1
    item_parts: int = 1
    order: NodeOrder = "data"

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "blocks", "item_parts"):
            object.__setattr__(self, name, whole(name, getattr(self, name), 1))
        if self.devices % self.item_parts:
            raise JaxrecError(
                f"item_parts must divide the number of devices, {self.devices}, got {self.item_parts}; each part is on "
                "equally many of them"
            )
        if self.order not in get_args(NodeOrder):
            raise JaxrecError(f'order must be "data" or "clusters", got {self.order!r}')

    @property
    def devices(self) -> int:
        """How many devices it takes."""
        return self.rows * self.columns

    @property
    def parts(self) -> int:
        """In how many parts rows are placed, see `place`: with clusters each device has one, so that all its rows lie
        by clusters; else they are dealt to the devices, so that tables are one array for 1, 2, 4, ... 64 of these.
        """
        return PARTS if self.order == "data" else self.rows

    def axes(self) -> tuple[str, ...]:
        """The axes that more than one device shares."""
        return tuple(axis for axis in AXES if getattr(self, axis) > 1)

    def mesh(self, devices: Sequence[Any] | None = None) -> Mesh:
        """The mesh of the first devices, or of those given.

        Raises:
          JaxrecError: there are too few.

        >>> Layout().mesh().axis_names
        ('rows', 'columns')
        """
        chosen = devices_for(self.devices) if devices is None else list(devices)
        shape = (self.rows, self.columns)
        return Mesh(np.array(chosen).reshape(shape), AXES, axis_types=(AxisType.Auto,) * 2)

    def __str__(self) -> str:
        ways = ", ".join(f"{getattr(self, axis)} x {axis}" for axis in self.axes())
        several = "s" if self.devices > 1 else ""
        blocks = f"{self.blocks} blocks of columns" if self.blocks > 1 else ""
        parts = f"{self.item_parts} parts of the items" if self.item_parts > 1 else ""
        order = f"nodes by {self.order}" if self.order != "data" else ""
        how = ", ".join(filter(None, (ways, blocks, parts, order)))
        return f"{self.devices} device{several}{f' ({how})' if how else ''}"


def devices_for(number: int) -> list[Any]:
    """The first devices of JAX.

    Raises:
      JaxrecError: there are fewer; the message has the line that makes fake ones. Or there are more, and several
        processes have them.

    >>> len(devices_for(1))
    1
    """
    found = jax.devices()
    if number > len(found):
        platform = found[0].platform
        raise JaxrecError(
            f"{number} devices are asked for and JAX has {len(found)} ({platform}); ask for {len(found)}, or "
            f"{_with_fakes(number, platform, jax.process_count())} for fake ones on the CPU"
        )
    if number != len(found) and jax.process_count() > 1:
        raise JaxrecError(
            f"{number} devices are asked for, and {jax.process_count()} processes have {len(found)} together; ask for "
            "all of them, since every process takes part"
        )
    return found[:number]


def _with_fakes(number: int, platform: str, processes: int) -> str:
    """How to start with so many fake devices, in words.

    Args:
      number: of the devices of all processes.
      platform: that JAX takes by default; on an accelerator the flag alone adds devices that nothing runs on.
      processes: how many there are; each makes its own devices.
    """
    each = -(-number // processes)
    line = f"{'' if platform == 'cpu' else 'JAX_PLATFORMS=cpu '}{FAKE}={each}"
    if processes == 1:
        return f"start with {line}"
    asked = "" if each * processes == number else f"for {each * processes}, a multiple of the processes, and "
    return f"{asked}start each of the {processes} processes with {line}"


def as_mesh(given: int | Layout | Mesh) -> tuple[Mesh, Layout]:
    """A mesh of jaxrec, with the axes rows and columns, and what it says in numbers.

    Args:
      given: a number of devices that share the rows; a layout; or a mesh of JAX with an axis "rows", "columns", or
        both. Of a mesh whose axes are Explicit one with the same devices and Auto axes is made, since all programs
        here leave the partitioning to the compiler.

    Raises:
      JaxrecError: too few devices, or a mesh with other axes.

    >>> as_mesh(1)[1]
    Layout(rows=1, columns=1, blocks=1, item_parts=1, order='data')
    """
    if isinstance(given, Mesh):
        odd = [name for name in given.axis_names if name not in AXES]
        if odd or not given.axis_names:
            raise JaxrecError(
                f"mesh has the axes {', '.join(map(repr, given.axis_names)) or 'none'}; name them 'rows', for devices "
                "that share the rows of the tables, and 'columns', for those that share their columns"
            )
        layout = Layout(**{name: given.shape[name] for name in given.axis_names})
        devices = given.devices if given.axis_names[0] == "rows" else given.devices.T
        return layout.mesh(devices.reshape(-1).tolist()), layout
    if isinstance(given, Layout):
        return given.mesh(), given
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)):
        raise JaxrecError(
            f"mesh is {given!r}; pass a number of devices, jaxrec.parallel.Layout(rows=4), or a jax.sharding.Mesh with "
            "the axes 'rows' and 'columns'"
        )
    layout = Layout(rows=int(given))
    return layout.mesh(), layout


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of what every device has as a whole.

    >>> replicated(Layout().mesh()).is_fully_replicated
    True
    """
    return NamedSharding(mesh, P())


def own_places(mesh: Mesh, axis: str) -> list[int]:
    """Where along an axis of a mesh this process has devices.

    >>> own_places(Layout().mesh(), "rows")
    [0]
    """
    by_axis = np.moveaxis(mesh.devices, mesh.axis_names.index(axis), 0)
    own = jax.process_index()
    return [at for at, devices in enumerate(by_axis) if any(each.process_index == own for each in devices.flat)]


def put(array: Any, sharding: NamedSharding) -> jax.Array:
    """An array of the host on the devices; each gets its own piece only.

    >>> put(np.ones(2), replicated(Layout().mesh())).tolist()
    [1.0, 1.0]
    """
    whole_array = np.asarray(array)
    return jax.make_array_from_callback(whole_array.shape, sharding, lambda index: whole_array[index])


@contextlib.contextmanager
def on_host(several: bool) -> Iterator[None]:
    """Where there are several devices, make arrays on the host's, so that none of them holds all of the data.

    >>> with on_host(False):
    ...     jax.numpy.ones(1).tolist()
    [1.0]
    """
    try:
        host = jax.local_devices(backend="cpu")[0] if several else None
    except RuntimeError:  # a process that was told to use an accelerator alone
        host = None
    if host is None:
        yield
        return
    with jax.default_device(host):
        yield
