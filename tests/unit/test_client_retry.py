"""A call is repeated where waiting heals, as long as the server says, and not for ever."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from idv.errors import IdvError, Reason
from idv.retry import NEVER, Retry

AWAY = IdvError(Reason.ERROR_REASON_UNAVAILABLE, "the server cannot be reached", remote=True)
QUICK = Retry(attempts=4, first=0.001, most=0.002)


@given(made=st.integers(1, 5), told=st.none() | st.floats(0, 30))
def test_a_pause_is_at_least_what_the_server_says_and_at_most_the_backoff_more(
    made: int, told: float | None
) -> None:
    retry = Retry(attempts=6, first=0.2, most=5.0)
    error = IdvError(Reason.ERROR_REASON_OVERLOADED, "too much at once", retry_after=told)
    pause = retry.pause(made, error)
    assert pause is not None
    backoff = min(5.0, 0.2 * 2 ** (made - 1))
    assert (told or 0) + backoff / 2 <= pause <= (told or 0) + backoff


@pytest.mark.parametrize(
    "reason", [Reason.ERROR_REASON_ITEM_NOT_ATTESTED, Reason.ERROR_REASON_DEADLINE_EXCEEDED]
)
def test_what_waiting_cannot_heal_is_raised_at_once(reason: Reason.ValueType) -> None:
    assert Retry().pause(1, IdvError(reason, "refused")) is None


def test_a_call_is_made_until_it_succeeds() -> None:
    answers = iter([AWAY, AWAY, "answer"])
    assert QUICK.run(lambda: _next(answers)) == "answer"


async def test_a_call_is_made_until_it_succeeds_with_asyncio() -> None:
    answers = iter([AWAY, AWAY, "answer"])

    async def call() -> object:
        return _next(answers)

    assert await QUICK.run_async(call) == "answer"


@pytest.mark.parametrize(("retry", "times"), [(QUICK, 4), (NEVER, 1)])
def test_the_last_error_is_raised_when_attempts_run_out(retry: Retry, times: int) -> None:
    made: list[float] = []

    def call() -> None:
        made.append(time.monotonic())
        raise AWAY

    with pytest.raises(IdvError) as raised:
        retry.run(call)
    assert raised.value is AWAY
    assert len(made) == times


def _next(answers: object) -> object:
    found = next(answers)  # type: ignore[call-overload]
    if isinstance(found, IdvError):
        raise found
    return found
