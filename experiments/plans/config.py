"""The data and the machines that are planned for; figures of machines are those of their makers."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Data:
    """Sizes of data and of a training.

    Attributes:
      users, items, pairs: U, I, E.
      batch: B.
      dim: d.
      layers: L.
    """

    users: int
    items: int
    pairs: int
    batch: int
    dim: int = 64
    layers: int = 3

    @property
    def nodes(self) -> int:
        """N."""
        return self.users + self.items


@dataclasses.dataclass(frozen=True)
class Machine:
    """Some equal devices.

    Attributes:
      devices: how many.
      memory: bytes of one.
      bandwidth: bytes a second between one and its memory.
      link: bytes a second that one receives from the others; None for one device.
      flops: multiplications and additions a second of one, in float32 as the library ranks.
      small: bytes of a transaction: what a gathered row is rounded up to.
      lanes: numbers that a stored row of a table is filled up to, 128 on a TPU.
      native: whether products read compressed rows, as on a CPU: no row of an entry is stored, and no gathered row.
    """

    devices: int
    memory: float
    bandwidth: float
    link: float | None
    flops: float
    small: int
    lanes: int = 1
    native: bool = False


DATA = {
    "Gowalla": Data(29_858, 40_981, 810_128, 2_048),
    "2 x 10^7": Data(600_000, 400_000, 20_000_000, 65_536),
    "10^8": Data(1_000_000, 200_000, 100_000_000, 65_536),
    "10^9": Data(10_000_000, 1_000_000, 1_000_000_000, 1_048_576),
}
MACHINES = {
    "a CPU host": Machine(1, 512e9, 300e9, None, 3e12, 64, native=True),
    "4 CPU hosts, 100 Gb/s": Machine(4, 512e9, 300e9, 12.5e9, 3e12, 64, native=True),
    "an H100": Machine(1, 80e9, 3.35e12, None, 60e12, 32),
    "8 H100, NVLink": Machine(8, 80e9, 3.35e12, 450e9, 60e12, 32),
    "TPU v5e, 16 chips": Machine(16, 16e9, 819e9, 200e9, 40e12, 512, lanes=128),
    "TPU v5p, 64 chips": Machine(64, 95e9, 2.765e12, 600e9, 100e12, 512, lanes=128),
}
SHARE = 0.3
"""Of the bandwidth, what gathers of rows are planned to reach: an assumption; `experiments.accelerator` measures it."""
FITS = 0.9
"""Of the memory of a device, what a plan may take."""
BLOCKS = 8
"""The blocks of columns that are tried where a product without them does not fit."""
