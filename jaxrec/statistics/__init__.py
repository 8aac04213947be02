"""Intervals and tests of differences: over users, for trained models, and over seeds, for methods."""

from jaxrec.statistics._comparison import Comparison, compare_models, holm
from jaxrec.statistics._intervals import normal_interval
from jaxrec.statistics._seeds import ENOUGH_SEEDS, SeedSpread, seed_spread
from jaxrec.statistics._tests import PairedResult, bootstrap_interval, paired_bootstrap, permutation_test

__all__ = [
    "ENOUGH_SEEDS",
    "Comparison",
    "PairedResult",
    "SeedSpread",
    "bootstrap_interval",
    "compare_models",
    "holm",
    "normal_interval",
    "paired_bootstrap",
    "permutation_test",
    "seed_spread",
]
