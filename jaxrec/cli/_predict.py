"""`jaxrec predict`: the scores of pairs of a user and an item."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Annotated

from tyro import conf

from jaxrec.api._lookup import item_indices, title_of
from jaxrec.api._predict import predict
from jaxrec.cli._help import Guide
from jaxrec.cli._output import emit
from jaxrec.cli._parsing import Words, expand, optional, parse
from jaxrec.cli._run_folder import RunOptions
from jaxrec.errors import JaxrecError
from jaxrec.text import aligned_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictCommand(RunOptions):
    """The options of `predict`. The first user goes with the first item, the second with the second.

    Attributes:
      run: the run folder.
      user: ids of users; @FILE stands for the lines of a file.
      item: ids or titles of items, likewise.
    """

    run: Annotated[str, conf.Positional, conf.arg(metavar="RUN")]
    user: Annotated[Words, optional("ID ...")] = ()
    item: Annotated[Words, optional("ITEM ...")] = ()


GUIDE = Guide(
    "The score of each pair of a user and an item: a rating for a model trained with --loss mse. The first user goes "
    "with the first item, the second with the second.",
    first=("user", "item", "json"),
    examples=('jaxrec predict runs/first --user 42 42 --item "Toy Story" Heat',),
)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec predict`; see `PredictCommand` for the options."""
    command = parse(
        PredictCommand,
        argv,
        "predict",
        GUIDE,
    )
    users, items = expand(command.user, "--user"), expand(command.item, "--item")
    if not users or not items:
        raise JaxrecError("name pairs with --user and --item, as many of one as of the other")
    if len(users) != len(items):
        raise JaxrecError(
            f"--user names {len(users):,} and --item names {len(items):,}; name as many of one as of the other, since "
            "the first user goes with the first item"
        )
    command.start()
    model = command.restored(command.run)
    scores = predict(model, users, items)
    with warnings.catch_warnings():  # what there is to tell of the items was told by predict
        warnings.simplefilter("ignore")
        places = item_indices(model, items)
    pairs = [
        {
            "user": model.users.ids[user].item(),
            "item": model.items.ids[item].item(),
            "title": title_of(model, int(item)),
            "score": float(score),
        }
        for user, item, score in zip(model.users.index(users), places, scores, strict=True)
    ]
    rows = [("user", "item", "title", "score")]
    rows += [(str(one["user"]), str(one["item"]), one["title"], f"{one['score']:.4f}") for one in pairs]
    emit({"pairs": pairs}, aligned_text(rows, right=[3]), command.json)
