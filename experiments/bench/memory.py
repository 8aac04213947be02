"""Peak memory of a training from the command line, in a separate process."""

from __future__ import annotations

import pathlib
import sys
import tempfile

import jax
import numpy as np

from experiments.bench.config import Options
from experiments.bench.generator import power_law
from experiments.bench.process import run_measured
from experiments.bench.timing import Row

BAR = 1.2  # GB


def run(options: Options) -> list[Row]:
    """Measure the peak memory and seconds of `jaxrec fit` for one epoch of LightGCN with BPR and the evaluation."""
    peaks, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        source = str(_file(pathlib.Path(folder), options.seed)) if options.quick else "gowalla"
        out = str(pathlib.Path(folder, "run"))
        flags = ["--model", "lightgcn", "--loss", "bpr", "--epochs", "1", "--out", out]
        for _ in range(options.repeats):
            _, peak, took = run_measured([sys.executable, "-m", "jaxrec", "fit", source, *flags])
            peaks.append(peak / 1e9)
            seconds.append(took)
    setting = "generated" if options.quick else "Gowalla, 1 epoch of LightGCN"
    note = f"{'within' if max(peaks) <= BAR else 'over'} the bar of {BAR} GB at its largest"
    return [
        Row("memory", setting, "jaxrec fit", "GB, peak", tuple(peaks), note=note),
        Row("memory", setting, "jaxrec fit", "s, whole command", tuple(seconds)),
    ]


def _file(folder: pathlib.Path, seed: int) -> pathlib.Path:
    """Write a small file of pairs, for the smoke run."""
    data = power_law(2000, 100, 80, jax.random.key(seed))
    path = folder / "pairs.csv"
    pairs = np.stack([data.user, data.item], axis=1)
    np.savetxt(path, pairs, "%d", ",", header="user,item", comments="")
    return path
