"""Pictures of the pages for the README, taken from a real run when AIVD_SCREENSHOTS=1."""

import os
from pathlib import Path

from playwright.sync_api import Page

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "screenshots"


def picture_of(page: Page, name: str) -> None:
    """Keep what `page` shows now as docs/screenshots/NAME.png, if screenshots were asked for."""
    if os.environ.get("AIVD_SCREENSHOTS") == "1":
        FOLDER.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=FOLDER / f"{name}.png")
