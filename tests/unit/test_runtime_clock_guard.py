"""The rule of the guard, for any history of clocks; and the later of two clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.runtime.both_clocks import Reading
from services.runtime.clock_guard import RATE, STEP, TOLERANCE, Waits, judge

START = datetime(2026, 11, 24, 10, tzinfo=UTC)
MOVES = st.timedeltas(timedelta(days=-40), timedelta(days=40))
SMALL = st.timedeltas(timedelta(seconds=-10), timedelta(seconds=10))
STEPS = st.lists(
    st.tuples(st.timedeltas(timedelta(), timedelta(minutes=30)), MOVES | SMALL | st.just(timedelta()), SMALL),
    max_size=30,
)
"""Real time that passes, how far the clocks are wrong then, and how far the database's is from the other."""


@given(STEPS)
def test_no_history_of_clocks_moves_the_mark_faster_than_three_times_real_time(
    steps: list[tuple[timedelta, timedelta, timedelta]],
) -> None:
    mark, real = START, START
    for passed, wrong, apart in steps:
        before, real = mark, real + passed
        reading = Reading(real + wrong, real + wrong + apart)
        verdict = judge(reading, mark, mark + RATE * passed)
        mark = verdict.mark
        assert before <= mark <= before + RATE * passed
        if verdict.until is not None:
            assert verdict.until <= mark
            assert verdict.until <= max(before, min(reading.process, reading.database))
        if abs(apart) > TOLERANCE:
            assert verdict.until is None
            assert verdict.waits is Waits.DISAGREEMENT
            assert mark == before


@given(st.timedeltas(timedelta(), timedelta(days=40)), st.timedeltas(-TOLERANCE, TOLERANCE))
def test_a_right_clock_in_a_process_that_looks_never_waits(passed: timedelta, apart: timedelta) -> None:
    now = START + passed
    reading = Reading(now, now + apart)
    verdict = judge(reading, START, START + RATE * passed)
    assert verdict.waits is None or apart > passed  # by no more than the two may differ
    assert verdict.until == min(now, now + apart)


@given(st.timedeltas(timedelta(microseconds=1), timedelta(days=4000)))
def test_a_jump_that_nobody_saw_pass_waits_and_destroys_nothing_new(jump: timedelta) -> None:
    now = START + STEP + jump
    verdict = judge(Reading(now, now), START, START)
    assert (verdict.mark, verdict.until, verdict.waits) == (START, START, Waits.JUMP)
    assert judge(Reading(now, now), START, START, confirmed=True).until == now
