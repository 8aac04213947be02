"""Members of a ranker: other models, fitted beside it, whose scores of a pair are features of its network."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.data._pairs import is_among
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.models._base import initial_params, model_scorer, with_sizes
from jaxrec.models._fold_in import fold_in_of, rows_of
from jaxrec.models._node_order import ParameterOrder, check_order
from jaxrec.parallel import Layout, NodeOrder, Placement
from jaxrec.protocols import FoldIn, Histories, Loss, Solved, StageInfo, Trained
from jaxrec.scorers import StackedScorer
from jaxrec.scorers._stacked import member_scores
from jaxrec.training import SteadyLoss, TrainData, init_state, step_for, train, train_data

if TYPE_CHECKING:
    from jaxrec.models._ranking_heads import RankingHead


@runtime_checkable
class Training(Protocol):
    """How a member is trained; `jaxrec.TrainingOptions` is one.

    >>> import jaxrec
    >>> isinstance(jaxrec.TrainingOptions(), Training)
    True
    """

    @property
    def loss(self) -> Any:
        """See `jaxrec.losses`."""
        ...

    @property
    def optimizer(self) -> Any:
        """See `jaxrec.training.as_optimizer`."""
        ...

    @property
    def batch_size(self) -> int | None:
        """Positives in a step."""
        ...

    def settled(self, rows: int) -> Any:
        """The options for so many interactions, see `TrainingOptions.settled`."""
        ...

    @property
    def epochs(self) -> int:
        """Passes over the interactions, at the most."""
        ...

    @property
    def tolerance(self) -> float:
        """Stop when the loss changes by less; 0 for never."""
        ...

    @property
    def weights(self) -> Any:
        """A rule for the weights of interactions, or None."""
        ...

    def objective(self, model: Any) -> Any:
        """The objective of a model with its sizes set."""
        ...

    def sampler_for(self, data: TrainData) -> Any:
        """The sampler of negatives for these data, or None."""
        ...


@dataclasses.dataclass(frozen=True)
class Member:
    """Another model whose scores of a pair are a feature of a `SpectralRanker`.

    Attributes:
      model: one that ranks, trained or solved; without sizes.
      options: how it is trained, `jaxrec.TrainingOptions(...)`: for `epochs` epochs, or until `tolerance` stops it, as
        without a validation part. None for a model that is solved.
      order: of users and items in the tables while it is trained. "clusters" saves time where the products with the
        adjacency of many nodes take most of it, as `jaxrec.parallel.Layout(order="clusters")` does for `jaxrec.fit`.
        The start and the batches are those of "data"; negatives are drawn anew, so those of a sampler are others.

    Raises:
      JaxrecError: no model, options that are missing or without use, a model that predicts ratings, weights, or
        another order for a model that has no use for it.

    >>> import jaxrec
    >>> Member(jaxrec.models.IALS(dim=8)).trained
    False
    >>> Member(jaxrec.LightGCN())
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: LightGCN is trained, so pass its options too: Member(LightGCN(...), TrainingOptions(...))
    """

    model: Any
    options: Training | None = None
    order: NodeOrder = "data"

    def __post_init__(self) -> None:
        name = type(self.model).__name__
        if not _is_model(self.model):
            given = self.model.__name__ if isinstance(self.model, type) else repr(self.model)
            raise JaxrecError(f"Member: model is {given:.60}; pass a model, such as jaxrec.LightGCN()")
        if not self.trained:
            if self.options is not None:
                raise JaxrecError(
                    f"{name} is solved, not trained, and has no use for options; pass Member({name}(...))"
                )
        elif self.options is None:
            raise JaxrecError(f"{name} is trained, so pass its options too: Member({name}(...), TrainingOptions(...))")
        elif not isinstance(self.options, Training):
            raise JaxrecError(f"Member: options is {self.options!r:.60}; pass jaxrec.TrainingOptions(...)")
        elif self.options.weights is not None:
            raise JaxrecError("Member: options has weights, and members weigh all interactions alike; leave them out")
        if self.model.task(None if self.options is None else self.options.loss) != "ranking":
            raise JaxrecError(
                f"{name} would predict ratings, and a Member must rank; take a loss that ranks, such as BPR"
            )
        check_order(self.model, Layout(order=self.order))

    @property
    def trained(self) -> bool:
        """Whether the model is trained by gradients; the others are solved."""
        return isinstance(self.model, Trained)

    def sized(self, part: Interactions) -> Any:
        """The model with its sizes and what it takes from the data beforehand."""
        for name in ("num_users", "num_items"):
            mine, theirs = getattr(self.model, name), getattr(part, name)
            if mine is not None and mine != theirs:
                raise MismatchError(f"a member has {name}={mine} and the data have {theirs}; leave it out")
        return with_sizes(self.model, part.num_users, part.num_items).prepared(part, "ranking")

    def fitted(self, part: Interactions, data: TrainData, key: jax.Array) -> tuple[Mapping[str, Any], Any]:
        """The variables and the scorer that `jaxrec.fit` gives of these interactions; the key is consumed."""
        model, (init_key, train_key) = self.sized(part), jax.random.split(key)
        options = self.options
        if options is None:
            solution = model.solve(data, init_key)
            return solution.variables, solution.scorer
        options = options.settled(len(part))
        batch_for = getattr(options.loss, "batch_for", functools.partial(Loss.batch_for, options.loss))
        size = batch_for(options.batch_size, len(part))
        step = step_for(options.objective(model), options.optimizer, -(-len(part) // size))
        params, trained, order = initial_params(model, data, init_key), data, None
        if self.order != "data":
            order = ParameterOrder.of(model, data.adjacency, Layout(order=self.order))
            params, trained = order.placed(params), renumbered(data, order.placement)
        (result,) = train(
            init_state(params, step, train_key),
            step,
            options.sampler_for(trained),
            trained,
            batch_size=size,
            epochs=options.epochs,
            callbacks=[SteadyLoss(options.tolerance)] if options.tolerance else [],
            stage=StageInfo("member", type(model).__name__, (options.epochs,)),
        )
        params = result.state.params
        variables = {"params": params if order is None else order.original(params)}
        return variables, options.loss.adjust(model_scorer(variables, data.adjacency, model), data)


def _is_model(model: Any) -> bool:
    return not isinstance(model, type) and isinstance(model, (Trained, Solved))


@dataclasses.dataclass(frozen=True)
class FittedMembers:
    """Members after a fit.

    Attributes:
      variables: of each, by its place as a word.
      scorers: of each, adjusted by its loss.
      seconds: that each took.
    """

    variables: Mapping[str, Any]
    scorers: tuple[Any, ...]
    seconds: tuple[float, ...]


def fitted_members(members: Sequence[Member], data: TrainData, shape: tuple[int, int], key: jax.Array) -> FittedMembers:
    """Fit the members one after another, each with a key of its own.

    Args:
      members: M models.
      data: the interactions.
      shape: (U, I).
      key: consumed; the same key gives each member the same start, whatever the data.
    """
    part, made, seconds = interactions_of(data, shape), [], []
    for member, own in zip(members, jax.random.split(key, len(members)), strict=True):
        started = time.perf_counter()
        made.append(jax.block_until_ready(member.fitted(part, data, own)))
        seconds.append(time.perf_counter() - started)
    variables = {str(at): dict(own) for at, (own, _) in enumerate(made)}
    return FittedMembers(variables, tuple(scorer for _, scorer in made), tuple(seconds))


def interactions_of(data: TrainData, shape: tuple[int, int], kept: np.ndarray | None = None) -> Interactions:
    """The interactions of training data [E], or those of them that bool [E] keeps, with indices as ids."""
    rows = slice(None) if kept is None else kept
    user, item, rating, order = (
        None if column is None else np.asarray(column)[rows]
        for column in (data.user, data.item, data.rating, data.order)
    )
    users, items = (IdMap(np.arange(size), side) for size, side in zip(shape, ("user", "item"), strict=True))
    assert user is not None
    assert item is not None
    return Interactions(user, item, users, items, rating=rating, order=order)


def renumbered(data: TrainData, placement: Placement) -> TrainData:
    """Training data with users and items numbered by their places, the interactions in the sequence they had.

    Args:
      data: the interactions.
      placement: of the nodes, in one part.

    >>> import jaxrec
    >>> from jaxrec.parallel import place
    >>> turned = place([1, 1], [1, 1], devices=1, ranks=[0, 0, 1, 0])
    >>> renumbered(train_data(jaxrec.from_arrays([0, 1], [0, 1])), turned).item.tolist()
    [1, 0]
    """
    placed = dataclasses.replace(
        data,
        user=placement.users[np.asarray(data.user)],  # pyright: ignore[reportArgumentType]
        item=placement.items[np.asarray(data.item)],  # pyright: ignore[reportArgumentType]
    )
    return train_data(interactions_of(placed, (placement.num_users, placement.num_items)))


def without(data: TrainData, held: tuple[np.ndarray, np.ndarray], shape: tuple[int, int]) -> TrainData:
    """Training data without the pairs of users and items that are held out, in the same catalog.

    Args:
      data: the interactions.
      held: users and items, by user and item.
      shape: (U, I).

    >>> import jaxrec
    >>> data = train_data(jaxrec.from_arrays([0, 0, 1], [0, 1, 1]))
    >>> without(data, (np.array([0]), np.array([1])), (2, 2)).item.tolist()
    [0, 1]
    """
    codes, own = (
        np.asarray(user).astype(np.int64) * shape[1] + np.asarray(item) for user, item in (held, (data.user, data.item))
    )
    return train_data(interactions_of(data, shape, ~is_among(own, codes)))


@functools.partial(jax.jit, static_argnames=("head", "candidates", "structure"))
def describe_with_members(
    source: Any, history: SeenItems, users: jax.Array, *, head: RankingHead, candidates: int, structure: int
) -> tuple[jax.Array, jax.Array]:
    """What the head describes, and then the scores of the members; `source` is (graph features, scorers)."""
    features, scorers = source
    found, inputs = head.describe(features, history, users, candidates)
    return found, jnp.concatenate([inputs, member_scores(scorers, users, found)])


@dataclasses.dataclass(frozen=True, eq=False)
class StackedUsers:
    """New users of a ranker with members: each member makes of their histories what it can, in its own way.

    Attributes:
      scorer: of the fitted ranker.
      members: of the M members, see `jaxrec.protocols.FoldIn`.
    """

    scorer: StackedScorer
    members: tuple[FoldIn, ...]

    @property
    def needs_ratings(self) -> bool:
        """Whether a member needs those of the histories."""
        return any(member.needs_ratings for member in self.members)

    def __call__(self, histories: Histories) -> StackedScorer:
        """The scorer of the B users."""
        return StackedScorer(
            self.scorer.graph.with_history(rows_of(histories)), tuple(member(histories) for member in self.members)
        )


def stacked_users(
    members: Sequence[Member], variables: Mapping[str, Any], scorer: StackedScorer, data: TrainData
) -> StackedUsers:
    """What makes lists for new users of a ranker with members.

    Args:
      members: M models.
      variables: of each, by its place as a word.
      scorer: of the fitted ranker.
      data: that all were fitted on.

    Raises:
      JaxrecError: a member that cannot serve new users.
    """
    part, made = interactions_of(data, (scorer.num_users, scorer.num_items)), []
    for at, member in enumerate(members):
        own, model = variables[str(at)], member.sized(part)
        plain = model_scorer(own, data.adjacency, model) if member.trained else scorer.members[at]
        loss = None if member.options is None else member.options.loss
        try:
            made.append(fold_in_of(model, own, plain, data, "ranking", loss))
        except JaxrecError as error:
            raise JaxrecError(f"the ranker cannot serve new users, since member {at + 1} cannot: {error}") from None
    return StackedUsers(scorer, tuple(made))
