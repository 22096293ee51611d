"""All boards, as the JSON that people import. `make generate` writes it; Grafana's own SDK knows its types."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

import fleet_board
import instance_board

HOME = Path(__file__).parent


def render() -> Mapping[Path, str]:
    """Return the files of all boards with what they should hold."""
    encoder = JSONEncoder(indent=2, sort_keys=True, ensure_ascii=False)
    boards = (module.build().build() for module in (fleet_board, instance_board))
    return {HOME / f"{board.uid}.json": encoder.encode(board) + "\n" for board in boards}
