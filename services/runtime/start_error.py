"""Why a service does not start: every reason at once."""

from __future__ import annotations

from collections.abc import Sequence

from idv.errors import IdvError, Reason


class StartError(IdvError):
    """A service that cannot start. `faults` says each reason, with what to do about it."""

    def __init__(self, what: str, faults: Sequence[str]) -> None:
        super().__init__(Reason.ERROR_REASON_WRONG_STATE, f"{what}: {'; '.join(faults)}")
        self.faults = list(faults)
