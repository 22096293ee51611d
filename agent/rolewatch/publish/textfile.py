"""The metrics as a file, for node_exporter's text file collector: where no port may be opened, or one scrape is enough.

What that collector wants (node_exporter 1.5, collector/textfile.go): a name that ends in ``.prom``, the text format, no
time stamps, the same HELP in every file. It has no ``process_*`` of ours: node_exporter's own would be meant.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Callable

from rolewatch import files
from rolewatch.errors import UnavailableError
from rolewatch.publish import Report

MODE = 0o644
"""node_exporter runs as another user."""


class Textfile:
    """The publisher that writes the metrics into a file after each poll."""

    name = "textfile"

    def __init__(self, path: Path, page: Callable[[], bytes]) -> None:
        """Write nothing yet. *page* gives what is to stand in the file *path*."""
        self._path = path
        self._page = page
        self._written = False

    def publish(self, report: Report) -> None:
        """Write the page, which holds *report* by now. Raise `UnavailableError` where that fails."""
        del report
        write(self._path, self._page())
        self._written = True

    def stop(self) -> None:
        """Remove the file, if it is ours: node_exporter would go on telling what nobody looks after any more.

        So a daemon that was stopped is missed as it is with a port. One that was killed leaves its file behind: the
        time of the last poll in it says how old it is.
        """
        if self._written:
            with contextlib.suppress(OSError):
                self._path.unlink()


def write(path: Path, page: bytes) -> None:
    """Put *page* into the file *path* at once, so that nobody reads half of it. Raise `UnavailableError` if that fails.

    node_exporter does not read the temporary, whose name does not end in ``.prom``. Not synced: after a power cut an
    empty file is written anew within a poll, and an fsync on a hung disk would hold the watching up.
    """
    try:
        files.replace(path, page, mode=MODE)
    except OSError as error:
        raise UnavailableError(
            f"{path} cannot be written: {error.strerror}. Its directory has to be there, and writable for the user "
            "that rolewatch runs as; under systemd it needs ReadWritePaths=, too"
        ) from None
