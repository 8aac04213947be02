"""Batches and negatives as functions of a key."""

from jaxrec.sampling._functions import contains, shuffled_batches, uniform_negatives

__all__ = [
    "contains",
    "shuffled_batches",
    "uniform_negatives",
]
