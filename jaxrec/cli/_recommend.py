"""`jaxrec recommend`: lists of items for users, printed or written to a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Literal

from tyro import conf

from jaxrec.api._recommend import recommend
from jaxrec.cli._memory import use_cache
from jaxrec.cli._output import emit, note, writable
from jaxrec.cli._parsing import Switch, Words, expand, optional, parse
from jaxrec.cli._run_folder import RunOptions, device
from jaxrec.errors import JaxrecError

_ENDINGS = (".csv", ".json", ".parquet")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecommendCommand(RunOptions):
    """The options of `recommend`. Among ids, @FILE stands for the lines of a file, and @@x for an id @x.

    Attributes:
      run: the run folder.
      user: ids of users.
      all: all users of the data.
      k: the length of a list.
      out: a file for the lists, .csv, .json or .parquet, instead of standard output.
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
    k: Annotated[int, conf.arg(aliases=("-k",))] = 10
    out: Annotated[str | None, optional("FILE")] = None
    seen: Switch = False
    unknown: Literal["raise", "skip", "popular"] = "raise"
    exclude: Annotated[Words, optional("ITEM ...")] = ()
    candidates: Annotated[Words, optional("ITEM ...")] = ()
    memory_mb: int = 256
    spreadsheet_safe: Switch = False


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec recommend`; see `RecommendCommand` for the options."""
    command = parse(RecommendCommand, argv, "recommend", "The best items for users, in their own ids and titles.")
    if command.all == bool(command.user):
        raise JaxrecError("name users with --user, or ask for --all of them, one of the two")
    users = None if command.all else expand(command.user, "--user")
    if users is not None and not users:
        raise JaxrecError("--user names no user; the file that it points to has no line")
    out = None if command.out is None else writable("--out", command.out, _ENDINGS)
    if command.spreadsheet_safe and (out is None or out.suffix != ".csv"):
        raise JaxrecError("--spreadsheet-safe is for a .csv file; name one with --out, or leave it out")
    exclude = expand(command.exclude, "--exclude")
    candidates = expand(command.candidates, "--candidates") if command.candidates else None
    use_cache(command.cache_dir)
    device()
    lists = recommend(
        command.restored(command.run),
        users,
        k=command.k,
        filter_seen=not command.seen,
        unknown=command.unknown,
        exclude=exclude,
        candidates=candidates,
        memory_mb=command.memory_mb,
    )
    for text in lists.notes:
        note(text, command.quiet)
    if out is None:
        emit(lists.to_dict(), str(dataclasses.replace(lists, notes=())), command.json)
        return
    lists.save(out, spreadsheet_safe=command.spreadsheet_safe)
    document = {"file": str(out), "users": len(lists), "notes": list(lists.notes)}
    emit(document, f"{len(lists):,} lists written to {out}", command.json)
