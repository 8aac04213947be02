"""Batches and negatives as functions of a key, and the samplers that carry their options."""

from jaxrec.sampling._functions import contains, shuffled_batches, uniform_negatives
from jaxrec.sampling._hardest import Hardest, hardest
from jaxrec.sampling._in_batch import InBatch, other_rows
from jaxrec.sampling._objects import Uniform
from jaxrec.sampling._popularity import ItemMass, Popularity, mass_of, weighted_negatives

__all__ = [
    "Hardest",
    "InBatch",
    "ItemMass",
    "Popularity",
    "Uniform",
    "contains",
    "hardest",
    "mass_of",
    "other_rows",
    "shuffled_batches",
    "uniform_negatives",
    "weighted_negatives",
]
