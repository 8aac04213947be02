"""The rows: one for each family of models, a blend of three numbers, and a network with other models as members."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

import jaxrec
from experiments.tables import Row
from jaxrec.losses import BPR, InBatchSoftmax, SquaredL2
from jaxrec.models import GraphFilter, LearntFilter, LearntNetwork, Member, OneHop, SpectralRanker
from jaxrec.sampling import Hardest
from jaxrec.training import Adam

DATASETS = ("gowalla", "yelp2018")
ORDERED = {"gowalla": True, "yelp2018": False}
"""Whether the file keeps the order in which a user acted; that of Yelp2018 is sorted."""

SCORED = {"gowalla": 0.2, "yelp2018": 0.5}
"""The degree exponent of the score that chooses candidates, see experiments/filters."""

PUBLISHED: Mapping[str, tuple[str, dict[str, tuple[float, float]]]] = {
    "filter": ("ChebyCF; BSPM", {"gowalla": (0.1941, 0.1616), "yelp2018": (0.0720, 0.0593)}),
    "embedding": ("Adap-tau; BSL", {"gowalla": (0.1901, 0.1590), "yelp2018": (0.0744, 0.0617)}),
    "ease": ("EASE", {"gowalla": (0.1765, 0.1467), "yelp2018": (0.0657, 0.0552)}),
    "everything": ("ChebyCF; BSL", {"gowalla": (0.1941, 0.1616), "yelp2018": (0.0744, 0.0617)}),
    "lightgcn-bpr": ("LightGCN", {"gowalla": (0.1823, 0.1555), "yelp2018": (0.0639, 0.0525)}),
}
"""Row to the source and the recall@20 and nDCG@20 of papers, with settings chosen on the test part."""


def softmax(prior: float, epochs: int, temperature: float = 0.12) -> jaxrec.TrainingOptions:
    """Return the recipe of experiments/time_to_recall with other numbers."""
    return jaxrec.TrainingOptions(
        loss=InBatchSoftmax(temperature, chunks=16, accidental_hits="keep", logit_adjustment=prior),
        optimizer=Adam(2e-2),
        regularizer=None,
        batch_size=8192,
        epochs=epochs,
    )


EMBEDDING: Mapping[str, tuple[jaxrec.LightGCN, jaxrec.TrainingOptions]] = {
    "gowalla": (jaxrec.LightGCN(dim=512, layers=1), softmax(0.9, 5)),
    "yelp2018": (jaxrec.LightGCN(dim=256, layers=1), softmax(0.6, 6)),
}
IALS = {
    "gowalla": jaxrec.IALS(dim=1024, unobserved=0.01, l2=0.003, degree_exponent=0.15, iterations=3),
    "yelp2018": jaxrec.IALS(dim=1024, unobserved=0.01, l2=0.005, iterations=2),
}
MEMBERS = {
    "gowalla": (
        Member(*EMBEDDING["gowalla"]),
        Member(jaxrec.LightGCN(dim=256, layers=1), softmax(0.9, 6)),
        Member(IALS["gowalla"]),
    ),
    "yelp2018": (
        Member(*EMBEDDING["yelp2018"]),
        Member(jaxrec.LightGCN(dim=128, layers=3), softmax(0.6, 4, temperature=0.15)),
        Member(IALS["yelp2018"]),
    ),
}
BPR_HARDEST = jaxrec.TrainingOptions(
    loss=BPR(),
    negatives=Hardest(of=16),
    optimizer=Adam(5e-3),
    regularizer=SquaredL2(1e-4),
    batch_size=8192,
    epochs=30,
)


@dataclasses.dataclass(frozen=True)
class ThreeNumbers:
    """A blend of an embedding, popularity and one product with the Gram matrix, with a weight for each.

    Attributes:
      model: trained without the popularity of items, which is the second member.
      options: how.
      hop: the third member.
      ordered: whether the weights are learnt on the last tenth of each user in the data; otherwise on a random tenth.
    """

    model: jaxrec.LightGCN
    options: jaxrec.TrainingOptions
    hop: GraphFilter
    ordered: bool

    def __call__(self, split: jaxrec.Split, key: jax.Array) -> Any:
        """Fit on train less a tenth, learn the weights on that tenth, and fit again on train."""
        inner = jaxrec.split(split.train, "user_order" if self.ordered else "user_random", test=0.0, valid=0.1)
        key_model, key_blend = jax.random.split(key)
        # One validation, at the end: the number of epochs is given.
        every = jaxrec.Validation(every=self.options.epochs)
        options = dataclasses.replace(self.options, validation=every, refit=False)
        members = [
            jaxrec.fit(self.model, inner, options, key=key_model),
            *(jaxrec.fit(model, inner, refit=False, key=key_model) for model in (jaxrec.Popularity(), self.hop)),
        ]
        return jaxrec.blend(members, inner, key=key_blend)


def ranker(dataset: str, **how: Any) -> SpectralRanker:
    """Return a ranker that learns from the last tenth of each user where the file has an order, else a random tenth."""
    held_out = "last" if ORDERED[dataset] else "random"
    return SpectralRanker(candidates_scored=SCORED[dataset], held_out=held_out, **how)


def rows(dataset: str) -> dict[str, Row]:
    """Return the rows of a data set by name."""
    model, options = EMBEDDING[dataset]
    plain = softmax(0.0, options.epochs)
    blend = ThreeNumbers(model, plain, GraphFilter(terms=(OneHop(scored=SCORED[dataset]),)), ORDERED[dataset])
    made = {
        "filter": Row(ranker(dataset, head=LearntFilter())),
        "network": Row(ranker(dataset)),
        "network-all": Row(ranker(dataset, candidates=None)),
        "embedding": Row(model, options),
        "ials": Row(IALS[dataset]),
        "ease": Row(jaxrec.EASE()),
        "blend": Row(blend, fit=blend),
        "everything": Row(ranker(dataset, members=MEMBERS[dataset])),
        "everything-all": Row(ranker(dataset, members=MEMBERS[dataset], candidates=None)),
        "lightgcn-bpr": Row(jaxrec.LightGCN(dim=64, layers=3), BPR_HARDEST),
    }
    for name, (source, figures) in PUBLISHED.items():
        made[name] = dataclasses.replace(made[name], published=figures, source=source)
    return made


def grid(dataset: str) -> dict[str, dict[str, Row]]:
    """Return the settings that `--search` measures on a held-out part, by row and name."""
    model, options = EMBEDDING[dataset]
    members = MEMBERS[dataset]
    return {
        "filter": {
            f"{hops} hops": Row(ranker(dataset, head=LearntFilter(hops=LearntFilter().hops[:hops]))) for hops in (2, 4)
        },
        "network": {
            f"hidden {hidden}": Row(ranker(dataset, head=LearntNetwork(hidden=hidden)))
            for hidden in ((48, 24), (64, 32))
        },
        "embedding": {f"prior {prior:g}": Row(model, softmax(prior, options.epochs)) for prior in (0.6, 0.75, 0.9)},
        "ials": {f"lambda {l2:g}": Row(IALS[dataset].clone(l2=l2)) for l2 in (0.002, 0.003, 0.005, 0.01)},
        "ease": {f"l2 {l2:g}": Row(jaxrec.EASE(l2=l2)) for l2 in (100.0, 300.0, 1000.0)},
        "everything": {
            f"the first {count}": Row(ranker(dataset, members=members[:count])) for count in range(1, len(members) + 1)
        },
    }
