"""What the runs recommend, as data for the script: histories, lists, hits, reasons, similar items, who is served."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.fitting._fitted import FittedModel
from jaxrec.pages._document import packed
from jaxrec.pages._evidence import Evidence, extremes, ordered_histories, served
from jaxrec.pages._markup import Html, joined, tag
from jaxrec.pages._parts import counted, number, paragraph, table
from jaxrec.text import printable

MOST_HISTORY = 200
"""Items of a history that are shown, the latest."""
REASONS = 2
"""Items of the history that are given as the reason of a place."""
SIMILAR = 10
"""Similar items of an item."""
_EXTREMES = 10
_BYTES = 64 * 2**20  # of similarities at a time


@dataclasses.dataclass(frozen=True, eq=False)
class Shown:
    """What the script gets, with items and users in numbers of the page.

    Attributes:
      items: int32 [m], the items that the page names, ascending.
      place: int32 [I], the number of each item on the page, -1 for none.
      histories: of each shown user the items, the latest first, cut to `MOST_HISTORY`.
      similar: label to int32 [p, SIMILAR], similar items by item index, -1 for none; of runs with similarities.
      similar_of: int32 [p], whose they are.
      reasons: label to int32 [n, k, REASONS], places in the user's history, -1 for none.
    """

    items: np.ndarray
    place: np.ndarray
    histories: Sequence[np.ndarray]
    similar: Mapping[str, np.ndarray]
    similar_of: np.ndarray
    reasons: Mapping[str, np.ndarray]


def shown(evidence: Evidence) -> Shown:
    """Collect what the page shows of items and users.

    Args:
      evidence: of the runs, see `jaxrec.pages._evidence.gather`.

    >>> import jax, jaxrec
    >>> from jaxrec.pages._evidence import gather, measured
    >>> data = jaxrec.from_arrays([0] * 10 + [1] * 10, [*range(10), *range(5, 15)])
    >>> split = jaxrec.split(data, "user_random", key=jax.random.key(0))
    >>> entries = measured({"knn": jaxrec.fit(jaxrec.ItemKNN(), split, key=jax.random.key(1))}, split, k=2)
    >>> sizes = {"most_users": 2, "most_items": 99, "seed": 0}
    >>> page = shown(gather(entries, split, k=2, main=None, item_categories=None, **sizes))
    >>> len(page.items), [len(history) for history in page.histories]  # 15 items; 8 of each user are not in the test
    (15, [8, 8])
    """
    split = evidence.split
    whole = [one[:MOST_HISTORY] for one in ordered_histories(evidence.fitted, evidence.users)]
    if split is not None and split.fold_in is not None:
        more = ordered_histories(split.fold_in, evidence.users)
        whole = [np.concatenate([b, a])[:MOST_HISTORY] for a, b in zip(whole, more, strict=True)]
    popular = np.argsort(-evidence.popularity, kind="stable")
    few = len(popular) <= evidence.most_items
    similar_of = np.sort(popular[: evidence.most_items])
    similar_of = similar_of[evidence.popularity[similar_of] > 0].astype(np.int32)
    similar, reasons = {}, {}
    for label, entry in evidence.entries.items():
        found = _from_similarities(entry.model, evidence.lists[label], whole, similar_of)
        if found is not None:
            similar[label], reasons[label] = found
    named = [*whole, *evidence.lists.values(), *similar.values(), similar_of]
    if evidence.relevant is not None:
        named += [evidence.relevant.of(int(user)) for user in evidence.users]
    items = np.arange(len(popular)) if few else np.unique(np.concatenate([np.ravel(one) for one in named]))
    items = items[items >= 0].astype(np.int32)
    place = np.full(len(popular), -1, np.int32)
    place[items] = np.arange(len(items))
    return Shown(items, place, whole, similar, similar_of, reasons)


def likeness(model: FittedModel, items: np.ndarray) -> np.ndarray | None:
    """The similarity of some items to all, [n, I], as the model has it; None for a model without.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1, 1, 2], ["a", "b", "a", "b", "c"])
    >>> likeness(jaxrec.fit(jaxrec.ItemKNN(), data, key=jax.random.key(0)), np.array([0])).argmax()
    np.int64(1)
    >>> likeness(jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0)), np.array([0])) is None
    True
    """
    similarities = getattr(model.scorer, "similarities", None)
    if similarities is None:
        return None
    try:
        return np.asarray(similarities(jnp.asarray(items, jnp.int32)))
    except JaxrecError:  # as a scorer says that it has none
        return None


def lists_data(evidence: Evidence, found: Shown) -> dict[str, Any]:
    """What the script shows of users and items, as plain values."""
    model, place = evidence.first, found.place
    titles = evidence.titles
    ids = [printable(str(one)) for one in model.items.ids[found.items].tolist()]
    names = [printable(titles[item]) for item in found.items.tolist()]
    relevant = (
        [np.zeros(0, np.int32)] * len(evidence.users)
        if evidence.relevant is None
        else [np.asarray(evidence.relevant.of(int(user))) for user in evidence.users]
    )
    lengths = np.diff(evidence.history.indptr)[evidence.users]
    values = {}
    for label, report in evidence.reports.items():
        if evidence.main in report.per_user and report.runs == 1:  # a mean over seeds is not that of the lists shown
            own = dict(zip(report.users.tolist(), report.per_user[evidence.main].tolist(), strict=True))
            figures = np.array([own.get(int(user), np.nan) for user in evidence.users])
            values[label] = packed(np.where(np.isnan(figures), -1, np.round(1000 * np.nan_to_num(figures))).astype(int))
    return {
        "k": evidence.k,
        "main": evidence.main,
        "runs": list(evidence.labels),
        "titles": names,
        "ids": None if ids == names else ids,
        "popularity": packed(evidence.popularity[found.items]),
        "users": [printable(str(one)) for one in model.users.ids[evidence.users].tolist()],
        "history": _rows([place[one] for one in found.histories]),
        "lengths": packed(lengths),
        "test": None if evidence.relevant is None else _rows([place[one] for one in relevant]),
        "lists": {label: packed(_placed(place, lists)) for label, lists in evidence.lists.items()},
        "reasons": {label: packed(reasons) for label, reasons in found.reasons.items()},
        "reasonCount": REASONS,
        "similar": {label: packed(_placed(place, similar)) for label, similar in found.similar.items()},
        "similarOf": packed(place[found.similar_of]),
        "similarCount": SIMILAR,
        "values": values,
    }


def recommendations(evidence: Evidence, found: Shown) -> Html:
    """The section of the lists: fields to search in, and who is served most and least."""
    users, items = len(evidence.users), len(found.items)
    all_users = int((np.diff(evidence.history.indptr) > 0).sum())
    sample = (
        f"a sample of {users:,} of {counted(all_users, 'user')}, with the most and the least served"
        if evidence.sampled_users
        else counted(users, "user")
    )
    lead = [
        f"Lists of the first {evidence.k} items for {sample}. ",
        "A check mark is a hit, a test item. " if evidence.relevant is not None else "",
        "Below an item stand the nearest items of the user's history, by the similarity of that run; runs without a "
        "similarity of items, such as popularity, have no reason to give.",
    ]
    part = "" if items == evidence.first.num_items else f" There are {items:,} of {evidence.first.num_items:,} items."
    return joined(
        paragraph(*lead),
        tag("noscript", paragraph("Searching needs the script of this page, which is switched off.")),
        tag("h3", "A user"),
        _search("user", "User id", "Type a part of a user's id."),
        tag("div", id="user-view", aria_live="polite"),
        tag("h3", "Similar items"),
        _search("item", "Title or id of an item", f"Type a part of a title or an id.{part}"),
        tag("div", id="item-view", aria_live="polite"),
        _served(evidence),
    )


def _search(name: str, label: str, hint: str) -> Html:
    return tag(
        "div",
        tag("label", label, for_=f"{name}-search"),
        tag(
            "input",
            type="search",
            id=f"{name}-search",
            autocomplete="off",
            aria_describedby=f"{name}-hint",
            spellcheck="false",
        ),
        tag("p", hint, id=f"{name}-hint", class_="note", role="status"),
        tag("ul", id=f"{name}-matches", class_="matches"),
        class_="search",
        role="search",
        aria_label=label,
    )


def _served(evidence: Evidence) -> Html | None:
    who, values = served(evidence.reports, evidence.main)
    if not len(who):
        return None
    sizes = np.diff(evidence.history.indptr)
    tests = np.zeros(len(sizes), int) if evidence.relevant is None else np.diff(evidence.relevant.indptr)
    best, worst = extremes(values, tests[who], _EXTREMES)
    place = {int(user): at for at, user in enumerate(evidence.users)}
    tables = []
    for caption, rows in (("Most served", best), ("Least served", worst)):
        body = []
        for at in rows:
            user = int(who[at])
            name = printable(str(evidence.first.users.ids[user]))
            link = tag("button", name, type="button", data_user=place[user]) if user in place else name
            body.append([link, f"{sizes[user]:,}", f"{int(tests[user]):,}", number(float(values[at]))])
        if body:
            head = ["user", "history", "test items", f"mean {evidence.main}"]
            tables.append(table(head, body, caption=caption))
    share = float((values == 0).mean())
    told = (
        f"Over the mean of all runs, {share:.0%} of {counted(len(who), 'user')} have {evidence.main} 0: no run finds "
        "anything of theirs. Choosing a user shows their lists above."
    )
    return joined(tag("h3", "The most and the least served users"), paragraph(told), tag("div", tables, class_="grid"))


def _placed(place: np.ndarray, items: np.ndarray) -> np.ndarray:
    return np.where(items < 0, -1, place[np.maximum(items, 0)])


def _rows(rows: Sequence[np.ndarray]) -> dict[str, Any]:
    """Rows of different lengths as their ends and one array."""
    ends = np.cumsum([0, *map(len, rows)])
    return {"ends": packed(ends), "values": packed(np.concatenate(rows).astype(int) if len(rows) else np.zeros(0, int))}


def _from_similarities(
    model: FittedModel, lists: np.ndarray, histories: Sequence[np.ndarray], similar_of: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Similar items [p, SIMILAR], and the places in the history nearest to each listed item [n, k, REASONS]."""
    listed = np.unique(lists[lists >= 0])
    asked = np.union1d(listed, similar_of).astype(np.int32)
    similar = np.full((len(similar_of), min(SIMILAR, model.num_items)), -1, np.int32)
    row_of = np.full(model.num_items, -1, np.int32)
    row_of[similar_of] = np.arange(len(similar_of))
    reasons = np.full((*lists.shape, REASONS), -1, np.int32)
    where: dict[int, list[tuple[int, int]]] = {}
    for user, at in zip(*np.nonzero(lists >= 0), strict=True):
        where.setdefault(int(lists[user, at]), []).append((int(user), int(at)))
    for items, rows in _in_chunks(model, asked):
        if rows is None:
            return None
        for item, row in zip(items.tolist(), rows, strict=True):
            for user, at in where.get(item, ()):
                reasons[user, at] = nearest(row[histories[user]])
            if row_of[item] >= 0:
                similar[row_of[item]] = _most_similar(row, item, similar.shape[1])
    return similar, reasons


def _in_chunks(model: FittedModel, items: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Items with their similarities to all, some at a time; the last ones are padded, so one program serves all."""
    size = max(1, min(len(items), _BYTES // (4 * model.num_items)))
    for start in range(0, len(items), size):
        some = items[start : start + size]
        rows = likeness(model, np.pad(some, (0, size - len(some))))
        yield some, None if rows is None else rows[: len(some)]


def nearest(likeness_to: np.ndarray) -> np.ndarray:
    """The places of the nearest items of a history, those with a similarity above 0; -1 where there are fewer.

    >>> nearest(np.array([0.1, -0.5, 0.9])).tolist(), nearest(np.array([0.0])).tolist()
    ([2, 0], [-1, -1])
    """
    best = np.full(REASONS, -1)
    left = likeness_to.copy()
    for place in range(min(REASONS, len(left))):
        at = left.argmax()
        if not left[at] > 0:
            break
        best[place], left[at] = at, -np.inf
    return best


def _most_similar(row: np.ndarray, item: int, count: int) -> np.ndarray:
    near = np.flatnonzero(row > 0)  # few where the weights are sparse
    near = near[near != item]
    if len(near) > 4 * count:
        least = np.partition(row[near], len(near) - count)[len(near) - count]
        near = near[row[near] >= least]  # with all that are equal to the last one, of which the first items stay
    near = near[np.lexsort((near, -row[near]))][:count]
    return np.pad(near, (0, count - len(near)), constant_values=-1)
