"""How much mail one domain is sent at once: some mail servers refuse, or never forgive, more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_BUSY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class DomainLimit:
    """What one domain takes, of each replica; None: no limit."""

    sessions: int | None
    per_minute: float | None


@dataclass(slots=True)
class _Traffic:
    busy: int = 0
    free_at: float = 0.0
    put_back: int = 0


@dataclass(slots=True)
class DomainLimits:
    """The limits of one process. Times are seconds of a clock that nobody sets."""

    limits: Mapping[str, DomainLimit]
    _traffic: dict[str, _Traffic] = field(default_factory=dict)

    def enter(self, domain: str, now: float) -> float:
        """Takes a place for a mail to the domain, and returns 0; or in how many seconds to ask again.

        What is put back is spread over the time that the limit asks for, so that it is not taken up in vain.
        """
        limit = self.limits.get(domain)
        if limit is None:
            return 0.0
        traffic = self._traffic.setdefault(domain, _Traffic())
        step = 60 / limit.per_minute if limit.per_minute else 0.0
        if limit.sessions is not None and traffic.busy >= limit.sessions:
            wait = _BUSY_SECONDS
        else:
            wait = max(0.0, traffic.free_at - now)
        if wait > 0:
            wait += traffic.put_back * max(step, _BUSY_SECONDS / (10 * (limit.sessions or 1)))
            traffic.put_back += 1
            return wait
        traffic.busy += 1
        traffic.free_at = now + step
        traffic.put_back = max(0, traffic.put_back - 1)
        return 0.0

    def leave(self, domain: str) -> None:
        """Gives the place of a mail back that `enter` let in."""
        if domain in self._traffic:
            self._traffic[domain].busy -= 1
