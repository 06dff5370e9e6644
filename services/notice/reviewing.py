"""A version before it is announced: what it changes, whom that concerns, and what stands against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from idv.errors import IdvError

from services.notice import announcing, declaring, differences, errors
from services.notice.content import Version
from services.notice.differences import TextDifference
from services.notice.materiality import Change, compare
from services.notice.rules import NO_WISH, Rules, Wish
from services.notice.text import Text


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions compared, the later against the earlier."""

    changes: tuple[Change, ...]
    texts: tuple[TextDifference, ...]

    @property
    def text_changed(self) -> bool:
        """Whether any language's text changed."""
        return any(text.changed for text in self.texts)


@dataclass(frozen=True, slots=True)
class Question:
    """An announcement as it would be asked for: by whom, for when, and with what said."""

    approver: str
    effective: datetime | None = None
    wish: Wish = NO_WISH


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version with what decides on its announcement."""

    version: Version
    texts: tuple[Text, ...]
    author: str | None
    """Who drafted it."""
    previous: Version | None
    """The version in force; None before the first."""
    previous_texts: tuple[Text, ...]

    def comparison(self) -> Comparison:
        """Against the version in force. A first version changes nothing for anybody."""
        if self.previous is None or self.previous.number == self.version.number:
            return Comparison((), ())
        return between(self.previous, self.previous_texts, self.version, self.texts)

    @property
    def text_changed(self) -> bool:
        """Whether any text differs from those in force, without saying in what."""
        old, new = (
            {text.language: text.markdown for text in side} for side in (self.previous_texts, self.texts)
        )
        return self.previous is not None and old != new


@dataclass(frozen=True, slots=True)
class Review:
    """All that an officer should know before announcing."""

    comparison: Comparison
    previous: int | None
    """Number of the version in force."""
    material: bool
    refusals: tuple[IdvError, ...]
    audience: int
    """How many Customers would be told."""
    lead: timedelta
    earliest: datetime | None
    """The earliest instant to ask for; None: at once."""
    telling: timedelta | None
    """How long telling everybody takes; None where nobody is told."""

    @property
    def changes(self) -> tuple[Change, ...]:
        """What changes in the terms."""
        return self.comparison.changes


def between(
    before: Version, before_texts: Sequence[Text], after: Version, after_texts: Sequence[Text]
) -> Comparison:
    """Any two versions compared. Takes up to a second for the longest texts."""
    return Comparison(compare(before.terms, after.terms), differences.texts(before_texts, after_texts))


def material(candidate: Candidate, wish: Wish) -> bool:
    """Whether every Customer must be told first: found in the terms, or said by the author."""
    previous = candidate.previous
    changes = compare(previous.terms if previous else None, candidate.version.terms)
    return declaring.material(changes, wish) and previous is not None


def refusals(
    candidate: Candidate, versions: Sequence[Version], question: Question, now: datetime, rules: Rules
) -> tuple[IdvError, ...]:
    """Every reason for which announcing the version now, as asked for, would be refused."""
    version, previous = candidate.version, candidate.previous
    changes = compare(previous.terms if previous else None, version.terms)
    told_first = material(candidate, question.wish)
    found = list(announcing.refusals(version, versions, question.effective, now, material=told_first))
    found += declaring.second_person(candidate.author, question.approver, rules)
    found += declaring.judged(changes, text_changed=candidate.text_changed, wish=question.wish)
    if told_first and not rules.delivers:
        found.append(errors.untold())
    if told_first and question.effective is not None:
        found += declaring.too_near(question.effective, now, rules)
    return tuple(found)


def review(
    candidate: Candidate,
    versions: Sequence[Version],
    question: Question,
    now: datetime,
    rules: Rules,
    registered: int,
) -> Review:
    """The whole review; `registered` Customers are there to be told."""
    previous = candidate.previous
    comparison = candidate.comparison()
    told_first = material(candidate, question.wish)
    retention = (
        previous is not None and previous.terms.retention_days != candidate.version.terms.retention_days
    )
    lead = rules.lead if told_first else timedelta(0)
    return Review(
        comparison=comparison,
        previous=previous.number if previous else None,
        material=told_first,
        refusals=refusals(candidate, versions, question, now, rules),
        audience=registered if told_first else 0,
        lead=rules.lead,
        earliest=declaring.earliest(now, lead=lead, retention=retention),
        telling=rules.duration(registered) if told_first else None,
    )
