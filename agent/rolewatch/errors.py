"""The exceptions that rolewatch raises.

* RolewatchError
  - ConfigError          the operator's settings cannot be used; exit status 78 (EX_CONFIG), of options alone 64
  - ImdsError            no usable answer from IMDS; becomes a `Failure` in `observe`, never a crash
  - StateFileError       the state file cannot be used; it is ignored with a warning
  - ConfirmationError    the evidence of a confirmation cannot be used; it is ignored, counted and logged
  - UsageError           a command cannot do this; the text is what to do instead; exit status 64 (EX_USAGE)
  - UnavailableError     something on the host is not available now, such as an address; exit status 69 (EX_UNAVAILABLE)
"""

from __future__ import annotations

from rolewatch.observation import Failure


class RolewatchError(Exception):
    """The base class of rolewatch's exceptions."""


class ConfigError(RolewatchError):
    """The settings cannot be used.

    `problems` has one sentence for each problem, with the file and the line.
    """

    def __init__(self, *problems: str) -> None:
        """Take one sentence for each problem."""
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems


class ImdsError(RolewatchError):
    """IMDS gave no usable answer; `failure` is the evidence."""

    def __init__(self, failure: Failure) -> None:
        """Take *failure*, and nothing else of what IMDS sent: it may be a secret."""
        super().__init__(failure.reason.value)
        self.failure = failure


class StateFileError(RolewatchError):
    """The state file cannot be read, is of another version, or belongs to another instance."""


class ConfirmationError(RolewatchError):
    """The evidence of a confirmation cannot be used. The text is why, and quotes nothing of it."""


class UsageError(RolewatchError):
    """The command cannot do this. The text is why, and what to do instead."""


class UnavailableError(RolewatchError):
    """Something on this host is not available now, and may be later. The text is what, and what to do."""
