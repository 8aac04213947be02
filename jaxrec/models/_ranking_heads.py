"""What a spectral ranker learns: the numbers of a filter, or a small network over the same features."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.models._filter_graph import FilterParts, FilterTerm, InteractionGraph, filter_scorer
from jaxrec.models._filter_terms import Bands, OneHop
from jaxrec.models._learning_set import LearningSet, MeanOver, learnt
from jaxrec.pytrees import is_number, options, static
from jaxrec.scorers import CandidateScorer, FeatureNetwork, GraphFeatures, Lane, NetworkScorer
from jaxrec.scorers._networks import degrees_of

BAND_ENDS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 304, 352, 400, 448, 512)
_SAMPLE = 2000  # users whose candidates give the mean and the spread of the features


@options
class Hop:
    """A product with the Gram matrix as a feature: R^T D_U^-users (R D_I^-own h)^power; see `OneHop`.

    Attributes:
      users: exponent of the degrees of users.
      own: exponent of the degrees of the items that the user has.
      power: of the likeness of two users; static.

    >>> Hop(0.5, own=1.0)
    Hop(users=0.5, own=1.0, power=1.0)
    """

    users: float = 1.0
    own: float = 0.5
    power: float = static(default=1.0)

    def __post_init__(self) -> None:
        for name in ("users", "own", "power"):
            value = getattr(self, name)
            if is_number(value) and not math.isfinite(value):
                raise JaxrecError(f"Hop: {name} must be finite, got {value}")
        if not self.power > 0:
            raise JaxrecError(f"power must be above 0, got {self.power}")


@runtime_checkable
class RankingHead(Protocol):
    """What learns to rank from features of the graph, hashable.

    >>> isinstance(LearntFilter(), RankingHead)
    True
    """

    takes_members: ClassVar[bool]
    """Whether what it learns from may have the scores of M other models, [F + M, B, C]; its scorer is then a
    `NetworkScorer` whose network takes them last."""

    @property
    def hops(self) -> tuple[Hop, ...]:
        """The products with the Gram matrix; the first one ranks the candidates."""
        ...

    @property
    def ends(self) -> tuple[int, ...]:
        """Where the bands of the spectrum end, ascending."""
        ...

    @property
    def most_users(self) -> int:
        """From how many users it learns at the most."""
        ...

    def describe(self, features: GraphFeatures, history: SeenItems, users: jax.Array, candidates: int) -> Any:
        """The candidates int32 [B, C] of users, and what is learnt from, [F, B, C]; traced under jit."""
        ...

    def learn(self, learning: LearningSet, key: jax.Array) -> tuple[Any, Mapping[str, Any]]:
        """What is learnt, and what is told of it in the info of the model."""
        ...

    def scorer(self, found: Any, graph: InteractionGraph, features: GraphFeatures, candidates: int | None) -> Any:
        """The scorer of what was learnt, on the graph of all interactions."""
        ...


@options
class LearntFilter:
    """A `GraphFilter` whose numbers are learnt: the weights of its hops, a gain for each band, and degree exponents.

    S(u, i) = sum over l of w_l d_i^-y_l hop_l(u, i) + d_i^-z sum over b of g_b band_b(u, i), with w_l > 0, and the
    logit of the softmax is gamma log softplus(c S); gamma and c do not matter to a ranking. A softmax of S itself
    learns worse. `fitted.info["terms"]` has the terms in
    words.

    Attributes:
      hops: the products with the Gram matrix; the first one ranks the candidates of the learning.
      ends: where the bands end.
      one_exponent: whether all y_l are one number; the last product is then made once for the sum of the hops.
      epochs: passes over the users.
      batch_users: users of a step.
      learning_rate: of Adam, at the start.
      mean_over: what counts alike in the loss: the held-out pairs, or the users, whose own pairs are averaged first.
      most_users: from how many users it learns; some dozens of numbers do not need more.

    >>> LearntFilter().numbers, LearntFilter(one_exponent=True).numbers
    (36, 31)
    """

    takes_members: ClassVar[bool] = False

    hops: tuple[Hop, ...] = dataclasses.field(
        default=(Hop(1.0), Hop(0.5), Hop(2.0), Hop(0.5, 1.0), Hop(1.0, 1.0), Hop(1.0, 0.0)), metadata={"objects": "hop"}
    )
    ends: tuple[int, ...] = static(default=BAND_ENDS)
    one_exponent: bool = static(default=False)
    epochs: int = static(default=18)
    batch_users: int = static(default=64)
    learning_rate: float = 2e-2
    mean_over: MeanOver = static(default="pairs")
    most_users: int = static(default=8000)

    def __post_init__(self) -> None:
        _check_head(self)

    @property
    def numbers(self) -> int:
        """How many numbers are learnt."""
        return len(self.hops) + len(self.ends) + 3 + (1 if self.one_exponent else len(self.hops))

    def describe(
        self, features: GraphFeatures, history: SeenItems, users: jax.Array, candidates: int
    ) -> tuple[jax.Array, jax.Array]:
        """The hops, the bands, and the logarithm of the item's degree."""
        found, lanes, low, _ = features.of_candidates(history, users, candidates)
        bands = jnp.diff(low, axis=0, prepend=jnp.zeros_like(low[:1]))
        return found, jnp.concatenate([lanes, bands, jnp.log(features.item_degrees)[found][None]])

    def learn(self, learning: LearningSet, key: jax.Array) -> tuple[tuple[FilterTerm, ...], Mapping[str, Any]]:
        """The terms of the filter."""
        count, bands = len(self.hops), len(self.ends)
        lanes = np.maximum(learning.inputs[:_SAMPLE, :count], 1e-9)
        size = np.exp(np.mean(np.log(lanes), axis=(0, 2))).astype(np.float32)  # so that all weights start alike
        start = {
            "weights": jnp.full(count, -1.0, jnp.float32),
            "scored": jnp.full(1 if self.one_exponent else count, 0.2, jnp.float32),
            "gains": jnp.full(bands, 0.3, jnp.float32),
            "low_scored": jnp.float32(-0.2),
            "gamma": jnp.float32(2.0),
            "scale": jnp.float32(0.0),
        }
        found, losses = learnt(
            _filter_logits,
            start,
            learning,
            key,
            fixed=jnp.asarray(size),
            epochs=self.epochs,
            batch=self.batch_users,
            learning_rate=self.learning_rate,
            mean_over=self.mean_over,
        )
        found = jax.tree.map(np.asarray, found)
        weights, scored = np.exp(found["weights"]) / size, np.broadcast_to(found["scored"], size.shape)
        terms: list[FilterTerm] = [
            OneHop(float(weight), hop.users, hop.own, float(exponent), hop.power)
            for weight, exponent, hop in zip(weights, scored, self.hops, strict=True)
        ]
        gains = tuple(map(float, found["gains"]))
        terms.append(Bands(gains, self.ends, scored=float(found["low_scored"])))
        told = {"terms": [repr(term) for term in terms], "numbers": self.numbers, "losses": losses}
        return tuple(terms), told

    def scorer(
        self, found: tuple[FilterTerm, ...], graph: InteractionGraph, features: GraphFeatures, candidates: int | None
    ) -> Any:
        """The scorer that `GraphFilter` has for these terms, among candidates or over all items."""
        made = filter_scorer(found, graph)
        if candidates is None:
            return made
        lane = features.lanes[0]
        alone = dataclasses.replace(lane, own=0, scored=0)
        return CandidateScorer(made, alone, features.owns[lane.own], features.scale, candidates)


def _filter_logits(params: Any, inputs: jax.Array, size: jax.Array) -> jax.Array:
    count = size.shape[0]
    lanes, bands, log_degrees = inputs[:count], inputs[count:-1], inputs[-1]
    weights, scored = jnp.exp(params["weights"]) / size, params["scored"]
    if scored.shape[0] == 1:
        score = jnp.einsum("l,lbc->bc", weights, lanes) * jnp.exp(-scored[0] * log_degrees)
    else:
        score = sum(weights[at] * lanes[at] * jnp.exp(-scored[at] * log_degrees) for at in range(count))
    score = score + jnp.einsum("g,gbc->bc", params["gains"], bands) * jnp.exp(-params["low_scored"] * log_degrees)
    return params["gamma"] * jnp.log(jax.nn.softplus(jnp.exp(params["scale"]) * score) + 1e-20)


@options
class LearntNetwork:
    """A small network over features of the graph: see `jaxrec.scorers.GraphFeatures` for what it is told of a pair.

    Two hidden layers with SiLU and a linear skip give the logit of a softmax among the candidates. There are no
    embeddings: a few thousand numbers serve all pairs, those of new users too.

    Attributes:
      hops: the products with the Gram matrix; the first one ranks the candidates.
      ends: of the low-pass scores.
      hidden: widths of the hidden layers.
      networks: how many are learnt, each from a start and an order of the users of its own; the mean of their logits
        ranks. Each takes the time of one.
      epochs: passes over the users.
      batch_users: users of a step.
      learning_rate: of Adam, at the start.
      mean_over: what counts alike in the loss: the users, or the held-out pairs.
      most_users: from how many users it learns; more are better, and each takes 4 F C bytes.

    >>> LearntNetwork().features
    12
    """

    takes_members: ClassVar[bool] = True

    hops: tuple[Hop, ...] = dataclasses.field(
        default=(Hop(1.0), Hop(0.5), Hop(0.5, 1.0), Hop(1.0, 1.0)), metadata={"objects": "hop"}
    )
    ends: tuple[int, ...] = static(default=(8, 32, 64, 160, 304, 512))
    hidden: tuple[int, ...] = static(default=(64, 32))
    networks: int = static(default=1)
    epochs: int = static(default=8)
    batch_users: int = static(default=32)
    learning_rate: float = 3e-3
    mean_over: MeanOver = static(default="users")
    most_users: int = static(default=25_000)

    def __post_init__(self) -> None:
        _check_head(self)
        if not self.hidden or any(type(width) is not int or width < 1 for width in self.hidden):
            raise JaxrecError(f"hidden is {self.hidden}; pass at least one width, such as (64, 32)")
        if self.networks < 1:
            raise JaxrecError(f"networks must be at least 1, got {self.networks}")

    @property
    def features(self) -> int:
        """F, the number of features of the graph."""
        return len(self.hops) + len(self.ends) + 2

    def describe(
        self, features: GraphFeatures, history: SeenItems, users: jax.Array, candidates: int
    ) -> tuple[jax.Array, jax.Array]:
        """The features of the network."""
        found, lanes, low, _ = features.of_candidates(history, users, candidates)
        degrees = degrees_of(history, users)[:, None]
        return found, features.table(lanes, low, features.item_degrees[found], degrees)

    def learn(self, learning: LearningSet, key: jax.Array) -> tuple[FeatureNetwork, Mapping[str, Any]]:
        """The network, or several as one, and the mean loss of each epoch."""
        sample = learning.inputs[:_SAMPLE]
        shift, spread = np.mean(sample, axis=(0, 2)), np.std(sample, axis=(0, 2))
        fixed = (jnp.asarray(shift), jnp.asarray(1 / np.maximum(spread, 1e-6), jnp.float32))
        keys = [key] if self.networks == 1 else list(jax.random.split(key, self.networks))
        networks, losses = zip(*(self._learn_one(learning, fixed, one) for one in keys), strict=True)
        params = networks[0] if self.networks == 1 else jax.tree.map(lambda *each: jnp.stack(each), *networks)
        return _network(params, fixed), {"losses": np.mean(losses, axis=0).tolist()}

    def _learn_one(
        self, learning: LearningSet, fixed: tuple[jax.Array, jax.Array], key: jax.Array
    ) -> tuple[Any, list[float]]:
        """The parameters of one network, and its loss in each epoch."""
        key_start, key_order = jax.random.split(key)
        features = len(fixed[0])  # of the graph, and of members
        widths = (features, *self.hidden, 1)
        keys = jax.random.split(key_start, len(widths) - 1)
        scales = [*(width**-0.5 for width in widths[:-2]), 0.1]
        start = {
            "weights": tuple(
                scale * jax.random.normal(one, (after, before), jnp.float32)
                for one, before, after, scale in zip(keys, widths[:-1], widths[1:], scales, strict=True)
            ),
            "biases": tuple(jnp.zeros(width, jnp.float32) for width in self.hidden),
            # Before anything is learnt, the order is that of the mean of the hops.
            "skip": jnp.zeros((1, features), jnp.float32).at[:, : len(self.hops)].set(1 / len(self.hops)),
        }
        return learnt(
            _network_logits,
            start,
            learning,
            key_order,
            fixed=fixed,
            epochs=self.epochs,
            batch=self.batch_users,
            learning_rate=self.learning_rate,
            mean_over=self.mean_over,
        )

    def scorer(
        self, found: FeatureNetwork, graph: InteractionGraph, features: GraphFeatures, candidates: int | None
    ) -> NetworkScorer:
        """The scorer of the network, among candidates or over all items."""
        return NetworkScorer(graph.history, features, found, candidates)


DEFAULT_CANDIDATES = 400
"""How many candidates a user has in the learning where all items are ranked."""


def _network(params: Any, fixed: tuple[jax.Array, jax.Array]) -> FeatureNetwork:
    return FeatureNetwork(*fixed, params["weights"], params["biases"], params["skip"])


def _network_logits(params: Any, inputs: jax.Array, fixed: tuple[jax.Array, jax.Array]) -> jax.Array:
    return _network(params, fixed)(inputs)


def graph_features(head: RankingHead, graph: InteractionGraph, scored: float) -> GraphFeatures:
    """The features of a graph for a head; `scored` is the degree exponent of the score that chooses candidates."""
    assert graph.vectors is not None
    parts = FilterParts(graph)
    for hop in head.hops:
        parts.lanes.append(Lane(graph.user_degrees ** jnp.float32(-hop.users), parts.own(hop.own), 0, hop.power))
    parts.scored(scored)
    made = parts.scorer()
    rank = graph.vectors.shape[1]
    ends = tuple(min(end, rank) for end in head.ends)
    return GraphFeatures(
        graph.interactions, made.owns, made.lanes, made.scoreds[0], graph.vectors, graph.item_degrees, ends
    )


@functools.partial(jax.jit, static_argnames=("head", "candidates"))
def describe(
    features: GraphFeatures, history: SeenItems, users: jax.Array, *, head: RankingHead, candidates: int
) -> tuple[jax.Array, jax.Array]:
    """`head.describe`, compiled."""
    return head.describe(features, history, users, candidates)


def _check_head(head: Any) -> None:
    name = type(head).__name__
    if isinstance(head.hops, tuple) and not head.hops:
        raise JaxrecError(f"{name}: hops is (); pass at least one Hop, of which the first ranks the candidates")
    ends = head.ends
    if not ends or any(type(end) is not int or end < 1 for end in ends) or list(ends) != sorted(set(ends)):
        raise JaxrecError(f"{name}: ends is {ends}; pass whole numbers of at least 1 that ascend, such as (16, 64)")
    for field in ("epochs", "batch_users", "most_users"):
        if getattr(head, field) < 1:
            raise JaxrecError(f"{name}: {field} must be at least 1, got {getattr(head, field)}")
    if head.mean_over not in ("users", "pairs"):
        raise JaxrecError(f"{name}: mean_over is {head.mean_over!r}; pass 'users' or 'pairs'")
    if is_number(head.learning_rate) and not head.learning_rate > 0:
        raise JaxrecError(f"{name}: learning_rate must be positive, got {head.learning_rate}")
