"""What every browser test needs. Where it is missing, a test's module is skipped with the reason; never in CI."""

import os

import pytest
from chromium import CHROMIUM, PATIENCE

obliged = os.environ.get("CI") == "true"
try:
    from playwright.sync_api import expect
except ImportError:
    if obliged:
        raise
    pytest.skip("playwright is not installed", allow_module_level=True)
if not CHROMIUM.exists() and not obliged:
    pytest.skip(f"there is no {CHROMIUM}", allow_module_level=True)
expect.set_options(timeout=1000 * PATIENCE)

__all__ = ["expect"]
