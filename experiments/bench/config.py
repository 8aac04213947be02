"""The benchmarks and their settings."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated, Literal, get_args

import tyro

import jaxrec
from jaxrec.losses import BPR, SquaredL2
from jaxrec.training import Adagrad

Name = Literal["step", "topk", "evaluator", "rows", "seeds", "als-free", "ials", "svdpp", "nmf", "scaling", "memory"]
StepPeer = Literal["coo", "csr", "geometric-csr", "geometric-edges"]
NAMES: tuple[Name, ...] = get_args(Name)
UNIT_STEP = "s per step"

# Chosen on a tenth of the training part. With summed gradients a batch has nearly the effect of its rows one after
# another, which is how the peer works.
BPR_FIT = jaxrec.TrainingOptions(
    loss=BPR(),
    optimizer=Adagrad(0.1, sparse=True),
    regularizer=SquaredL2(0.02),
    reduction="sum",
    batch_size=4096,
    epochs=10,
)


@dataclasses.dataclass(frozen=True)
class Options:
    """Measure jaxrec beside other libraries (peers).

    Attributes:
      out: the result file, JSON.
      only: names of the benchmarks to run.
      quick: a smoke run on small generated data with few repeats; the figures mean nothing.
      full: include the largest sizes of "scaling" (up to 8e7 interactions and 4e6 nodes).
      repeats: number of measurements per row; their median and spread are reported.
      threads: number of threads of every library.
      seed: seed of the generated data, the starts and the batches.
      dims: widths of "step".
      peer_steps: steps of a peer in one round of "step", which has `repeats` rounds.
      epoch_steps: steps of jaxrec in one program in a round of "step"; 0 for a whole epoch.
      factors: width of "topk", "evaluator", "als-free" and NMF of all entries.
      bpr: training options of jaxrec in "als-free"; it monitors recall@20 on the test part, for the curve only.
      bpr_scale: standard deviation of the start of jaxrec in "als-free".
      seeds_epochs: epochs of each training in "seeds".
      peer_epochs: epochs of the peer in "als-free".
      peer_learning_rate: learning rate of the peer in "als-free"; its default is 0.01.
      peer_l2: L2 of the peer in "als-free"; its default is 0.01.
      curve_every: epochs between two points of the curve of jaxrec in "als-free".
      peer_curve_every: epochs between two points of the curve of the peer, whose epochs are shorter.
      rounds: iterations of NMF of all entries.
      als_factors: widths of "ials".
      als_iterations: iterations of "ials", at the most.
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
    bpr: Annotated[jaxrec.TrainingOptions, tyro.conf.Suppress] = BPR_FIT
    bpr_scale: float = 0.1
    seeds_epochs: int = 5
    peer_epochs: int = 120
    peer_learning_rate: float = 0.02
    peer_l2: float = 0.0001
    curve_every: int = 1
    peer_curve_every: int = 10
    rounds: int = 20
    als_factors: tuple[int, ...] = (64, 256)
    als_iterations: int = 10

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
            "als_iterations",
        ):
            if getattr(self, name) < 1:
                raise jaxrec.JaxrecError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.epoch_steps < 0:
            raise jaxrec.JaxrecError(f"epoch_steps must not be negative, got {self.epoch_steps}")


def smaller(options: Options) -> Options:
    """Reduce the options of a smoke run: two repeats, narrow vectors, short trainings."""
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
        als_factors=(8,),
        als_iterations=3,
    )
