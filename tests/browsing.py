"""Chromium of the system for tests of pages; tests that need it are skipped where it or Playwright is missing."""

import contextlib
import os
import shutil

import pytest

PHONE = {"width": 390, "height": 844}


@contextlib.contextmanager
def chromium():
    """Start the browser for the block; as root it runs only without its sandbox."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason='no Playwright: pip install "jaxrec[browser]"')
    words = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=words)
        yield started
        started.close()
