"""From a request to jobs, and from their lists to JSON documents and rows: pure functions."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrec.fitting._fitted import FittedModel
from jaxrec.pages._lists import MOST_HISTORY
from jaxrec.pages.explorer._catalog import Catalog
from jaxrec.pages.explorer._engine import RERANKERS, Job, Ranked
from jaxrec.pages.explorer._limits import Limits, Refused
from jaxrec.pages.explorer._parameters import Number, Parameter, Switch, Text, Texts, Whole, Word, shown
from jaxrec.pages.explorer._search import Found
from jaxrec.text import cell_text

COLUMNS = ("user", "run", "rank", "item", "title", "score")
"""Of /api/list.csv."""
BASKET = "new"
"""Who a list of a basket is for, as `jaxrec.recommend` calls it."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What /api/recommend and /api/list.csv take.

    Attributes:
      user: an id; None for a basket.
      history: the items of a basket, by id or title, as are `exclude` and `candidates`.
      run: labels; None for all runs.
      k: places of a list.
      diversity: 0 for the order of the model, up to 1; the trade-off of the re-ranker is 1 less this.
      reranker: mmr or dpp.
      exclude: items that are left out.
      candidates: items that alone may stand; None for all.
      categories: labels of which an item must have one; none for all items.
      filter_seen: whether the items of the user or the basket are left out.
      details: whether the history, the test items and the reasons are in the answer.
      spreadsheet_safe: of the rows, whether texts that a spreadsheet would run get a quote before them.
    """

    user: str | None = None
    history: tuple[str, ...] = ()
    run: tuple[str, ...] | None = None
    k: int = 10
    diversity: float = 0.0
    reranker: str = "mmr"
    exclude: tuple[str, ...] = ()
    candidates: tuple[str, ...] | None = None
    categories: tuple[str, ...] = ()
    filter_seen: bool = True
    details: bool = False
    spreadsheet_safe: bool = False


def recommend_parameters(limits: Limits, num_items: int) -> dict[str, Parameter]:
    """What each parameter of /api/recommend may be.

    >>> list(recommend_parameters(Limits(), 100))[:3]
    ['user', 'history', 'run']
    """
    return {
        "user": Text(1000),
        "history": Texts(limits.history),
        "run": Texts(100),
        "k": Whole(1, min(limits.k, num_items)),
        "diversity": Number(0, 1),
        "reranker": Word(tuple(RERANKERS)),
        "exclude": Texts(limits.exclude),
        "candidates": Texts(limits.candidates),
        "categories": Texts(100),
        "filter_seen": Switch(),
        "details": Switch(),
    }


def search_parameters(limits: Limits) -> dict[str, Parameter]:
    """What each parameter of /api/users and /api/items may be."""
    return {"q": Text(limits.search), "limit": Whole(1, limits.found)}


def similar_parameters(limits: Limits, num_items: int) -> dict[str, Parameter]:
    """What each parameter of /api/similar may be."""
    return {"item": Text(1000), "run": Texts(100), "k": Whole(1, max(min(limits.k, num_items - 1), 1))}


def jobs_of(wanted: Wanted, catalog: Catalog, labels: Sequence[str]) -> list[Job]:
    """The jobs of a request, one for each run.

    Raises:
      Refused: neither a user nor a history, or both; an id, run or category that there is not; no item left.
    """
    if (wanted.user is None) == (not wanted.history):
        both = "both are given" if wanted.history else "neither is given"
        raise Refused(f"name a user or a history of at least one item; {both}")
    runs = runs_of(wanted.run, labels)
    user = None if wanted.user is None else catalog.user(wanted.user)
    history = catalog.places(wanted.history) if user is None else catalog.history(user)
    candidates = None if wanted.candidates is None else catalog.places(wanted.candidates)
    among = catalog.among(catalog.places(wanted.exclude), candidates, wanted.categories)
    how: dict[str, Any] = {"k": wanted.k, "diversity": wanted.diversity, "reranker": wanted.reranker}
    rest: dict[str, Any] = {"among": among, "filter_seen": wanted.filter_seen, "why": wanted.details}
    return [Job(run, user, history, **how, **rest) for run in runs]


def runs_of(asked: Sequence[str] | None, labels: Sequence[str]) -> list[str]:
    """The runs that are meant, each once; all where the parameter is left out.

    Raises:
      Refused: no run of that label, or an empty list.

    >>> runs_of(None, ["mf", "ease"]), runs_of(["ease", "ease"], ["mf", "ease"])
    (['mf', 'ease'], ['ease'])
    """
    if asked is None:
        return list(labels)
    if not asked:
        raise Refused(f"run is an empty list; name at least one of {', '.join(labels)}, or leave it out for all")
    for name in asked:
        if name not in labels:
            raise Refused(f"there is no run {shown(name)}; the runs are {', '.join(labels)}", 404)
    return list(dict.fromkeys(asked))


def recommended(
    wanted: Wanted, jobs: Sequence[Job], outcomes: Sequence[Ranked | Refused], catalog: Catalog
) -> dict[str, Any]:
    """The document of /api/recommend.

    Raises:
      Refused: none of the runs has a list.
    """
    refuse_where_all_are(outcomes)
    job = jobs[0]
    tested = None if job.user is None else catalog.tested(job.user)
    hits = None if tested is None else set(tested.tolist())
    details: dict[str, Any] = {"history": None, "test_items": None}
    if wanted.details:
        details["history"] = [catalog.named(item) for item in job.history[:MOST_HISTORY].tolist()]
        details["test_items"] = None if tested is None else [catalog.named(item) for item in tested.tolist()]
    return {
        "user": None if job.user is None else catalog.user_ids[job.user],
        "history_length": len(job.history),
        **details,
        "k": wanted.k,
        "diversity": wanted.diversity,
        "reranker": wanted.reranker if wanted.diversity > 0 else None,
        "lists": [_list(one.run, outcome, catalog, hits) for one, outcome in zip(jobs, outcomes, strict=True)],
    }


def rows_of(wanted: Wanted, jobs: Sequence[Job], outcomes: Sequence[Ranked | Refused], catalog: Catalog) -> str:
    """The rows of /api/list.csv: user, run, rank, item, title, score.

    Raises:
      Refused: none of the runs has a list.
    """
    refuse_where_all_are(outcomes)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    who = BASKET if jobs[0].user is None else catalog.user_ids[jobs[0].user]
    for job, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, Refused):
            continue
        for rank, (item, score) in enumerate(zip(outcome.items.tolist(), outcome.scores.tolist(), strict=True), 1):
            row = [who, job.run, rank, catalog.item_ids[item], catalog.titles[item], score]
            writer.writerow(map(cell_text, row) if wanted.spreadsheet_safe else row)
    return out.getvalue()


def refuse_where_all_are(outcomes: Sequence[Ranked | Refused]) -> None:
    """Refuse a request of which no run has a list; where some have, the others say why in a note.

    Raises:
      Refused: the first one.
    """
    refused = [one for one in outcomes if isinstance(one, Refused)]
    if len(refused) == len(outcomes):
        raise refused[0]


def found_users(found: Found, catalog: Catalog) -> dict[str, Any]:
    """The document of /api/users."""
    sizes = np.diff(catalog.indptr)
    users = [{"id": catalog.user_ids[at], "history_length": int(sizes[at])} for at in found.places]
    return {"total": found.total, "users": users}


def found_items(found: Found, catalog: Catalog) -> dict[str, Any]:
    """The document of /api/items."""
    return {"total": found.total, "items": [described(at, catalog) for at in found.places]}


def described(item: int, catalog: Catalog) -> dict[str, Any]:
    """What is known of an item: id, title, interactions in the fitted part, categories."""
    labels = [catalog.labels[at] for at in np.flatnonzero(catalog.category[item]).tolist()]
    return {**catalog.named(item), "popularity": int(catalog.popularity[item]), "categories": labels}


def similar(item: int, found: Mapping[str, tuple[np.ndarray, np.ndarray] | None], catalog: Catalog) -> dict[str, Any]:
    """The document of /api/similar.

    Raises:
      Refused: no run has similarities.
    """
    if all(one is None for one in found.values()):
        raise Refused(f"{', '.join(found)}: without a similarity of items; ask a run that has vectors or item weights")
    lists = []
    for run, one in found.items():
        places, values = ([], []) if one is None else (one[0].tolist(), one[1].tolist())
        items = [
            {"rank": rank, **catalog.named(at), "similarity": value}
            for rank, (at, value) in enumerate(zip(places, values, strict=True), 1)
        ]
        lists.append({"run": run, "items": items, "notes": [] if one else ["the model has no similarity of items"]})
    return {"item": described(item, catalog), "lists": lists}


def runs_document(
    models: Mapping[str, FittedModel], folders: Mapping[str, str], catalog: Catalog, limits: Limits
) -> dict[str, Any]:
    """The document of /api/runs."""
    runs = [
        {"run": label, "model": model.name, "description": str(model), "folder": folders.get(label, "")}
        for label, model in models.items()
    ]
    return {
        "runs": runs,
        "users": len(catalog.user_ids),
        "items": len(catalog.item_ids),
        "categories": list(catalog.labels),
        "rerankers": list(RERANKERS),
        "left_out": list(catalog.left_out),
        "limits": {**dataclasses.asdict(limits), "k": min(limits.k, len(catalog.item_ids))},
    }


def _list(run: str, outcome: Ranked | Refused, catalog: Catalog, hits: set[int] | None) -> dict[str, Any]:
    if isinstance(outcome, Refused):
        return {"run": run, "items": [], "distance": None, "notes": [str(outcome)]}
    items = []
    for at, (item, score) in enumerate(zip(outcome.items.tolist(), outcome.scores.tolist(), strict=True)):
        why = None if outcome.reasons is None else [catalog.named(near) for near in outcome.reasons[at].tolist()]
        hit = None if hits is None else item in hits
        items.append({"rank": at + 1, **catalog.named(item), "score": score, "hit": hit, "why": why})
    return {"run": run, "items": items, "distance": outcome.distance, "notes": list(outcome.notes)}
