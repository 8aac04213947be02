"""`--reranker NAME`: the re-ranker of a command, and the options that it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypeVar

from tyro import conf

from jaxrec import registry
from jaxrec.cli._mistakes import Owners, flags_in
from jaxrec.cli._parsing import class_of, optional, summary_of, twin, values_of, word_of
from jaxrec.ranking._reranking import RERANK_DEPTH

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RerankingOptions:
    """What every command has that ranks.

    Attributes:
      reranker: mmr, dpp, or package.module:Class: what chooses the list from the best items of a user, by how far apart
        they are; `--reranker NAME --help` shows its options.
      rerank_depth: how many items it chooses from, at least as many as the longest list has.
    """

    reranker: Annotated[str | None, optional("NAME")] = None
    rerank_depth: int = RERANK_DEPTH


def with_reranker(base: type[T], argv: Sequence[str]) -> type[T]:
    """A command with the options of the re-ranker that its words name.

    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Command(RerankingOptions):
    ...     k: int = 10
    >>> [field.name for field in dataclasses.fields(with_reranker(Command, ["--reranker", "dpp"]))]
    ['reranker', 'rerank_depth', 'k', 'reranker_options']
    """
    word = word_of(argv, "--reranker", "")
    if not word:
        return base
    kind = class_of("reranker", word)
    group = twin(kind, "RerankerOptions", summary_of(kind))
    taken = {field.name for field in dataclasses.fields(base)}  # pyright: ignore[reportArgumentType]
    clash = taken & {field.name for field in dataclasses.fields(group)}
    # A flag that the command has gets the group's name in front of it.
    field = ("reranker_options", group if clash else conf.OmitArgPrefixes[group], dataclasses.field(default=group()))
    return dataclasses.make_dataclass(
        base.__name__, [field], bases=(base,), frozen=True, kw_only=True, namespace={"__doc__": base.__doc__}
    )


def rerankers() -> Iterator[Owners]:
    """The re-rankers and their flags, for messages about options that need one.

    >>> [title for title, flags in next(rerankers()) if "--trade-off" in flags]
    ['--reranker mmr', '--reranker dpp']
    """
    kinds = {name: class_of("reranker", name) for name in registry.names("reranker", installed=False)}
    yield [(f"--reranker {name}", flags_in(twin(kind, "RerankerOptions", ""))) for name, kind in kinds.items()]


def reranker_of(command: Any) -> Any:
    """The re-ranker of a command that `with_reranker` made, or None.

    >>> reranker_of(RerankingOptions()) is None
    True
    """
    if command.reranker is None:
        return None
    return class_of("reranker", command.reranker)(**values_of(command.reranker_options))
