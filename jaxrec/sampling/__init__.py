"""Batches and negatives as functions of a key, and the samplers that carry their options."""

from jaxrec.sampling._functions import contains, shuffled_batches, uniform_negatives
from jaxrec.sampling._objects import Uniform

__all__ = ["Uniform", "contains", "shuffled_batches", "uniform_negatives"]
