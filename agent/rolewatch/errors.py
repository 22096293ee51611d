"""What can go wrong on purpose.

* RolewatchError
  - ConfigError          the operator's settings cannot be used; exit status 78 (EX_CONFIG)
  - ImdsError            no usable answer from IMDS; becomes a `Failure` in `observe`, never a crash
  - StateFileError       the state file cannot be used; it is ignored with a warning
  - ConfirmationError    the evidence of a confirmation cannot be used; it is ignored, counted and told
  - UsageError           a command cannot do what was asked, and says what to do instead; exit status 64 (EX_USAGE)
  - UnavailableError     something on the host is not to be had now, an address; exit status 69 (EX_UNAVAILABLE)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rolewatch.observation import Failure

if TYPE_CHECKING:
    from rolewatch.observation import Failure


class RolewatchError(Exception):
    """The root of everything that rolewatch raises on purpose."""


class ConfigError(RolewatchError):
    """The settings cannot be used.

    `problems` holds one sentence for each thing that is wrong, each with the file and the line.
    """

    def __init__(self, *problems: str) -> None:
        """Say what is wrong, a sentence for each problem."""
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems


class ImdsError(RolewatchError):
    """IMDS gave no usable answer; `failure` is the evidence."""

    def __init__(self, failure: Failure) -> None:
        """Carry *failure*, and nothing of what IMDS sent: it may be a secret."""
        super().__init__(failure.reason.value)
        self.failure = failure


class StateFileError(RolewatchError):
    """The state file cannot be read, is of another version, or belongs to another instance."""


class ConfirmationError(RolewatchError):
    """The evidence of a confirmation cannot be used; the text says why, and nothing of what it holds."""


class UsageError(RolewatchError):
    """The command cannot do what was asked; the text says why and what to do instead."""


class UnavailableError(RolewatchError):
    """Something on this host is not to be had now, and may be later; the text says what and what to do."""
