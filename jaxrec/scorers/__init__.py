"""Scorers: frozen pytrees that compute the scores of given users for every item.

A scorer is all that evaluation and recommendation know of a model, and all that `jaxrec.save` writes of it.
"""

from jaxrec.scorers._candidates import CandidateScorer
from jaxrec.scorers._filters import Band, FilterScorer, Series
from jaxrec.scorers._likeness import Lane
from jaxrec.scorers._networks import FeatureNetwork, GraphFeatures, NetworkScorer
from jaxrec.scorers._plain import (
    FactorScorer,
    ItemWeightScorer,
    PopularityScorer,
    RandomScorer,
    TableScorer,
    UserWeightScorer,
    with_popularity,
)
from jaxrec.scorers._stacked import StackedScorer

__all__ = [
    "Band",
    "CandidateScorer",
    "FactorScorer",
    "FeatureNetwork",
    "FilterScorer",
    "GraphFeatures",
    "ItemWeightScorer",
    "Lane",
    "NetworkScorer",
    "PopularityScorer",
    "RandomScorer",
    "Series",
    "StackedScorer",
    "TableScorer",
    "UserWeightScorer",
    "with_popularity",
]
