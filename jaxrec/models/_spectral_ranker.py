"""A ranker that learns from features of the graph of interactions, computed without the pairs that it learns from."""

from __future__ import annotations

import dataclasses
import functools
import time
from typing import TYPE_CHECKING, Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxrec._checks import check_kinds
from jaxrec._keys import key_from_data
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.models._base import SolvedModel
from jaxrec.models._filter_graph import InteractionGraph, decomposition_step
from jaxrec.models._learning_set import HeldOut, held_pairs, learning_set
from jaxrec.models._members import Member, describe_with_members, fitted_members, stacked_users, without
from jaxrec.models._ranking_heads import DEFAULT_CANDIDATES, LearntNetwork, RankingHead, describe, graph_features
from jaxrec.models._sizes import bound_sizes
from jaxrec.parallel import MeshStep
from jaxrec.protocols import FoldIn, Solution, Task
from jaxrec.pytrees import structure_of
from jaxrec.scorers import StackedScorer
from jaxrec.sparse import SparseOperator

if TYPE_CHECKING:
    from jaxrec.training import TrainData


class SpectralRanker(SolvedModel, nn.Module):
    """Learn to rank by the graph: products with the Gram matrix, bands of its spectrum, and degrees.

    1. A share of each user's pairs is held out, and the graph of the others, with its singular vectors, is made.
    2. For users with held-out pairs, candidates are chosen and described by that graph alone, so that no feature knows
       of the pairs that are learnt from.
    3. The head learns to rank the held-out pairs among the candidates, by a softmax.
    4. The graph is made anew of all pairs, and the scorer computes its features from it.

    There are two heads. `LearntNetwork()` is a small network, the default. `LearntFilter()` learns some dozens of
    numbers and gives a `GraphFilter`. Neither has embeddings, so new users get lists from their history.

    With `members`, other models give the network their scores of a pair as further features: embeddings, for example,
    which know what no sum over the graph says. Their features know nothing of the held-out pairs either: members are
    fitted twice, without these pairs for the learning, and on all pairs for the scorer, with the same key. New users
    then get lists where every member serves them.

    On several devices (`jaxrec.fit(..., mesh=4)`) these share the rows of the interactions and of the singular vectors
    while these are computed, and the first one does the rest. It takes no members then.

    Attributes:
      head: what learns.
      candidates: C, among how many items of a user, chosen by the first hop of the head, the head ranks; all others
        come below, in the order of that hop. None ranks all items, at about I / C times the work of a network, and at
        less than with candidates for a filter, which need not choose them; the learning then has 400 candidates.
        `fitted.info["ceiling"]` is the recall of the candidates in the learning.
      candidates_scored: exponent of the degrees of the items in the score that candidates are chosen by.
      share: of each user's pairs that are learnt from.
      held_out: "random", or "last" for the last ones in the order of the data, which is the better choice where the
        rows stand in the order of time, and what is to be predicted comes later; see `Interactions.order`.
      tolerance: of the singular vectors, see `jaxrec.spectral.singular_triplets`.
      members: other models, such as `(Member(IALS()), Member(LightGCN(), TrainingOptions(epochs=5)))`; `LearntFilter`
        takes none.
      num_users: U; `jaxrec.fit` sets it.
      num_items: I; `jaxrec.fit` sets it.

    Raises:
      JaxrecError: an option out of range; nothing to learn from; "last" for data whose order was lost.

    >>> import jaxrec
    >>> import numpy as np
    >>> user, item = np.divmod(np.arange(200), 10)
    >>> data = jaxrec.from_arrays(user, (user % 2) * 10 + item)
    >>> head = LearntNetwork(ends=(2, 4), hidden=(4,), epochs=2)
    >>> fitted = jaxrec.fit(SpectralRanker(head=head), data.select(np.arange(200) % 10 > 0), key=jax.random.key(0))
    >>> jaxrec.recommend(fitted, history=[11, 12, 13, 14], k=1)["new"][0].item >= 10
    True
    """

    draws: ClassVar[bool] = True
    mesh_axes: ClassVar[tuple[str, ...]] = ("rows",)

    head: RankingHead = dataclasses.field(default=LearntNetwork(), metadata={"flag": None, "choice": "head"})
    candidates: int | None = DEFAULT_CANDIDATES
    candidates_scored: float = 0.2
    share: float = 0.1
    held_out: HeldOut = "random"
    tolerance: float = 3e-3
    members: tuple[Member, ...] = dataclasses.field(default=(), metadata={"flag": None})
    num_users: int | None = None
    num_items: int | None = None

    def __post_init__(self) -> None:
        check_kinds(self)
        if isinstance(self.head, type) or not isinstance(self.head, RankingHead):
            raise JaxrecError(f"head is {self.head!r}; pass LearntNetwork() or LearntFilter()")
        if self.candidates is not None and self.candidates < 1:
            raise JaxrecError(f"candidates must be at least 1, or None for all items, got {self.candidates}")
        if not 0 < self.share < 1:
            raise JaxrecError(f"share must lie between 0 and 1, got {self.share}")
        if self.held_out not in ("random", "last"):
            raise JaxrecError(f'held_out must be "random" or "last", got {self.held_out!r}')
        if not self.tolerance > 0:
            raise JaxrecError(f"tolerance must be positive, got {self.tolerance}")
        if not isinstance(self.members, tuple) or not all(isinstance(each, Member) for each in self.members):
            raise JaxrecError(f"members is {self.members!r:.60}; pass a tuple, as in members=(Member(IALS()),)")
        if self.members and not self.head.takes_members:
            raise JaxrecError(f"{type(self.head).__name__} takes no members; leave them out, or use LearntNetwork()")
        super().__post_init__()

    @property
    def serves_new_users(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride] - asked of the object
        """Whether all members do."""
        return all(member.model.serves_new_users for member in self.members)

    def solve(self, data: TrainData, key: jax.Array, mesh: Mesh | None = None) -> Solution:
        """The solution, from the interactions in their order; the devices of a mesh share the rows of both graphs.

        Raises:
          JaxrecError: members on a mesh.
        """
        if mesh is not None and mesh.size > 1 and self.members:
            raise JaxrecError("the members of SpectralRanker are fitted on one device; leave mesh out, or the members")
        shape = bound_sizes(self, data.adjacency)
        key_held, key_users, key_head = jax.random.split(key, 3)
        started = time.perf_counter()
        user, item, held = held_pairs(data, shape, self.share, self.held_out, key_held)
        seconds: dict[str, float] = {}

        def told(step: str) -> None:
            nonlocal started
            seconds[step] = time.perf_counter() - started
            started = time.perf_counter()

        rank = self.head.ends[-1]
        rest = InteractionGraph.of_pairs(user[~held], item[~held], shape).with_vectors(rank, self.tolerance, mesh=mesh)
        told("vectors")
        count = DEFAULT_CANDIDATES if self.candidates is None else self.candidates
        source, how = graph_features(self.head, rest, self.candidates_scored), {"head": self.head, "candidates": count}
        describing: Any = functools.partial(describe, **how)
        key_members = None
        if self.members:
            key_users, key_members = jax.random.split(key_users)
            others = without(data, (user[held], item[held]), shape)
            source = source, fitted_members(self.members, others, shape, key_members).scorers
            del others
            describing = functools.partial(describe_with_members, **how, structure=structure_of(source[1]))
            told("members")
        learning = learning_set(
            describing,
            source,
            rest.history,
            (user[held], item[held]),
            shape[1],
            self.head.most_users,
            key_users,
        )
        del source
        told("features")
        found, info = self.head.learn(learning, key_head)
        info = {**info, "ceiling": learning.ceiling, "learning_users": learning.users, "candidates": self.candidates}
        del learning  # with many users it takes as much as the members
        told("learning")
        graph = InteractionGraph.of(data.adjacency, shape[0]).with_vectors(rank, self.tolerance, rest.vectors, mesh)
        scorer = self.head.scorer(
            found, graph, graph_features(self.head, graph, self.candidates_scored), self.candidates
        )
        jax.block_until_ready(scorer)
        told("vectors of all")
        variables: dict[str, Any] = {"draw": {"key": jax.random.key_data(key)}}
        if key_members is not None:
            members = fitted_members(self.members, data, shape, key_members)
            scorer, variables["members"] = StackedScorer(scorer, members.scorers), members.variables
            told("members of all")
        return Solution(scorer, variables, {**info, "learning_seconds": seconds})

    def mesh_step(self, entries: int, mesh: Mesh) -> MeshStep | None:
        """What the decomposition repeats on a mesh, see `jaxrec.models.SolvedModel`."""
        return decomposition_step(*bound_sizes(self), entries, self.head.ends[-1], mesh)

    def fold_in(self, variables: Any, scorer: Any, data: TrainData, task: Task) -> FoldIn:
        """New users by their history, and by what each member makes of it.

        Raises:
          JaxrecError: a member that cannot serve new users.
        """
        if not self.members:
            return super().fold_in(variables, scorer, data, task)
        return stacked_users(self.members, variables["members"], scorer, data)

    @nn.compact
    def __call__(self, adjacency: SparseOperator | None = None) -> Any:
        """The scorer, from a normalized adjacency [N, N], which has no order; without one only the key is drawn."""
        num_users, _ = bound_sizes(self, adjacency)
        key_data = self.variable("draw", "key", lambda: jax.random.key_data(self.make_rng("params")))
        if adjacency is None:
            if not self.is_initializing():
                raise MismatchError("SpectralRanker needs the adjacency [N, N] of the interactions, got None")
            return None
        from jaxrec.data._seen import SeenItems
        from jaxrec.training import TrainData

        graph = InteractionGraph.of(adjacency, num_users)
        pairs = graph.interactions.rows, graph.interactions.columns
        log_share = jnp.log(jnp.diff(graph.interactions.T.indptr).astype(jnp.float32) / pairs[0].shape[0])
        data = TrainData(adjacency, *pairs, None, SeenItems(*graph.history), log_share)
        return self.solve(data, key_from_data(key_data.value)).scorer
