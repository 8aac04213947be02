"""The explorer: models behind a page that is alive and behind JSON endpoints, as an ASGI application."""

from jaxrec.pages.explorer._limits import Limits
from jaxrec.pages.explorer._mount import explorer_app

__all__ = ["Limits", "explorer_app"]
