"""Why a service does not start: every reason at once."""

from __future__ import annotations

from collections.abc import Sequence


class StartError(Exception):
    """A service that cannot start. `faults` says each reason, with what to do about it."""

    def __init__(self, what: str, faults: Sequence[str]) -> None:
        super().__init__(f"{what}:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = list(faults)
