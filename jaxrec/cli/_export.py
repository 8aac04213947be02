"""`jaxrec export`: the model of a run folder as files that are served without jaxrec."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from tyro import conf

from jaxrec.cli._help import Guide
from jaxrec.cli._memory import use_cache
from jaxrec.cli._output import emit, note
from jaxrec.cli._parsing import Switch, optional, parse
from jaxrec.cli._run_folder import RunOptions, device
from jaxrec.progress import work
from jaxrec.serving._export import export


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportCommand(RunOptions):
    """The options of `export`.

    Attributes:
      run: the run folder.
      out: the folder of the artifact: new, empty, or with an artifact, which is replaced.
      k: the longest list that the compiled top-k gives.
      index: write an approximate index of the items too; its recall is measured. For models with vectors.
    """

    run: Annotated[str, conf.Positional, conf.arg(metavar="RUN")]
    out: Annotated[str, optional("FOLDER")]
    k: Annotated[int, conf.arg(aliases=("-k",))] = 100
    index: Switch = False


GUIDE = Guide(
    "Write a model as files and programs that are served without jaxrec.",
    first=("out", "k", "index"),
    examples=("jaxrec export runs/first --out served",),
)


def run(argv: Sequence[str]) -> None:
    """Run `jaxrec export`; see `ExportCommand` for the options."""
    command = parse(ExportCommand, argv, "export", GUIDE)
    use_cache(command.cache_dir)
    device()
    model = command.restored(command.run)
    with work("exporting"):
        written = export(model, command.out, k=command.k, index=command.index)
    for text in written.notes:
        note(text, command.quiet)
    manifest = written.manifest
    text = (
        f"{manifest['model']}, {manifest['users']:,} users and {manifest['items']:,} items written to {written.folder}"
    )
    if manifest["index"]:
        recall = ", ".join(f"{name} {value:.3f}" for name, value in manifest["index"].items() if "@" in name)
        text += f"; index: {recall}"
    emit({"folder": written.folder, "bytes": written.bytes, "notes": written.notes, **manifest}, text, command.json)
