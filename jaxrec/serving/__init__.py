"""Serving: a fitted model as files and compiled programs that need no jaxrec."""

from __future__ import annotations

from jaxrec.serving._export import Exported, export
from jaxrec.serving._sides import Sides, sides

__all__ = ["Exported", "Sides", "export", "sides"]
