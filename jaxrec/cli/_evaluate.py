"""`jaxrec evaluate`: make the split of a run folder again, and measure its model on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Literal

from tyro import conf

from jaxrec.api._evaluate import evaluate, evaluate_ratings
from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._devices import ShareOptions, shared_by
from jaxrec.cli._fit import list_lengths
from jaxrec.cli._help import Guide
from jaxrec.cli._labels import read_categories, read_labels
from jaxrec.cli._measured import split_of
from jaxrec.cli._output import emit, note
from jaxrec.cli._parsing import Switch, Words, expand, optional, parse
from jaxrec.cli._processes import over_processes
from jaxrec.cli._reranking import RerankingOptions, reranker_of, rerankers, with_reranker
from jaxrec.cli._run_folder import RunOptions, metrics_of
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation._catalog import DEFAULT_K, DEFAULT_METRICS, DEFAULT_RATING_METRICS
from jaxrec.reports._group_tables import by_item_group, group_table
from jaxrec.reports._groups import activity_groups, popularity_groups
from jaxrec.reports._values import split_value_name


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateCommand(RerankingOptions, ShareOptions, RunOptions):
    """What `evaluate` has. Where items are given, @FILE stands for the lines of a file, and @@x for an id @x.

    Attributes:
      run: the run folder.
      part: the part that is measured; valid is for a model that was not fitted on the validation part.
      k: lengths of the lists.
      metrics: names of metrics, or package.module:Class; by default recall, precision and ndcg, or rmse and mae of a
        model of ratings.
      mask: what a user has already and is left out of their list: earlier parts, the training part alone, or nothing.
      exclude: items, by id or title, that are recommended to nobody.
      candidates: items, by id or title, that alone may be recommended.
      user_groups: activity, or a .csv file with lines `user,group`; activity makes groups of users by how many training
        interactions they have.
      item_groups: popularity, or a .csv file with lines `item,group`; popularity makes a head and a tail of the items.
      item_categories: for miscalibration and category_coverage: a column of the items such as `genres`, or a .csv file
        with lines `item,category`.
      no_distances: leave the distances within the lists out, which need a decomposition of the training matrix.
      memory_mb: the most that the scores of a chunk of users may take, in MiB.
      data: where the data are now, if elsewhere than at the fit; for a folder of jaxrec.save, the data.
    """

    run: Annotated[str, conf.Positional, conf.arg(metavar="RUN")]
    part: Literal["test", "valid"] = "test"
    k: Annotated[tuple[int, ...], conf.arg(aliases=("-k",))] = DEFAULT_K
    metrics: tuple[str, ...] = ()
    mask: Literal["earlier", "train", "nothing"] = "earlier"
    exclude: Annotated[Words, optional("ITEM ...")] = ()
    candidates: Annotated[Words, optional("ITEM ...")] = ()
    user_groups: Annotated[str | None, optional("GROUPS")] = None
    item_groups: Annotated[str | None, optional("GROUPS")] = None
    item_categories: Annotated[str | None, optional("COLUMN|FILE")] = None
    no_distances: Switch = False
    memory_mb: int = 256
    data: Annotated[str | None, optional("DATA")] = None
    data_and_split: conf.OmitArgPrefixes[DataOptions] = dataclasses.field(default_factory=DataOptions)


GUIDE = Guide(
    "Measure the model of a run folder on the split that it was fitted on. Nothing in the folder changes.",
    first=("k", "metrics", "part", "candidates", "user_groups", "item_groups", "reranker", "data", "json"),
    examples=(
        "jaxrec evaluate runs/first --metrics recall ndcg auc",
        "jaxrec evaluate runs/first --user-groups activity --item-groups popularity",
    ),
    elsewhere=rerankers,
)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec evaluate`; see `EvaluateCommand` for the options."""
    command = parse(
        with_reranker(EvaluateCommand, argv),
        argv,
        "evaluate",
        GUIDE,
    )
    exclude = expand(command.exclude, "--exclude")
    candidates = expand(command.candidates, "--candidates") if command.candidates else None
    command.start()
    model = command.restored(command.run, parts=command.item_parts)
    rates = model.info["task"] == "rating"
    if rates and shared_by(command) is not None:
        raise JaxrecError(f"{command.run!r} predicts ratings, on one device; leave --devices out")
    command = over_processes(command, f"{command.run!r} predicts ratings" if rates else None)
    if command.part == "valid" and model.info["fitted_on"] != "train":
        raise MismatchError(
            f"the model was fitted on {model.info['fitted_on']}, so the validation part says nothing about it; what it "
            f"had there before the refit is `valid` in {command.run}/metrics.json, or fit with --no-refit"
        )
    parts, described = split_of(command.run, model, command.data, command.data_and_split, command.kinds())
    for text in (*parts.train.notes, *parts.notes):
        note(text, command.quiet)
    trained = parts.train if command.part == "valid" else parts.fitted
    user_groups, item_groups = command.user_groups, command.item_groups
    if user_groups is not None:
        activity = user_groups == "activity"
        user_groups = activity_groups(trained) if activity else read_labels(user_groups, "user", "--user-groups")
    if item_groups is not None:
        popular = item_groups == "popularity"
        item_groups = popularity_groups(trained) if popular else read_labels(item_groups, "item", "--item-groups")
    if rates:
        words = (command.item_groups, command.item_categories, command.reranker)
        lists = (exclude, candidates is not None, *(word is not None for word in words))
        if any(lists) or command.mask != "earlier":
            raise JaxrecError(
                f"{command.run!r} predicts ratings and makes no lists; leave --mask, --exclude, --candidates, "
                "--item-groups, --item-categories and --reranker out"
            )
        report = evaluate_ratings(
            model, parts, part=command.part, metrics=metrics_of(command.metrics) or DEFAULT_RATING_METRICS
        )
    else:
        report = evaluate(
            model,
            parts,
            k=list_lengths(command.k, parts, command.quiet),
            metrics=metrics_of(command.metrics) or DEFAULT_METRICS,
            part=command.part,
            mask=None if command.mask == "nothing" else command.mask,
            exclude=exclude,
            candidates=candidates,
            item_groups=item_groups,
            item_categories=None
            if command.item_categories is None
            else read_categories(command.item_categories, parts.train),
            space=None if command.no_distances else "svd",
            reranker=reranker_of(command),
            rerank_depth=command.rerank_depth,
            memory_mb=command.memory_mb,
            mesh=shared_by(command),
        )
    document = {"run": command.run, "model": model.name, "part": command.part, **report.to_dict()}
    document = {**document, "data": described["data"], "fingerprint": described["fingerprint"]}
    text = f"{described['data']}: {model}, {command.part} part\n{report}"
    if item_groups is not None:
        text += f"\n\nwith the truth restricted to a group of items:\n{group_table(by_item_group(report))}"
    if user_groups is not None:
        groups = report.by_group(user_groups)
        document["user_groups"] = {str(label): group.to_dict() for label, group in groups.items()}
        names = [name for name in report.per_user if split_value_name(name).group is None]
        text += (
            f"\n\ngroups of users; values of all lists together are not defined for them:\n{group_table(groups, names)}"
        )
    emit(document, text, command.json)
