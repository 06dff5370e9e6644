"""How a command ends, as a number for scripts and in words for people."""

from __future__ import annotations

import enum
from collections.abc import Mapping


class ExitCode(enum.IntEnum):
    """How `idv` ends."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNAVAILABLE = 3
    NOT_AS_PROMISED = 4


EXIT_CODES: Mapping[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.REFUSED: "refused",
    ExitCode.USAGE: "wrong usage",
    ExitCode.UNAVAILABLE: "unavailable",
    ExitCode.NOT_AS_PROMISED: "not as promised",
}
