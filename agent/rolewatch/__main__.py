"""``python -m rolewatch``."""

from __future__ import annotations

from rolewatch.cli import main

raise SystemExit(main())
