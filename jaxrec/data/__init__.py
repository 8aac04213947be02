"""Interactions and id maps, who has what, and filters."""

from jaxrec.data._filters import Preparation, core_rows, deduplicate, k_core, min_rating, prepare
from jaxrec.data._generated import generate
from jaxrec.data._ids import IdMap, factorize
from jaxrec.data._interactions import TEST, TRAIN, VALID, Interactions
from jaxrec.data._pairs import pair_codes
from jaxrec.data._power_law import PowerLaw
from jaxrec.data._seen import SeenItems, seen_from_pairs, seen_items

__all__ = [
    "TEST",
    "TRAIN",
    "VALID",
    "IdMap",
    "Interactions",
    "PowerLaw",
    "Preparation",
    "SeenItems",
    "core_rows",
    "deduplicate",
    "factorize",
    "generate",
    "k_core",
    "min_rating",
    "pair_codes",
    "prepare",
    "seen_from_pairs",
    "seen_items",
]
