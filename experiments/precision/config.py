"""What is trained in both precisions."""

from __future__ import annotations

import jaxrec
from jaxrec.losses import BPR, InBatchSoftmax
from jaxrec.training import Adam

MODEL = jaxrec.LightGCN(dim=64, layers=3)
LOSSES = {"softmax": InBatchSoftmax(), "bpr": BPR()}
SEEDS = 3
OPTIONS = jaxrec.TrainingOptions(optimizer=Adam(5e-3), batch_size=2048, validation=None, regularizer=None)
EPOCHS = {"movielens-small": 20, "ml-100k": 20}
K = 10
