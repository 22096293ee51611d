"""Pictures of the page in every state, for people: light and dark, in two widths.

``PYTHONPATH=agent:tests python tests/page/pictures.py DIRECTORY``; ``--docs`` writes those of the documentation.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from page.browser import browser
from page.views import VIEWS
from rolewatch.http.page import render_page

DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURED = {"ok": (1000, 820, False), "failed": (1000, 1130, True)}
"""Pictures of the documentation: width, height, and whether dark."""


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", help="where every picture goes")
    parser.add_argument("--docs", action="store_true", help="write those of the documentation")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, browser(Path(scratch) / "profile") as chromium:
        file = Path(scratch) / "page.html"
        for name, view in VIEWS.items():
            file.write_bytes(render_page(view))
            if arguments.docs and name in PICTURED:
                width, height, dark = PICTURED[name]
                chromium.show(width=width, height=height, dark=dark)
                chromium.open(f"file://{file}")
                chromium.screenshot(DOCS / f"page-{name}.png", whole=False)
            if not arguments.directory:
                continue
            arguments.directory.mkdir(parents=True, exist_ok=True)
            for width in (1000, 360):
                for dark in (False, True):
                    chromium.show(width=width, dark=dark)
                    chromium.open(f"file://{file}")
                    picture = f"{name}-{width}-{'dark' if dark else 'light'}.png"
                    chromium.screenshot(arguments.directory / picture)


if __name__ == "__main__":
    main()
