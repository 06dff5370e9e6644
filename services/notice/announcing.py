"""What stands against an announcement: the rules by which a version may come into force as asked, or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from idv.errors import IdvError, Reason

from services.notice import errors, lifecycle
from services.notice.content import Version
from services.notice.lifecycle import Life, State
from services.notice.materiality import Change, compare, is_material

SETTLE = timedelta(seconds=2)
"""How far ahead "at once" lies when another version is in force. Every replica and follower knows of the
change by then, and no instant that was answered for already gets another answer."""


def effective_time(asked: datetime | None, versions: Sequence[Version], now: datetime) -> datetime:
    """The instant an announcement names: the one asked for, or else at once."""
    if asked is not None:
        return asked
    return now if before(versions, now) is None else now + SETTLE


def before(versions: Sequence[Version], instant: datetime) -> Version | None:
    """The version in force at an instant: what a new one is compared with."""
    number = lifecycle.in_force((version.life for version in versions), instant)
    return next((version for version in versions if version.number == number), None)


def refusals(
    draft: Version,
    versions: Sequence[Version],
    asked: datetime | None,
    now: datetime,
    *,
    material: bool | None = None,
) -> Iterator[IdvError]:
    """What stands against the draft taking effect as asked: states, times, and whom nobody can tell.

    `material` says how the change was judged; by its terms alone unless given.
    """
    lives = [version.life for version in versions]
    yield from _state(draft.life, lives, now)
    previous = before(versions, now)
    if asked is not None and asked < effective_time(None, versions, now):
        yield IdvError(
            Reason.ERROR_REASON_TIME_OUT_OF_RANGE,
            "the effective time has passed, or is too near to be known everywhere",
            field="effective_time",
            remedy="name an instant in the future, or none to let it take effect at once",
        )
    if previous is None:
        return
    changes = compare(previous.terms, draft.terms)
    if asked is None and (is_material(changes) if material is None else material):
        yield _at_once(changes)
    if draft.terms.retention_days != previous.terms.retention_days:
        yield from _midnight(effective_time(asked, versions, now), now)


def _state(life: Life, lives: Sequence[Life], now: datetime) -> Iterator[IdvError]:
    state = lifecycle.state(life, lives, now)
    if state is not State.DRAFT:
        yield errors.wrong_state(
            life.number, state, "only a draft can be announced", "draft the change as a new version"
        )
    other = lifecycle.upcoming(lives, now)
    if other is not None and other.number != life.number:
        yield errors.wrong_state(
            other.number,
            State.ANNOUNCED,
            "one version at a time can be upcoming",
            "wait until it is in force, or withdraw it",
        )


def _at_once(changes: Sequence[Change]) -> IdvError:
    """Every Customer must be told of a material change first, so none takes effect at once."""
    material = [change for change in changes if change.material]
    clauses = ", ".join(change.clause for change in material[:5]) or "as its author says"
    more = f" and {len(material) - 5} more" if len(material) > 5 else ""
    first = {"clause": material[0].clause, "reason": material[0].reason} if material else {}
    return IdvError(
        Reason.ERROR_REASON_NOTICE_MATERIAL,
        f"the change is material ({clauses}{more}): every Customer must be told before it takes effect,"
        " so it cannot take effect at once",
        field="effective_time",
        remedy="name an instant by which everybody will have been told",
        metadata=first,
    )


def _midnight(effective: datetime, now: datetime) -> Iterator[IdvError]:
    """One day, one term: keys and partitions of a day end together."""
    if lifecycle.is_utc_midnight(effective):
        return
    tomorrow = (now + timedelta(days=1)).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    yield IdvError(
        Reason.ERROR_REASON_INVALID_ARGUMENT,
        "a version that changes retention takes effect only at 00:00 UTC",
        field="effective_time",
        remedy=f"name the next one, {tomorrow:%Y-%m-%dT%H:%M:%SZ}, or a later one",
    )
