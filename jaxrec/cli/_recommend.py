"""`jaxrec recommend`: lists of items for users, printed or written to a file."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Annotated, Literal

from tyro import conf

from jaxrec.api._new_items import add_items, owners_of, titles_of
from jaxrec.api._recommend import recommend
from jaxrec.api._suggestions import Recommendations
from jaxrec.cli._devices import ShareOptions, shared_by
from jaxrec.cli._help import Guide
from jaxrec.cli._memory import use_cache
from jaxrec.cli._output import emit, note, writable
from jaxrec.cli._parsing import Switch, Words, expand, optional, parse
from jaxrec.cli._processes import over_processes
from jaxrec.cli._reranking import RerankingOptions, reranker_of, rerankers, with_reranker
from jaxrec.cli._run_folder import RunOptions, device
from jaxrec.cli._source import columns_of
from jaxrec.data._interactions import Interactions
from jaxrec.data.reading._readers import read
from jaxrec.errors import JaxrecError
from jaxrec.parallel._processes import from_writer

_ENDINGS = (".csv", ".json", ".parquet")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecommendCommand(RerankingOptions, ShareOptions, RunOptions):
    """The options of `recommend`. Among ids, @FILE stands for the lines of a file, and @@x for an id @x.

    Attributes:
      run: the run folder.
      user: ids of users.
      all: all users of the data.
      history: the items of one user who is not in the data; by id or title. The list is of "new".
      new_users: a file of what several such users have; as jaxrec.read takes it: user, item and, for a model of
        ratings, rating.
      new_items: a file of who has items that are not in the data, as jaxrec.read takes it: item, and a user whom the
        model knows; they are recommended like the others, see jaxrec.add_items.
      columns: of the files of new users and new items; the column of each role by name or position from 0
        ("user=customer item=sku"), or the role of each column in order, - for none; the roles are those of `jaxrec
        fit`.
      k: the length of a list.
      out: a file for the lists, .csv, .json or .parquet; instead of standard output.
      seen: include the user's own items.
      unknown: treatment of users without an interaction in the fitted part: an error, no list, or the popular items.
      exclude: items, by id or title, that are never recommended.
      candidates: items, by id or title, that alone may be recommended.
      memory_mb: bound of the scores of a chunk of users, in MiB.
      spreadsheet_safe: in a .csv file, put a quote before texts that a spreadsheet would run as formulas.
    """

    run: Annotated[str, conf.Positional, conf.arg(metavar="RUN")]
    user: Annotated[Words, optional("ID ...")] = ()
    all: Switch = False
    history: Annotated[Words, optional("ITEM ...")] = ()
    new_users: Annotated[str | None, optional("FILE")] = None
    new_items: Annotated[str | None, optional("FILE")] = None
    columns: Annotated[tuple[str, ...], optional("COLUMN ...")] = ()
    k: Annotated[int, conf.arg(aliases=("-k",))] = 10
    out: Annotated[str | None, optional("FILE")] = None
    seen: Switch = False
    unknown: Literal["raise", "skip", "popular"] = "raise"
    exclude: Annotated[Words, optional("ITEM ...")] = ()
    candidates: Annotated[Words, optional("ITEM ...")] = ()
    memory_mb: int = 256
    spreadsheet_safe: Switch = False


GUIDE = Guide(
    "The best items for users, in their own ids and titles. Name users by one of --user, --all, --history and "
    "--new-users. Among ids, @FILE stands for the lines of a file.",
    first=("user", "all", "history", "new_users", "k", "out", "exclude", "candidates", "reranker", "json"),
    examples=(
        "jaxrec recommend runs/first --user 42 -k 10",
        'jaxrec recommend runs/first --history "Heat (1995)" "Alien (1979)"',
        "jaxrec recommend runs/first --all --out lists.csv",
    ),
    elsewhere=rerankers,
)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec recommend`; see `RecommendCommand` for the options."""
    command = parse(
        with_reranker(RecommendCommand, argv),
        argv,
        "recommend",
        GUIDE,
    )
    ways = {"--user": command.user, "--all": command.all, "--history": command.history}
    given = [flag for flag, value in {**ways, "--new-users": command.new_users}.items() if value]
    if len(given) != 1:
        got = " and ".join(given) if given else "none of them"
        raise JaxrecError(f"name users with --user, --all, --history or --new-users, one of the four; got {got}")
    new = given[0] in ("--history", "--new-users")
    command = over_processes(command, f"{given[0]} is of users whom the model does not know" if new else None)
    users = expand(command.user, "--user") if command.user else None
    history = expand(command.history, "--history") if command.history else None
    for flag, words, what in (("--user", users, "user"), ("--history", history, "item")):
        if words is not None and not words:
            raise JaxrecError(f"{flag} names no {what}; the file that it points to has no line")
    if command.columns and command.new_users is None and command.new_items is None:
        raise JaxrecError("--columns is for the files of --new-users and --new-items; name one, or leave it out")
    interactions, added = (_read(path, command) for path in (command.new_users, command.new_items))
    out = None if command.out is None else pathlib.Path(from_writer(functools.partial(_writable, command.out)))
    if command.spreadsheet_safe and (out is None or out.suffix != ".csv"):
        raise JaxrecError("--spreadsheet-safe is for a .csv file; name one with --out, or leave it out")
    exclude = expand(command.exclude, "--exclude")
    candidates = expand(command.candidates, "--candidates") if command.candidates else None
    use_cache(command.cache_dir)
    device()
    model = command.restored(command.run, parts=command.item_parts)
    if added is not None:
        model = add_items(model, owners_of(added), titles=titles_of(added))
        note(f"{added.num_items:,} items added to the model, by who has them", command.quiet)
    lists = recommend(
        model,
        users,
        interactions=interactions,
        history=history,
        k=command.k,
        filter_seen=not command.seen,
        unknown=command.unknown,
        exclude=exclude,
        candidates=candidates,
        reranker=reranker_of(command),
        rerank_depth=command.rerank_depth,
        memory_mb=command.memory_mb,
        mesh=shared_by(command),
    )
    for text in (*lists.notes, *_ends_in_nothing(lists)):
        note(text, command.quiet)
    if out is None:
        emit(lists.to_dict(), str(dataclasses.replace(lists, notes=())), command.json)
        return
    from_writer(functools.partial(lists.save, out, spreadsheet_safe=command.spreadsheet_safe))
    document = {"file": str(out), "users": len(lists), "notes": list(lists.notes)}
    emit(document, f"{len(lists):,} lists written to {out}", command.json)


def _ends_in_nothing(lists: Recommendations) -> list[str]:
    """A note that counts the lists whose last scores are exactly 0, such as those of item-kNN without a neighbor."""
    count = sum(bool(one) and one[-1].score == 0 for one in lists.lists.values())
    told = f"{count:,} of {len(lists):,} lists end in items of score 0: the model knows nothing of them for that user"
    return [told] if count else []


def _writable(name: str) -> str:
    return str(writable("--out", name, _ENDINGS))


def _read(path: str | None, command: RecommendCommand) -> Interactions | None:
    """The interactions of a file, None for none; its notes are told."""
    if path is None:
        return None
    data = read(path, columns=columns_of(command.columns))
    for text in data.notes:
        note(text, command.quiet)
    return data
