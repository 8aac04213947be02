"""`jaxrec similar`: the items most like given ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from tyro import conf

from jaxrec.api._recommend import similar_items
from jaxrec.cli._help import Guide
from jaxrec.cli._output import emit, note
from jaxrec.cli._parsing import Words, expand, optional, parse
from jaxrec.cli._run_folder import RunOptions
from jaxrec.errors import JaxrecError


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimilarCommand(RunOptions):
    """The options of `similar`.

    Attributes:
      run: the run folder.
      item: ids or titles of items; a title is put in quotes, and @FILE stands for the lines of a file.
      k: the length of a list.
    """

    run: Annotated[str, conf.Positional, conf.arg(metavar="RUN")]
    item: Annotated[Words, optional("ITEM ...")] = ()
    k: Annotated[int, conf.arg(aliases=("-k",))] = 10


GUIDE = Guide(
    "The most similar items of an item, by the embeddings or item weights of the model.",
    first=("item", "k", "json"),
    examples=('jaxrec similar runs/first --item "Toy Story" -k 5',),
)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec similar`; see `SimilarCommand` for the options."""
    command = parse(
        SimilarCommand,
        argv,
        "similar",
        GUIDE,
    )
    items = expand(command.item, "--item")
    if not items:
        raise JaxrecError("name an item with --item, by its id or its title")
    command.start()
    lists = similar_items(command.restored(command.run), items, k=command.k)
    for text in lists.notes:
        note(text, command.quiet)
    emit(lists.to_dict(), str(dataclasses.replace(lists, notes=())), command.json)
