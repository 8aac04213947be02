"""The explorer as an ASGI application, alone or as a part of another one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.evaluation._training_statistics import Categories
from jaxrec.pages._evidence import Entry, models_of
from jaxrec.pages.explorer._catalog import catalog_of
from jaxrec.pages.explorer._engine import Engine
from jaxrec.pages.explorer._guard import LOOPBACK
from jaxrec.pages.explorer._limits import Limits

NEEDS = 'explore needs Starlette and uvicorn: pip install "jaxrec[explore]"'
"""What is said where the extra is missing."""


def explorer_app(
    entries: Mapping[str, Entry],
    split: Split | None = None,
    *,
    name: str = "",
    item_categories: Categories | None = None,
    left_out: Sequence[str] = (),
    hosts: Collection[str] = LOOPBACK,
    limits: Limits | None = None,
) -> Any:
    """Make an ASGI application with a page to explore models, and JSON endpoints behind it.

    The models belong to one thread, which starts at the first request; requests that wait together for the same run and
    rule are ranked in one call. Programs are compiled here, so that no request compiles one. `docs/serving.md` has the
    endpoints.

    Args:
      entries: label to run, of models with the same users and items that rank. Only their models, labels and folders
        are used.
      split: the data in their parts: for test items, times and categories. None goes by what the models know.
      name: of the data, for the title.
      item_categories: labels of the items, as `jaxrec.pages.report` takes them.
      left_out: sentences on what is missing, for the page.
      hosts: names that the Host header may have.
      limits: of requests.

    Returns:
      An ASGI application. Where it is mounted in another one, the address of its page must end in a slash.

    Raises:
      JaxrecError: Starlette is not installed, no entry, or a model that predicts ratings.
      MismatchError: models of other users or items.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "u", "v", "v", "w"], ["a", "b", "b", "c", "a"])
    >>> app = explorer_app({"knn": Entry(jaxrec.fit(jaxrec.ItemKNN(), data, key=jax.random.key(0)))})
    >>> callable(app)  # uvicorn.run(app) serves it
    True
    """
    try:
        from jaxrec.pages.explorer._app import Explorer, application
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("starlette", "anyio"):
            raise
        raise JaxrecError(NEEDS) from None
    models = models_of(entries, "the explorer")
    catalog = catalog_of(models, split, item_categories, left_out)
    engine = Engine(models)
    engine.warm()
    folders = {label: entry.folder for label, entry in entries.items()}
    return application(Explorer(engine, catalog, folders, name, limits or Limits()), hosts)
