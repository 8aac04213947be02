"""What `metrics.json` of a run folder says of the model in it."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from jaxrec.cli._output import note
from jaxrec.errors import RunFolderError
from jaxrec.fitting._document import beside, digest_in


def read_metrics(folder: str, quiet: bool = False) -> dict[str, Any]:
    """The figures of the model of a run folder; empty where there are none.

    Figures of another model are left out, and that is told. Where a fit was killed at its very end, the figures may
    still have the hash of their model in their name.

    Raises:
      RunFolderError: the figures are damaged.

    >>> read_metrics("no/such/folder")
    {}
    """
    place = pathlib.Path(folder).expanduser()
    digest = digest_in(place) or ""
    others = 0
    for path in (place / "metrics.json", place / beside("metrics.json", digest)):
        document = _read(path)
        if document.get("model_sha256", digest) == digest:  # before format 3 it was not said
            if document:
                return document
        else:
            others += 1
    if others:
        note(f"metrics.json in {folder} is of another model than model.json, so it is left out", quiet)
    return {}


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        detail = " ".join(str(error).split())[:80]
        raise RunFolderError(f"{str(path)!r} is damaged: {detail}; fit again, or remove it") from None
    if not isinstance(document, dict):
        raise RunFolderError(f"{str(path)!r} is damaged: it has no figures; fit again, or remove it")
    return document
