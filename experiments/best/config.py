"""The rows: one for each family of models, a blend of three numbers, and a network with other models as members."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jax

import jaxrec
from experiments.baselines.config import CHOSEN as NUMBERS
from experiments.tables import Row
from jaxrec.losses import BPR, InBatchSoftmax, PairwiseSoftmax, SquaredL2
from jaxrec.models import GraphFilter, LearntFilter, LearntNetwork, Member, OneHop, SpectralRanker
from jaxrec.parallel import Layout
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


def softmax(prior: float, epochs: int, temperature: float = 0.12, decay: float | None = None) -> jaxrec.TrainingOptions:
    """Return the recipe of experiments/time_to_recall with other numbers."""
    return jaxrec.TrainingOptions(
        loss=InBatchSoftmax(temperature, chunks=16, accidental_hits="keep", logit_adjustment=prior),
        optimizer=Adam(2e-2, decay=decay),
        regularizer=None,
        batch_size=8192,
        epochs=epochs,
    )


EMBEDDING: Mapping[str, tuple[jaxrec.LightGCN, jaxrec.TrainingOptions]] = {
    "gowalla": (jaxrec.LightGCN(dim=512, layers=1), softmax(0.9, 8, decay=0.75)),
    "yelp2018": (jaxrec.LightGCN(dim=512, layers=1), softmax(0.6, 8, decay=0.75)),
}
IALS = {
    "gowalla": jaxrec.IALS(dim=1024, unobserved=0.01, l2=0.003, degree_exponent=0.15, iterations=3),
    "yelp2018": jaxrec.IALS(dim=1024, unobserved=0.01, l2=0.005, iterations=2),
}
MEMBERS = {
    "gowalla": (
        Member(jaxrec.LightGCN(dim=512, layers=1), softmax(0.9, 5)),
        Member(jaxrec.LightGCN(dim=256, layers=1), softmax(0.9, 6)),
        Member(IALS["gowalla"].clone(l2=0.002, iterations=5, power_iterations=0)),
    ),
    "yelp2018": (
        Member(*EMBEDDING["yelp2018"], order="clusters"),
        Member(jaxrec.LightGCN(dim=128, layers=3), softmax(0.6, 4, temperature=0.15), order="clusters"),
        Member(IALS["yelp2018"]),
        Member(NUMBERS["yelp2018"]["LAE, DAN"]),
    ),
}
HEADS = {
    "gowalla": LearntNetwork(),
    "yelp2018": LearntNetwork(networks=4, most_users=32_000),
}
"""What learns from the members and the graph."""

CLUSTERS = Layout(order="clusters")
BPR_HARDEST = jaxrec.TrainingOptions(
    loss=BPR(),
    negatives=Hardest(of=16),
    optimizer=Adam(5e-3),
    regularizer=SquaredL2(1e-4),
    batch_size=8192,
    epochs=8,
)


@dataclasses.dataclass(frozen=True)
class ThreeNumbers:
    """A blend of an embedding and two solved models, with a weight for each.

    Attributes:
      model: the first member.
      options: how it is trained.
      solved: the others.
      ordered: whether the weights are learnt on the last tenth of each user in the data; otherwise on a random tenth.
      candidates: of how many of the best items of each member the weights are learnt.
      calibrate_on: "all" items, or the "candidates" of each member.
    """

    model: jaxrec.LightGCN
    options: jaxrec.TrainingOptions
    solved: tuple[Any, ...]
    ordered: bool
    candidates: int = 400
    calibrate_on: Literal["all", "candidates"] = "all"

    def __call__(self, split: jaxrec.Split, key: jax.Array) -> Any:
        """Fit on train less a tenth, learn the weights on that tenth, and fit again on train."""
        inner = jaxrec.split(split.train, "user_order" if self.ordered else "user_random", test=0.0, valid=0.1)
        key_model, key_blend = jax.random.split(key)
        # One validation, at the end: the number of epochs is given.
        every = jaxrec.Validation(every=self.options.epochs)
        options = dataclasses.replace(self.options, validation=every, refit=False)
        members = [
            jaxrec.fit(self.model, inner, options, key=key_model, mesh=CLUSTERS),
            *(jaxrec.fit(model, inner, refit=False, key=key_model) for model in self.solved),
        ]
        return jaxrec.blend(
            members,
            inner,
            candidates=self.candidates,
            calibrate_on=self.calibrate_on,
            validation=None,
            key=key_blend,
        )


def with_prior(options: jaxrec.TrainingOptions, prior: float) -> jaxrec.TrainingOptions:
    """Return the options with another popularity prior."""
    loss: Any = options.loss
    return dataclasses.replace(options, loss=dataclasses.replace(loss, logit_adjustment=prior))


def pairwise(options: jaxrec.TrainingOptions, temperature: float) -> jaxrec.TrainingOptions:
    """Return the options with pairwise softmax in place of in-batch softmax, all else the same."""
    old: Any = options.loss
    loss = PairwiseSoftmax(
        temperature=temperature, logit_adjustment=old.logit_adjustment, accidental_hits="keep", chunks=old.chunks
    )
    return dataclasses.replace(options, loss=loss)


def clustered(model: jaxrec.LightGCN, options: jaxrec.TrainingOptions) -> Row:
    """Return the row of a graph model."""
    return Row(model, options, mesh=CLUSTERS)


def ranker(dataset: str, **how: Any) -> SpectralRanker:
    """Return a ranker that learns from the last tenth of each user where the file has an order, else a random tenth."""
    held_out = "last" if ORDERED[dataset] else "random"
    return SpectralRanker(candidates_scored=SCORED[dataset], held_out=held_out, **how)


def rows(dataset: str) -> dict[str, Row]:
    """Return the rows of a data set by name."""
    model, options = EMBEDDING[dataset]
    hop = GraphFilter(terms=(OneHop(scored=SCORED[dataset]),))
    blend = {
        # The weight of popularity is learnt, so the embedding has no prior.
        "gowalla": ThreeNumbers(model, with_prior(options, 0.0), (jaxrec.Popularity(), hop), ORDERED[dataset]),
        "yelp2018": ThreeNumbers(
            model, options, (IALS[dataset], ranker(dataset)), ORDERED[dataset], candidates=40, calibrate_on="candidates"
        ),
    }[dataset]
    made = {
        "filter": Row(ranker(dataset, head=LearntFilter())),
        "filter-all": Row(ranker(dataset, head=LearntFilter(), candidates=None)),
        "network": Row(ranker(dataset)),
        "network-quick": Row(ranker(dataset, head=LearntNetwork(most_users=12_500))),
        "network-all": Row(ranker(dataset, candidates=None)),
        "embedding": clustered(model, options),
        "ials": Row(IALS[dataset]),
        "ease": Row(NUMBERS[dataset]["LAE, DAN"]),
        "blend": Row(blend, fit=blend),
        "everything": Row(ranker(dataset, head=HEADS[dataset], members=MEMBERS[dataset])),
        "everything-all": Row(ranker(dataset, head=HEADS[dataset], members=MEMBERS[dataset], candidates=None)),
        "lightgcn-bpr": clustered(jaxrec.LightGCN(dim=256, layers=3, initializer="svd"), BPR_HARDEST),
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
            **{
                f"hidden {hidden}": Row(ranker(dataset, head=LearntNetwork(hidden=hidden)))
                for hidden in ((48, 24), (64, 32))
            },
            "4 networks": Row(ranker(dataset, head=LearntNetwork(networks=4))),
        },
        "embedding": {
            **{f"prior {prior:g}": clustered(model, with_prior(options, prior)) for prior in (0.6, 0.75, 0.9)},
            "pairwise": clustered(model, pairwise(options, 0.06)),
        },
        "ials": {f"lambda {l2:g}": Row(IALS[dataset].clone(l2=l2)) for l2 in (0.002, 0.003, 0.005, 0.01)},
        "ease": {f"l2 {l2:g}": Row(NUMBERS[dataset]["LAE, DAN"].clone(l2=l2)) for l2 in (30.0, 150.0, 500.0)},
        "everything": {
            f"the first {count}": Row(ranker(dataset, head=HEADS[dataset], members=members[:count]))
            for count in range(1, len(members) + 1)
        },
    }
