"""State is computed from stored instants; what was in force at a past instant never changes."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from idv.errors import Reason

from services.notice.announcing import SETTLE, effective_time, refusals
from services.notice.content import Version
from services.notice.lifecycle import Life, State, in_force, is_utc_midnight, state, terms_of_force, upcoming
from services.notice.terms import parse_terms
from tests.notice_parts import ITEMS, TERMS
from tests.set_clock import START

HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)


def life(number: int, announced: datetime | None, effective: datetime | None = None) -> Life:
    return Life(number, START - HOUR, announced, effective or announced, announced)


def version(of: Life, terms: str = TERMS) -> Version:
    return Version(of, parse_terms(terms, ITEMS), b"", None)


FIRST = life(1, START)
SECOND = life(2, START + HOUR, START + 3 * HOUR)


def test_a_version_goes_through_its_states_at_their_very_instants() -> None:
    lives = [FIRST, SECOND]
    assert state(SECOND, lives, START + HOUR - MOMENT) is State.DRAFT
    assert state(SECOND, lives, START + HOUR) is State.ANNOUNCED
    assert state(SECOND, lives, START + 3 * HOUR - MOMENT) is State.ANNOUNCED
    assert state(SECOND, lives, START + 3 * HOUR) is State.IN_FORCE
    assert state(FIRST, lives, START + 3 * HOUR - MOMENT) is State.IN_FORCE
    assert state(FIRST, lives, START + 3 * HOUR) is State.SUPERSEDED


def test_nothing_is_in_force_before_the_first_version() -> None:
    assert in_force([FIRST, SECOND], START - MOMENT) is None
    assert in_force([], START) is None


def test_a_gate_that_clears_late_delays_the_start_and_one_that_clears_early_does_not() -> None:
    effective = START + 3 * HOUR
    late = Life(2, START, START, effective, effective + HOUR)
    early = Life(2, START, START, effective, START + HOUR)
    closed = Life(2, START, START, effective, None)
    assert (late.start, early.start, closed.start) == (effective + HOUR, effective, None)
    assert state(closed, [FIRST, closed], effective + 100 * HOUR) is State.ANNOUNCED
    assert in_force([FIRST, closed], effective + 100 * HOUR) == 1


def test_a_withdrawn_version_never_comes_into_force() -> None:
    withdrawn = Life(2, START, START, START + 3 * HOUR, START, withdraw_time=START + 2 * HOUR)
    assert state(withdrawn, [FIRST, withdrawn], START + HOUR) is State.ANNOUNCED
    assert state(withdrawn, [FIRST, withdrawn], START + 2 * HOUR) is State.WITHDRAWN
    assert in_force([FIRST, withdrawn], START + 5 * HOUR) == 1


def test_the_upcoming_version_is_the_announced_one_that_is_not_in_force() -> None:
    assert upcoming([FIRST, SECOND], START + 2 * HOUR) is SECOND
    assert upcoming([FIRST, SECOND], START + 3 * HOUR) is None


@given(st.lists(st.integers(0, 1000), unique=True, max_size=8), st.integers(-10, 1100))
def test_exactly_the_last_started_version_is_in_force(starts: list[int], minute: int) -> None:
    lives = [life(n, START + timedelta(minutes=m)) for n, m in enumerate(starts, start=1)]
    instant = START + timedelta(minutes=minute)
    begun = [(m, n) for n, m in enumerate(starts, start=1) if m <= minute]
    assert in_force(lives, instant) == (max(begun)[1] if begun else None)
    assert [term.end for term in terms_of_force(lives)] == [*(t.start for t in terms_of_force(lives)[1:])] + (
        [None] if starts else []
    )


def test_midnight_is_utc_whatever_zone_names_it() -> None:
    singapore = timezone(timedelta(hours=8))
    assert is_utc_midnight(datetime(2026, 12, 1, 8, tzinfo=singapore))
    assert not is_utc_midnight(datetime(2026, 12, 1, 0, tzinfo=singapore))
    assert not is_utc_midnight(datetime(2026, 12, 1, 8, 0, 0, 1, tzinfo=singapore))


def draft(terms: str = TERMS) -> Version:
    return version(Life(9, START), terms)


def test_at_once_is_now_for_a_first_version_and_a_moment_later_for_another() -> None:
    now = START + HOUR
    assert effective_time(None, [draft()], now) == now
    assert effective_time(None, [version(FIRST), draft()], now) == now + SETTLE


def test_a_material_change_is_refused_at_once_alone() -> None:
    more = draft(TERMS + "  - code: face_image\n    sources: [sdk]\n")
    assert list(refusals(more, [version(FIRST), more], START + 100 * HOUR, START + HOUR)) == []
    (refusal,) = refusals(more, [version(FIRST), more], None, START + HOUR)
    assert refusal.reason == Reason.ERROR_REASON_NOTICE_MATERIAL
    assert refusal.metadata["clause"] == "items.face_image"
    assert refusal.remedy


def test_another_retention_starts_only_at_midnight() -> None:
    shorter = draft(TERMS.replace("30", "20"))
    shelf = [version(FIRST), shorter]
    midnight = datetime(2026, 11, 25, tzinfo=START.tzinfo)
    (refusal,) = refusals(shorter, shelf, None, START + HOUR)
    assert (refusal.reason, refusal.field) == (Reason.ERROR_REASON_INVALID_ARGUMENT, "effective_time")
    assert "2026-11-25T00:00:00Z" in str(refusal.remedy)
    assert list(refusals(shorter, shelf, midnight, START + HOUR)) == []
    assert len(list(refusals(shorter, shelf, midnight + MOMENT, START + HOUR))) == 1


def test_a_first_version_may_begin_at_any_instant() -> None:
    assert list(refusals(draft(), [draft()], None, START + HOUR)) == []


def test_an_instant_that_has_passed_is_refused() -> None:
    (refusal,) = refusals(draft(), [draft()], START, START + HOUR)
    assert refusal.reason == Reason.ERROR_REASON_TIME_OUT_OF_RANGE


def test_one_version_at_a_time_is_upcoming() -> None:
    shelf = [version(FIRST), version(SECOND), draft()]
    (refusal,) = refusals(shelf[2], shelf, START + 50 * HOUR, START + 2 * HOUR)
    assert refusal.metadata == {"notice": "notices/2", "state": "ANNOUNCED"}
