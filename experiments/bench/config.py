"""What is measured, and with which settings."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Literal, get_args

import jaxrec

Name = Literal["step", "topk", "evaluator", "rows", "seeds", "als-free", "svdpp", "nmf", "scaling", "memory"]
StepPeer = Literal["coo", "csr", "geometric-csr", "geometric-edges"]
NAMES: tuple[Name, ...] = get_args(Name)
UNIT_STEP = "s a step"

# Chosen on a tenth of the training part. With summed gradients a batch does nearly what its rows would do one after
# another, as the peer works.
BPR_FIT = jaxrec.FitOptions(
    loss="bpr",
    sparse=True,
    optimizer="adagrad",
    reduction="sum",
    batch_size=4096,
    learning_rate=0.1,
    l2=0.02,
    epochs=10,
)


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure jaxrec beside its peers.

    Attributes:
      out: the result file, JSON.
      only: which benchmarks.
      quick: small generated data and few repeats, to see that all of it runs; the figures mean nothing.
      full: the largest sizes of "scaling" too (up to 8e7 interactions and 4e6 nodes).
      repeats: counted measurements of each row; their median is reported, with the spread.
      threads: of every library.
      seed: of the generated data, the starts and the batches.
      dims: widths of "step".
      peer_steps: steps of a peer in one turn of "step"; it is timed `repeats` times so many.
      epoch_steps: steps of ours in one program in a turn of "step"; 0 for a whole epoch.
      factors: width of "topk", "evaluator", "als-free" and NMF of all entries.
      bpr: how "als-free" trains ours; monitored is recall@20 on the test part, for the curve only.
      bpr_scale: standard deviation of our start in "als-free".
      seeds_epochs: of each training of "seeds".
      peer_epochs: of the peer in "als-free".
      peer_learning_rate: of the peer in "als-free"; its default is 0.01.
      peer_l2: of the peer in "als-free"; its default is 0.01.
      curve_every: epochs between two points of our curve in "als-free".
      peer_curve_every: the same of the peer, whose epochs are shorter.
      rounds: iterations of NMF of all entries.
    """

    out: pathlib.Path = pathlib.Path("runs/bench.json")
    only: tuple[Name, ...] = NAMES
    quick: bool = False
    full: bool = False
    repeats: int = 5
    threads: int = 2
    seed: int = 0
    dims: tuple[int, ...] = (64, 256)
    step_peers: tuple[StepPeer, ...] = get_args(StepPeer)
    peer_steps: int = 4
    epoch_steps: int = 0
    factors: int = 64
    bpr: jaxrec.FitOptions = BPR_FIT
    bpr_scale: float = 0.1
    seeds_epochs: int = 5
    peer_epochs: int = 120
    peer_learning_rate: float = 0.02
    peer_l2: float = 0.0001
    curve_every: int = 1
    peer_curve_every: int = 10
    rounds: int = 20

    def __post_init__(self) -> None:
        for name in (
            "repeats",
            "threads",
            "peer_steps",
            "factors",
            "seeds_epochs",
            "peer_epochs",
            "curve_every",
            "peer_curve_every",
            "rounds",
        ):
            if getattr(self, name) < 1:
                raise jaxrec.JaxrecError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.epoch_steps < 0:
            raise jaxrec.JaxrecError(f"epoch_steps must not be negative, got {self.epoch_steps}")


def smaller(options: Options) -> Options:
    """The options of a smoke run: two repeats, narrow vectors, short trainings."""
    if not options.quick:
        return options
    return dataclasses.replace(
        options,
        repeats=2,
        dims=(8,),
        peer_steps=1,
        factors=8,
        bpr=dataclasses.replace(options.bpr, epochs=2, batch_size=256),
        peer_epochs=2,
        peer_curve_every=1,
        rounds=3,
    )
