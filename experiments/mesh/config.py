"""What is measured: the model, its training, the layouts, and the flags of the compiler."""

from __future__ import annotations

import jaxrec
from jaxrec.losses import BPR
from jaxrec.parallel import Layout
from jaxrec.training import Adam

DEVICES = 8
FAKE = f"--xla_force_host_platform_device_count={DEVICES}"
# XLA's scheduler for CPUs runs what it can side by side, and so keeps many more buffers than one device would.
ONE_AFTER_ANOTHER = "--xla_cpu_enable_concurrency_optimized_scheduler=false"

MODEL = jaxrec.LightGCN(dim=64, layers=3)
OPTIONS = jaxrec.TrainingOptions(
    loss=BPR(), optimizer=Adam(1e-3), batch_size=2048, epochs=1, validation=None, refit=False
)
LAYOUTS = (
    Layout(),
    *(Layout(rows=devices) for devices in (2, 4, 8)),
    Layout(rows=8, blocks=8),
    *(Layout(columns=devices) for devices in (2, 4, 8)),
    Layout(rows=2, columns=4),
)
RUNS = (None, Layout(rows=4), Layout(columns=4))
# An epoch of this batch has 20 steps on Gowalla.
RUN_BATCH = 40_960
