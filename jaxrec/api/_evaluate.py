"""`evaluate`: the metrics of a fitted model on the test or validation part of a split."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jax.sharding import Mesh

from jaxrec.api._candidates import candidate_rule
from jaxrec.api._lookup import check_model
from jaxrec.data._interactions import Interactions
from jaxrec.data._pairs import is_among, pair_codes, pairs_of
from jaxrec.data._seen import SeenItems, seen_items
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation._catalog import DEFAULT_K, DEFAULT_METRICS, DEFAULT_RATING_METRICS
from jaxrec.evaluation._choice import Metrics
from jaxrec.evaluation._evaluator import evaluate_scorer
from jaxrec.evaluation._ratings import evaluate_rating_scorer
from jaxrec.evaluation._training_statistics import Categories, training_statistics
from jaxrec.fitting._fitted import FittedModel
from jaxrec.metrics._diversity import Distance
from jaxrec.parallel import Layout
from jaxrec.protocols import Reranker
from jaxrec.ranking._checks import Lengths
from jaxrec.ranking._item_vectors import ItemSpace, common_space
from jaxrec.ranking._reranking import RERANK_DEPTH
from jaxrec.reports._groups import Groups, as_groups
from jaxrec.reports._report import Report

Mask = Literal["earlier", "train"] | None
"""What a user has already: the parts before the measured one, the training part alone, or nothing."""


def evaluate(
    model: FittedModel,
    split: Split,
    *,
    k: Lengths = DEFAULT_K,
    metrics: Metrics = DEFAULT_METRICS,
    part: Literal["test", "valid"] = "test",
    space: ItemSpace | Literal["svd"] | None = "svd",
    distance: Distance = "euclidean",
    item_categories: Categories | None = None,
    mask: Mask = "earlier",
    exclude: Iterable[Any] = (),
    exclude_for: Mapping[Any, Iterable[Any]] | Interactions | None = None,
    candidates: Iterable[Any] | None = None,
    item_groups: Groups | Mapping[Any, Any] | Sequence[Any] | np.ndarray | None = None,
    reranker: Reranker | str | None = None,
    rerank_depth: int = RERANK_DEPTH,
    memory_mb: int = 256,
    mesh: int | Layout | Mesh | None = None,
) -> Report:
    """Rank the whole catalog for every user with a held-out item, and measure the lists.

    For the test the items of the training and of the validation part are masked, for the validation those of the
    training part. Users without a held-out item are left out and counted. Users without an interaction in the fitted
    part stay in the means, and are counted as `users_untrained`: `report.of_trained_users()` leaves them out, and the
    printed report has both means. A held-out item that no training interaction
    has stays in the denominator; `recall_known@k` leaves it out.

    A held-out item that `mask`, `exclude`, `exclude_for` or `candidates` makes impossible stays in the denominator too,
    and is counted as `test_pairs_masked`, `test_pairs_excluded` or `test_pairs_not_candidates`. The report's `masked`
    and `catalogue` say which rule was used; coverage and the Gini index stay over the whole catalog.

    For figures of groups of users, take `report.by_group(labels)`, for example with
    `jaxrec.reports.activity_groups(split.fitted)`.

    Args:
      model: a fitted or restored model.
      split: the split that it was fitted on.
      k: lengths of the lists, all from one ranking.
      metrics: names that `jaxrec.registry.names("metric")` lists, objects of classes that derive from
        `jaxrec.protocols.Metric`, and mappings from a name of your own to a function
        `(hits [K], num_relevant [], *, k) -> number []` of one user, for example
        `{"map": functools.partial(jaxrec.metrics.average_precision, over="min")}`; one or several, mixed.
      part: "test" or "valid".
      space: where distances between items are measured: "svd" is the truncated SVD of the training matrix (rank 64,
        fixed key), the same for every model; or a space of your own; or None for no distances.
      distance: "euclidean" or "cosine" in that space, or a function `(x [r], y [r]) -> number []` of two of its
        vectors; see `jaxrec.ranking.feature_space` for one of sets of categories.
      item_categories: for miscalibration and category_coverage: the name of a column of the items such as "genres",
        labels by item id, or a table [I, C]; see `jaxrec.evaluation.category_table`.
      mask: the items that a user has already, which are left out of their list: "earlier" for all parts before the
        measured one, "train" for the training part alone (and what a fold-in showed), None for no item.
      exclude: items, by id or title, that are recommended to nobody.
      exclude_for: from a user's id to items that are not recommended to them; or interactions, whose pairs are left
        out.
      candidates: items, by id or title, that alone may be recommended; None for all.
      item_groups: a label for each item, for "recall@k [label]" and the like with the truth restricted to a group, and
        for the share of the places that it gets (`jaxrec.evaluation.measure_item_groups`): a mapping from an
        item's id to its label, an array [I], or `Groups`, such as `jaxrec.reports.popularity_groups(split.fitted)`.
      reranker: what chooses the lists from the best `rerank_depth` items of a user, by their vectors in `space`: a name
        or an object such as `jaxrec.ranking.MMR(0.7)`; None keeps the model's order.
      rerank_depth: how many items it chooses from, at least the longest k.
      memory_mb: the most that the scores of a chunk of users may take, in MiB.
      mesh: several devices that share the users, see `jaxrec.parallel.as_mesh`; the report is that of one device, but
        that with `item_parts` items of nearly equal scores may change places.

    Returns:
      A report with per-user values, means, intervals and counts.

    Raises:
      MismatchError: a split with other users or items, a model that was fitted on pairs of the part, an item without a
        group.
      UnknownIdError: an item or user of a rule that the model does not know.
      JaxrecError: an empty part, a k outside 1..I, an unknown metric or distance, a metric that needs what is not
        there, a rule that leaves no item.
      DataError: a negative rating where a metric takes ratings as gains.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays([0] * 10 + [1] * 10, [*range(10), *range(5, 15)])
    >>> split = jaxrec.split(data, "user_random", key=jax.random.key(0))
    >>> model = jaxrec.fit(jaxrec.ItemKNN(), split, key=jax.random.key(1))
    >>> 0 <= evaluate(model, split, k=(2,), metrics="recall", space=None).mean("recall@2") <= 1
    True
    >>> evaluate(model, split, k=(2,), metrics="recall", space=None, candidates=range(5, 15)).catalogue
    '10 candidates of 15 items'
    """
    truth, seen, masked = measured_part(model, split, part, mask)
    if space == "svd":
        space = default_space(split)
    known_items, known_users = _known(model)
    report = evaluate_scorer(
        model.scorer,
        truth,
        seen=seen,
        k=k,
        metrics=metrics,
        space=space,
        distance=distance,
        known=known_items,
        known_users=known_users,
        training=training_statistics(split.train if part == "valid" else split.fitted, item_categories),
        rule=candidate_rule(model, exclude, exclude_for, candidates),
        item_groups=None if item_groups is None else as_groups(item_groups, model.items.ids, model.num_items, "item"),
        reranker=reranker,
        rerank_depth=rerank_depth,
        memory_mb=memory_mb,
        masked=masked,
        fitted=str(model.info.get("fitted_on", "")),
        catalogue=f"{model.num_items:,} items",
        mesh=mesh,
    )
    return dataclasses.replace(report, user_ids=truth.users.ids[report.users])


def measured_part(
    model: FittedModel, split: Split, part: Literal["test", "valid"], mask: Mask
) -> tuple[Interactions, SeenItems, str]:
    """What a model is measured on, what is masked as seen, and that in words.

    Raises:
      MismatchError, JaxrecError: see `evaluate`.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2])
    >>> split = jaxrec.split(data, "user_random", test=0.34, valid=0.0, key=jax.random.key(0))
    >>> model = jaxrec.fit(jaxrec.Popularity(), split, key=jax.random.key(1))
    >>> truth, seen, masked = measured_part(model, split, "test", None)
    >>> len(truth), len(seen.items), masked
    (2, 0, 'nothing')
    """
    check_model(model)
    truth = _part_of(split, part)
    if mask not in ("earlier", "train", None):
        raise JaxrecError(f'mask must be "earlier", "train" or None, got {mask!r}')
    model.check_catalogue(truth, "the split")
    if len(truth) == 0:
        raise JaxrecError(f"the {part} part of the split has no interaction to measure on")
    _refuse_leak(model, truth, part)
    if mask is None:
        return truth, seen_items(truth.select(np.zeros(0, np.int32))), "nothing"
    shown = [] if split.fold_in is None else [split.fold_in]
    if mask == "train" or part == "valid":
        return truth, seen_items(split.train, *shown), "train"
    return truth, seen_items(split.fitted, *shown), "train and valid"


def evaluate_ratings(
    model: FittedModel,
    split: Split,
    *,
    part: Literal["test", "valid"] = "test",
    metrics: Metrics = DEFAULT_RATING_METRICS,
) -> Report:
    """RMSE and MAE of a model that was trained on ratings (loss "mse").

    Predictions are clipped to the scale of the training part.

    Args:
      model: a fitted or restored model.
      split: the split that it was fitted on, with ratings.
      part: "test" or "valid".
      metrics: names, or `jaxrec.protocols.Metric` objects over "ratings".

    Returns:
      A report with `rmse` and `mae` over all ratings, and `user_rmse` and `user_mae` for each user. Users and items
      without training data stay in the means, and are counted as `users_untrained` and `test_pairs_untrained`.

    Raises:
      JaxrecError: a model that ranks, or an empty part.
      MismatchError: a split with other users or items, or a model that was fitted on pairs of the part.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2], [5, 4, 1, 5, 3, 2])
    >>> split = jaxrec.split(data, "user_random", test=0.34, valid=0.0, key=jax.random.key(0))
    >>> model = jaxrec.fit(jaxrec.MF(dim=2, bias=True), split, loss="mse", epochs=1, key=jax.random.key(0))
    >>> evaluate_ratings(model, split).mean("rmse") > 0
    True
    """
    check_model(model)
    truth = _part_of(split, part)
    if model.info.get("task") != "rating":
        raise JaxrecError(f'{model.name} was trained to rank; train it with loss="mse", or use jaxrec.evaluate')
    model.check_catalogue(truth, "the split")
    _refuse_leak(model, truth, part)
    scale = model.info["rating_scale"]
    known_items, known_users = _known(model)
    return evaluate_rating_scorer(
        model.scorer,
        truth,
        metrics=metrics,
        scale=(scale[0], scale[1]),
        fitted=str(model.info.get("fitted_on", "")),
        known=known_items,
        known_users=known_users,
    )


def _known(model: FittedModel) -> tuple[np.ndarray, np.ndarray]:
    """Which items and which users the model was fitted on."""
    return (
        np.bincount(np.asarray(model.seen.items), minlength=model.num_items) > 0,
        np.diff(np.asarray(model.seen.indptr)) > 0,
    )


def default_space(split: Split, rank: int = 64) -> ItemSpace:
    """The common item space of a split: `jaxrec.ranking.common_space` of its training part.

    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 0, 2])
    >>> empty = data.select([])
    >>> default_space(Split(data, empty, empty, "none")).vectors.shape[0]
    3
    """
    return common_space(split.train, rank)


def _part_of(split: Split, part: str) -> Interactions:
    if not isinstance(split, Split):
        raise JaxrecError(f"split must be a Split, got {type(split).__name__}; see jaxrec.split")
    if part not in ("test", "valid"):
        raise JaxrecError(f'part must be "test" or "valid", got {part!r}')
    return getattr(split, part)


def _refuse_leak(model: FittedModel, truth: Interactions, part: str) -> None:
    seen = SeenItems(*(np.asarray(array) for array in model.seen))
    both = int(is_among(pair_codes(truth), pairs_of(seen, model.num_items)).sum())
    if both:
        remedy = (
            "its validation metrics, from before the refit, are in model.info['valid']"
            if part == "valid" and model.info.get("fitted_on") == "train and valid"
            else "evaluate it on the split that it was fitted on"
        )
        raise MismatchError(f"the model was fitted on {both:,} of the {len(truth):,} {part} interactions; {remedy}")
