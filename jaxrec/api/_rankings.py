"""`evaluate_rankings`: the metrics of ranked lists that some other system has made, from memory or from a file."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrec.api._lists import Form
from jaxrec.api._ranking_inputs import Known, Rows, has_columns, interactions_of, one_catalog, rows_of, space_of
from jaxrec.data._interactions import Interactions
from jaxrec.data._pairs import common_pairs, is_among, pair_codes
from jaxrec.data._seen import seen_items
from jaxrec.data.reading._columns import Columns
from jaxrec.errors import DataError, JaxrecError, UnknownIdError
from jaxrec.evaluation._catalog import DEFAULT_K, DEFAULT_METRICS
from jaxrec.evaluation._choice import Metrics
from jaxrec.evaluation._judgments import judgments
from jaxrec.evaluation._measure import measure_lists
from jaxrec.evaluation._training_statistics import Categories, TrainingStatistics, training_statistics
from jaxrec.metrics._diversity import Distance
from jaxrec.ranking._checks import Lengths
from jaxrec.ranking._item_vectors import ItemSpace
from jaxrec.reports._groups import Groups, as_groups
from jaxrec.reports._report import Report


def evaluate_rankings(
    recommendations: Any,
    truth: Known,
    *,
    train: Known | None = None,
    columns: Columns | None = None,
    order: str | None = None,
    form: Form = None,
    k: Lengths = DEFAULT_K,
    metrics: Metrics = DEFAULT_METRICS,
    item_features: ItemSpace | Mapping[Any, Sequence[float]] | Any | None = None,
    distance: Distance = "euclidean",
    item_categories: Categories | None = None,
    item_groups: Groups | Mapping[Any, Any] | Sequence[Any] | np.ndarray | None = None,
    memory_mb: float = 256,
) -> Report:
    """Measure ranked lists of any system against what users chose: the metrics of `jaxrec.evaluate`, the same code.

    Every user of the truth counts: one without a list has 0 everywhere, and is counted as `users_without_list`. Lists
    of users without truth are left out and counted as `lists_without_test_items`. The lists are taken as they are: an
    item that the user had in training keeps its place, and is counted as `listed_training_pairs`, since most protocols
    leave such items out. Lists longer than the largest k are cut, except for "r_precision", where the list of a user
    counts to the number of their items in truth; one that is shorter misses the rest, and is counted as
    `short_lists_r_precision`. The catalog is what occurs in train and truth.

    The report's `ordered` says what ordered the lists. Where two columns could, or only numbers of an unknown name are
    there, the lists are refused, and `order` decides. `test_pairs_in_training` counts pairs of the truth that train has
    too, and `lists_against_scores` the lists whose scores do not fall along their ranks.

    Where scores or ranks are given, `lists_with_ties` counts the lists in which two neighbors have the same one within
    the largest k, the last place and the one after it included, and `tied_lists` those that have one from first to
    last. There the order of the catalog decides, not the system.

    Args:
      recommendations: one of
        `jaxrec.Recommendations`;
        a mapping from a user to their items, the best first, or to a mapping from each item to its score, or to pairs
        (item, score), which are ordered by score;
        a pair (users [n], lists [n] of items), for example an array [n, K];
        a frame with a user and an item column and one that orders the lists: a rank (1 is best), or a score or
        prediction (high is best) under a common name, such as `score`, `prediction` or `est`; without any number beside
        user and item, the rows are in order;
        a file: `.json` with such a mapping or as `jaxrec recommend --out` writes it, Parquet, or delimited text with
        such columns (without a header a third column is the score), or with a user and all their items a line. Its ids
        are taken as they are written.
        Equal scores are ordered by the place of the item in the catalog, which is ascending ids, as in `evaluate`.
      truth: what the users chose later.
      train: what the systems were trained on; it says which items are untrained (`recall_known@k`). Without it all
        items count as trained.
      columns: role to column of truth and train where these are files or frames, as `jaxrec.read` takes it, such as
        {"user": "customer", "item": "sku"}.
      order: of a frame or file, the column that orders the lists, "NAME", "NAME:ascending" (the lowest first) or
        "NAME:descending"; or "rows" for the order of the rows.
      form: of a text file, where both fit: "long" for an item a line, "wide" for a user and all their items a line.
      k: lengths of the lists.
      metrics: as in `jaxrec.evaluate`, without those of the scores of all items. What needs popularity needs train;
        "serendipity" ranks the items that the user has not in train. Graded metrics take the ratings in truth as gains.
      item_features: where distances within lists are measured: a mapping from an item to its vector, a frame or file
        with an item column and numbers, or an `ItemSpace` over the catalog of a split whose parts truth and train
        are. Items without features have no vector, and a list with fewer than two vectors has no distance: it is left
        out of the mean, and counted as `undefined_ild@k`. None measures no distance.
      distance: "euclidean" or "cosine", or a function `(x [r], y [r]) -> number []` of the vectors of two items.
      item_categories: as in `jaxrec.evaluate`; needs train.
      item_groups: as in `jaxrec.evaluate`; an array has one label for each item of train and truth, in the order of
        their ids.
      memory_mb: the most that measuring may take, in MiB.

    Returns:
      The report; `per_user` has one value for each user of the truth, and `to_frame(ids)` gives them as a frame.

    Raises:
      DataError: an item that is twice in the list of a user, a rank or score that is missing or not finite, columns or
        lines that can be read in two ways, an empty truth or file, an item with two rows of features, a negative rating
        where a metric takes ratings as gains.
      UnknownIdError: an item that is in neither train nor truth, or lists of users of whom none is.
      MismatchError: an item space of another catalog, an item without a group.
      JaxrecError: a k below 1 or above the number of items or not whole, an unknown metric or distance, a metric that
        needs what is not there, a function that gives a distance that is not finite, a form that is not known.

    Warns:
      UserWarning: more than half of the lists have one score from first to last.

    >>> report = evaluate_rankings({"ann": [3, 1], "bob": [2]}, (["ann", "bob", "eve"], [1, 2, 3]), k=(1, 2))
    >>> round(report.mean("recall@1"), 3), round(report.mean("recall@2"), 3)
    (0.333, 0.667)
    >>> report.counts["users_without_list"]
    1
    """
    if columns is not None and not (has_columns(truth) or has_columns(train)):
        raise JaxrecError("columns is for files and frames, and neither truth nor train is one; leave it out")
    known, trained, space = interactions_of(truth, "truth", columns), None, None
    if not len(known):
        raise DataError("truth has no interaction; there is nothing to measure")
    rows = rows_of(recommendations, order, form)
    if train is not None:
        texts = any(isinstance(given, (str, os.PathLike)) for given in (truth, train))
        known, trained = one_catalog(known, interactions_of(train, "train", columns), texts=texts)
    if item_features is not None:
        space = space_of(item_features, known.items)
    judged = judgments(
        known,
        seen=seen_items(known.select(np.zeros(0, np.int32)) if trained is None else trained),
        k=k,
        metrics=metrics,
        space=space,
        distance=distance,
        known=np.ones(known.num_items, bool) if trained is None else None,
        known_users=np.ones(known.num_users, bool) if trained is None else None,
        training=_statistics(trained, item_categories),
        item_groups=None if item_groups is None else as_groups(item_groups, known.items.ids, known.num_items, "item"),
        memory_mb=memory_mb,
        scores=False,
    )
    users, longest = judged.users, judged.cutoffs[-1]
    lists, counts = _as_lists(rows, known, users, longest if not judged.needs("depth") else judged.depth(longest))
    if 2 * counts.get("tied_lists", 0) > len(users):
        warnings.warn(
            f"{counts['tied_lists']:,} of {len(users):,} lists have one score from first to last: the system does not "
            "tell items apart, and the order of their ids decides; these figures say nothing about it",
            UserWarning,
            stacklevel=2,
        )
    if trained is not None:
        counts["listed_training_pairs"] = _in_training(lists[:, :longest], users, trained)
        counts["test_pairs_in_training"] = common_pairs(
            judged.relevant, seen_items(trained), num_items=trained.num_items
        )
    report = measure_lists(lists, judged)
    return dataclasses.replace(
        report,
        counts={**report.counts, **counts},
        masked="nothing: the lists are measured as they are",
        fitted="not known: the lists come from elsewhere",
        catalogue=report.catalogue + (" of truth" if trained is None else " of train and truth"),
        user_ids=known.users.ids[users],
        ordered=rows.told,
    )


def _statistics(trained: Interactions | None, categories: Categories | None) -> TrainingStatistics | None:
    if trained is None:
        if categories is not None:
            raise JaxrecError("item_categories is given without train, which has the users' histories; pass train")
        return None
    return training_statistics(trained, categories)


def _as_lists(
    rows: Rows, truth: Interactions, users: np.ndarray, depth: int
) -> tuple[np.ndarray, dict[str, int | float]]:
    """The lists int32 [n, depth] of the users [n] of the truth, and what was counted."""
    user = rows.user
    place = np.full(truth.num_users, -1, np.int32)
    place[users] = np.arange(len(users), dtype=np.int32)
    found = np.array([truth.users.find(one) for one in rows.user_ids.tolist()], np.int32)
    at = np.where(found >= 0, place[np.maximum(found, 0)], -1)  # for each user of the lists, the row of the truth
    if (found < 0).all():
        raise UnknownIdError(
            f"recommendations: none of the {len(found):,} users, such as {rows.ids_at(0)[0]!r}, is in truth or train; "
            f"pass ids as they stand there, such as {truth.users.ids[0].item()!r}"
        )
    known = np.array([truth.items.find(one) for one in rows.item_ids.tolist()], np.int32)
    if (known < 0).any():
        missing = rows.item_ids[known < 0].tolist()
        raise UnknownIdError(
            f"recommendations: {len(missing):,} of {len(known):,} items, such as {missing[0]!r}, are in "
            "neither train nor truth; pass the training part as train, and ids of the same kind"
        )
    item = known[rows.item] if len(rows.item) else rows.item
    codes = user.astype(np.int64) * truth.num_items + item
    _, first, how_often = np.unique(codes, return_index=True, return_counts=True)
    if (how_often > 1).any():
        whose, twice = rows.ids_at(int(first[how_often > 1][0]))
        raise DataError(
            f"recommendations: {int((how_often > 1).sum()):,} items are twice in a list, such as item {twice!r} of "
            f"user {whose!r}; keep the better place of each"
        )
    keys = (user,) if rows.order is None else (item, rows.order, user)
    order = np.lexsort(keys)  # stable
    user, item = user[order], item[order]
    sizes = np.bincount(user, minlength=len(found))
    rank = np.arange(len(user)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    keep = (rank < depth) & (at[user] >= 0) if len(user) else np.zeros(0, bool)
    lists = np.full((len(users), depth), -1, np.int32)
    lists[at[user[keep]], rank[keep]] = item[keep]
    counts: dict[str, int | float] = {
        "users_without_list": int((lists[:, 0] < 0).sum()),
        "lists_without_test_items": int((at < 0).sum()),
    }
    score = rows.order if rows.score is None else rows.score
    if score is not None:
        counts |= _ties(user, rank, score[order], at, depth)
    if rows.score is not None:
        score = rows.score[order]
        rises = (user[1:] == user[:-1]) & (score[1:] > score[:-1])
        counts["lists_against_scores"] = len(np.unique(user[1:][rises & (at[user[1:]] >= 0)]))
    return lists, counts


def _ties(user: np.ndarray, rank: np.ndarray, score: np.ndarray, at: np.ndarray, depth: int) -> dict[str, int]:
    """Counts of lists with equal scores, from rows that are sorted by user and rank."""
    measured = at >= 0
    equal = (user[1:] == user[:-1]) & (score[1:] == score[:-1])
    lists = len(measured)
    ties = np.bincount(user[1:][equal & (rank[:-1] < depth)], minlength=lists)
    within = np.bincount(user[1:][equal], minlength=lists)
    sizes = np.bincount(user, minlength=lists)
    return {
        "tied_lists": int((measured & (sizes > 1) & (within == sizes - 1)).sum()),
        "lists_with_ties": int((measured & (ties > 0)).sum()),
    }


def _in_training(lists: np.ndarray, users: np.ndarray, train: Interactions) -> int:
    listed = (users[:, None].astype(np.int64) * train.num_items + lists)[lists >= 0]
    return int(is_among(listed, np.sort(pair_codes(train))).sum())
