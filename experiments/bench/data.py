"""The data of the benchmarks: Gowalla's official split, or small generated data for a smoke run."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import scipy.sparse

import jaxrec
from experiments.bench.config import Options
from experiments.bench.generator import power_law


def ranking_split(options: Options) -> jaxrec.Split:
    """Load the train and test part for ranking, without a validation part."""
    if options.quick:
        data = power_law(4000, 300, 200, jax.random.key(options.seed))
        return jaxrec.split(data, "user_random", test=0.2, valid=0.0, key=jax.random.key(options.seed))
    return jaxrec.split(jaxrec.load("gowalla"), "predefined")


def user_items(data: jaxrec.Interactions) -> Any:
    """Convert the pairs to a compressed-row matrix [U, I] of ones, float32, the format of the peers."""
    ones = np.ones(len(data), np.float32)
    return scipy.sparse.csr_matrix((ones, (data.user, data.item)), shape=(data.num_users, data.num_items))
