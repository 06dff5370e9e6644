"""A domain is never sent more than it takes, and what waits is spread over the time that it needs."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.notice.mail.domains import DomainLimit, DomainLimits


def test_a_domain_without_a_limit_is_sent_at_once() -> None:
    limits = DomainLimits({"slow.example": DomainLimit(1, None)})
    assert [limits.enter("other.example", 0.0) for _ in range(100)] == [0.0] * 100


def test_as_many_sessions_as_it_takes() -> None:
    limits = DomainLimits({"slow.example": DomainLimit(2, None)})
    assert limits.enter("slow.example", 0.0) == limits.enter("slow.example", 0.0) == 0.0
    assert limits.enter("slow.example", 0.0) > 0
    limits.leave("slow.example")
    assert limits.enter("slow.example", 0.0) == 0.0


@given(st.integers(1, 600), st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_never_more_in_a_minute_than_it_takes(per_minute: int, pauses: list[float]) -> None:
    limits = DomainLimits({"slow.example": DomainLimit(None, per_minute)})
    now, sent = 0.0, []
    for pause in pauses:
        now += pause
        if limits.enter("slow.example", now) == 0.0:
            sent.append(now)
            limits.leave("slow.example")
    gaps = [later - earlier for earlier, later in pairwise(sent)]
    assert all(gap >= 60 / per_minute - 1e-9 for gap in gaps)


def test_what_is_put_back_does_not_all_come_back_at_once() -> None:
    limits = DomainLimits({"slow.example": DomainLimit(None, 60)})
    assert limits.enter("slow.example", 0.0) == 0.0
    waits = [limits.enter("slow.example", 0.0) for _ in range(10)]
    assert waits == sorted(waits)
    assert waits[-1] >= 9
