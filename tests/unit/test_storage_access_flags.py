"""The rule that flags accesses, against a model that looks at the whole history at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.storage.access_flags import BULK, FIRST_PURPOSE, BulkRule, Judgement, Seen

START = datetime(2026, 11, 24, tzinfo=UTC)
RULE = BulkRule(10, timedelta(hours=1))
ACCESSES = st.lists(
    st.builds(
        Seen,
        st.sampled_from(["verification", "support"]),
        st.integers(1, 3),
        st.integers(0, 4 * 60).map(lambda minutes: START + timedelta(minutes=minutes)),
        st.integers(1, 12),
    ),
    max_size=40,
)


@given(ACCESSES, st.lists(st.integers(0, 40), max_size=3))
def test_flags_are_those_of_the_whole_history_however_it_is_cut(seen: list[Seen], cuts: list[int]) -> None:
    known: set[tuple[str, int]] = set()
    windows: dict[tuple[str, datetime], int] = {}
    counted = 0
    places = sorted({0, *cuts, len(seen)})
    given_flags = []
    for start, end in pairwise(places):
        judgement = Judgement(RULE, set(known), dict(windows))
        given_flags += [judgement.flags(one) for one in seen[start:end]]
        known |= {(service, purpose) for _, service, purpose in judgement.totals}
        for window, count in judgement.added.items():
            windows[window] = windows.get(window, 0) + count
        counted += sum(total.access_count for total in judgement.totals.values())
    assert counted == len(seen)
    for place, one in enumerate(seen):
        before = seen[: place + 1]
        hour = [
            other.record_count
            for other in before
            if other.service == one.service and other.access_time.hour == one.access_time.hour
        ]
        first = all((other.service, other.purpose) != (one.service, one.purpose) for other in before[:-1])
        flags = (BULK if sum(hour) > 10 else 0) | (FIRST_PURPOSE if first else 0)
        assert given_flags[place] == flags
