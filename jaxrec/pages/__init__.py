"""Pages: what models did, as self-contained HTML that opens from a disk."""

from jaxrec.pages._alerts import CHECKS, Alert, Check
from jaxrec.pages._evidence import METRICS, Entry, measured
from jaxrec.pages._report import Page, report

__all__ = ["CHECKS", "METRICS", "Alert", "Check", "Entry", "Page", "measured", "report"]
