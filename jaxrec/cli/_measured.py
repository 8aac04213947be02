"""The split that the model of a run folder is measured on: the one it names itself, or that of the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from jaxrec.cli._data_options import DataOptions
from jaxrec.cli._source import describe, read_data, split_again, split_data
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError, RunFolderError
from jaxrec.fitting._fitted import FittedModel


def split_of(
    folder: str, model: FittedModel, data: str | None, options: DataOptions, kinds: Sequence[type] = ()
) -> tuple[Split, dict[str, Any]]:
    """Make the split of a run folder.

    Args:
      folder: the run folder, for messages.
      model: its model.
      data: where the data are now; needed for a folder of `jaxrec.save`, which does not say what it was fitted on.
      options: of the data and the split, for such a folder; of them `data_dir` for every folder.
      kinds: classes of one's own that the run was made with.

    Returns:
      (the split, what `describe` says of it).

    Raises:
      RunFolderError: the folder does not say its split, and `data` is None.
      JaxrecError: options for a folder that says its split itself, and all that reading and splitting raise.
    """
    described = model.info.get("source")
    if isinstance(described, dict):
        given = [
            field.name
            for field in dataclasses.fields(options)
            if field.name != "data_dir" and getattr(options, field.name) != field.default
        ]
        if given:
            raise JaxrecError(
                f"--{given[0].replace('_', '-')} is for a folder that jaxrec.save wrote, and {folder!r} says its split "
                "itself; leave it out"
            )
        return split_again(described, moved_to=data, data_dir=options.data_dir, kinds=kinds), described
    if data is None:
        raise RunFolderError(
            f"{folder!r} does not say which data and split it is of, since `jaxrec fit` did not write it; name them "
            "with --data and the options of the split, such as --split, --test, --valid and --split-seed"
        )
    read, options = read_data(data, options)
    parts = split_data(read, options)
    return parts, describe(data, options, parts)
