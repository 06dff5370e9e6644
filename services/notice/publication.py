"""All that the public may see, as it stands from one instant until the next at which any of it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from services.notice import lifecycle
from services.notice.content import Version
from services.notice.lifecycle import State, Term
from services.notice.versions import Shelf


@dataclass(frozen=True, slots=True)
class Publication:
    """The announced versions with their states; true for every instant from `at` on and before `until`."""

    source: Shelf
    at: datetime
    until: datetime | None
    states: Mapping[int, State]
    terms: Mapping[int, Term]
    """When each is in force, where that is known."""
    versions: tuple[Version, ...]
    """Every version that was announced, the newest first; those that were withdrawn too."""

    @classmethod
    def of(cls, source: Shelf, now: datetime) -> Publication:
        """What the public may see of the versions at an instant."""
        shelf = Shelf(source.versions, now)
        announced = [version for version in reversed(shelf.versions) if _told(version, shelf.at)]
        lives = [version.life for version in shelf.versions]
        terms = lifecycle.terms_of_force(lives)
        moments = [term.start for term in terms]
        moments += [life.withdraw_time for life in lives if life.withdraw_time]
        moments += [life.announce_time for life in lives if life.announce_time]
        return cls(
            source=source,
            at=shelf.at,
            until=min((moment for moment in moments if moment > shelf.at), default=None),
            states={version.number: shelf.state(version) for version in announced},
            terms={term.number: term for term in terms},
            versions=tuple(announced),
        )

    def holds(self, shelf: Shelf, now: datetime) -> bool:
        """Whether it still is what the shelf says at this instant."""
        return shelf is self.source and self.at <= now and (self.until is None or now < self.until)

    def in_state(self, state: State) -> Version | None:
        """The newest version in a state."""
        return next((version for version in self.versions if self.states[version.number] is state), None)

    def number(self, number: int) -> Version | None:
        """The version with this number, if it was ever announced."""
        return next((version for version in self.versions if version.number == number), None)

    def start(self, version: Version) -> datetime | None:
        """From when the version is in force, where that is known."""
        term = self.terms.get(version.number)
        return term.start if term else None

    def end(self, version: Version) -> datetime | None:
        """When the next version takes its place, where that is known."""
        term = self.terms.get(version.number)
        return term.end if term else None

    def standing(self, version: Version) -> State:
        """The version's state."""
        return self.states[version.number]


def _told(version: Version, at: datetime) -> bool:
    return version.life.announce_time is not None and version.life.announce_time <= at
