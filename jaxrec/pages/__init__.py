"""Pages: what models did, as self-contained HTML that opens from a disk, or alive behind an ASGI application."""

from jaxrec.pages._alerts import CHECKS, Alert, Check
from jaxrec.pages._evidence import METRICS, Entry, measured
from jaxrec.pages._own import OwnSection
from jaxrec.pages._report import Page, report
from jaxrec.pages.explorer import Limits, explorer_app

__all__ = [
    "CHECKS",
    "METRICS",
    "Alert",
    "Check",
    "Entry",
    "Limits",
    "OwnSection",
    "Page",
    "explorer_app",
    "measured",
    "report",
]
