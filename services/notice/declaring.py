"""What an announcement must say for itself: by whom, how the change is judged, and how far ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from idv.errors import IdvError, Reason

from services.notice import lifecycle
from services.notice.materiality import Change, is_material
from services.notice.rules import Declared, Rules, Wish, person_of


def material(changes: Sequence[Change], wish: Wish) -> bool:
    """Whether everybody is told before: where the terms say so, or else the author."""
    return is_material(changes) or wish.declared is Declared.MATERIAL


def judged(changes: Sequence[Change], *, text_changed: bool, wish: Wish) -> Iterator[IdvError]:
    """Refuses less than the terms say, and a text that changed alone without its author's word."""
    found = [change for change in changes if change.material]
    if found and wish.declared is Declared.IMMATERIAL:
        clauses = ", ".join(change.clause for change in found[:5])
        yield IdvError(
            Reason.ERROR_REASON_NOTICE_MATERIAL,
            f"the change was declared immaterial, and its terms are material ({clauses})",
            field="declared",
            remedy="declare it material, or take those changes out of the terms",
            metadata={"clause": found[0].clause, "reason": found[0].reason},
        )
    if changes or not text_changed:
        return
    if wish.declared is Declared.NOTHING:
        yield _undeclared(
            "only the text changes, and nobody has said whether that is material",
            "declared",
            "declare it material or immaterial, and say why",
        )
    elif not wish.reason.strip():
        yield _undeclared(
            "only the text changes, and nobody has said why that is judged so",
            "reason",
            "say why in a sentence",
        )


def second_person(author: str | None, approver: str, rules: Rules) -> Iterator[IdvError]:
    """Refuses an announcement by whoever drafted the version, where the rule of two persons holds.

    Persons are told apart by their certificates; one that names no person is nobody's.
    """
    if not rules.two_persons:
        return
    approving = person_of(approver)
    if approving is None:
        message, remedy = (
            "the certificate names no person, and two persons must publish a version",
            "use a certificate for spiffe://<trust-domain>/service/officer/<person>",
        )
    elif author is None or person_of(author) is None:
        message, remedy = (
            "the version was drafted under a certificate that names no person",
            "draft it again under a person's own certificate",
        )
    elif person_of(author) == approving:
        message, remedy = (
            "the person who drafted the version may not announce it",
            "let another officer review and announce it",
        )
    else:
        return
    yield IdvError(Reason.ERROR_REASON_SECOND_PERSON_REQUIRED, message, remedy=remedy)


def too_near(effective: datetime, now: datetime, rules: Rules) -> Iterator[IdvError]:
    """Refuses an instant before which there is no time to prepare for a material version."""
    earliest = now + rules.lead
    if effective >= earliest:
        return
    yield IdvError(
        Reason.ERROR_REASON_TIME_OUT_OF_RANGE,
        f"a material version is announced at least {_days(rules.lead)} before it takes effect",
        field="effective_time",
        remedy=f"name {_minute(earliest):%Y-%m-%dT%H:%M:%SZ} or later",
        metadata={"earliest": _minute(earliest).isoformat()},
    )


def earliest(now: datetime, *, lead: timedelta, retention: bool) -> datetime | None:
    """The first whole minute that could be asked for, at 00:00 UTC for another retention; None: at once."""
    if not lead and not retention:
        return None
    minute = _minute(now + lead)
    if not retention or lifecycle.is_utc_midnight(minute):
        return minute
    return (minute + timedelta(days=1)).replace(hour=0, minute=0)


def _minute(instant: datetime) -> datetime:
    """The first whole minute that is not before the instant."""
    whole = instant.astimezone(UTC).replace(second=0, microsecond=0)
    return whole if whole == instant else whole + timedelta(minutes=1)


def _days(lead: timedelta) -> str:
    days = lead / timedelta(days=1)
    return f"{days:g} day{'' if days == 1 else 's'}"


def _undeclared(message: str, field: str, remedy: str) -> IdvError:
    return IdvError(Reason.ERROR_REASON_NOTICE_UNDECLARED, message, field=field, remedy=remedy)
