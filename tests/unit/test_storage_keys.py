"""Ids, epochs, associated data and key derivation: pure rules that everything else in storage stands on."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.storage import ids
from services.storage.associated import Binding, length_prefixed
from services.storage.derivation import DayKey, derive
from services.storage.epochs import DAY_SLOT, LAST_SLOT, Epoch, midnight
from services.storage.stream import BodyRefusedError

DAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 23, 59, 59, 999_999, UTC)
BINDING = Binding("test", "acme", "s", "r", "face_image", 3, Epoch(DAY, 95))


@given(st.timedeltas(timedelta(), timedelta(hours=26) - timedelta(microseconds=1)))
def test_a_record_id_tells_its_epoch_whatever_the_time(since_midnight: timedelta) -> None:
    received = midnight(DAY) + since_midnight
    record = ids.new_record_id(DAY, received)
    assert ids.record_epoch(record) == Epoch.of(DAY, received)
    assert record.version == 8


@given(st.timedeltas(timedelta(), timedelta(days=1) - timedelta(microseconds=1)))
def test_a_session_id_tells_its_day_and_epoch(since_midnight: timedelta) -> None:
    made = midnight(DAY) + since_midnight
    session = ids.new_session_id(made)
    assert ids.session_day(session) == DAY
    assert ids.session_epoch(session) == Epoch.of(DAY, made)


def test_ids_of_another_kind_are_refused() -> None:
    for value in (uuid4(), UUID(int=0)):
        with pytest.raises(ValueError, match="not a UUID of version"):
            ids.session_day(value)
        with pytest.raises(ValueError, match="not a UUID of version"):
            ids.record_epoch(value)
    with pytest.raises(ValueError, match="received on"):
        ids.new_record_id(DAY, NOW + timedelta(days=2))
    with pytest.raises(ValueError, match="received on"):
        ids.new_record_id(DAY, NOW - timedelta(days=1))


def test_an_epoch_ends_after_its_quarter_hour_and_is_due_one_term_later() -> None:
    epoch = Epoch.of(DAY, NOW)
    assert epoch.slot == 95
    assert epoch.end == midnight(DAY) + timedelta(days=1)
    assert epoch.due(timedelta(days=30)) == midnight(DAY) + timedelta(days=31)
    assert Epoch(DAY, DAY_SLOT).end == Epoch(DAY, LAST_SLOT).end == midnight(DAY) + timedelta(hours=26)
    for slot in (-1, 104, 126, 128):
        with pytest.raises(ValueError, match="slot"):
            Epoch(DAY, slot)


def test_a_root_outlives_each_of_its_records_by_at_most_a_quarter_hour() -> None:
    term = timedelta(days=30)
    for minutes in range(0, 26 * 60, 7):
        received = midnight(DAY) + timedelta(minutes=minutes)
        late = Epoch.of(DAY, received).due(term) - (received + term)
        assert timedelta() < late <= timedelta(minutes=15)


@given(st.lists(st.binary(max_size=8), max_size=5), st.lists(st.binary(max_size=8), max_size=5))
def test_two_lists_never_share_an_encoding(one: list[bytes], other: list[bytes]) -> None:
    assert (length_prefixed(*one) == length_prefixed(*other)) == (one == other)


def test_every_field_of_the_binding_counts() -> None:
    changed: dict[str, Any] = {
        "deployment": "prod",
        "customer": "other",
        "session": "t",
        "record": "q",
        "item": "log",
        "notice_version": 4,
        "epoch": Epoch(DAY, 96),
    }
    assert set(changed) == {field.name for field in fields(Binding)}
    encodings = {
        BINDING.encode(),
        *(replace(BINDING, **{name: value}).encode() for name, value in changed.items()),
    }
    assert len(encodings) == len(changed) + 1


def test_keys_differ_by_root_kind_customer_and_ids() -> None:
    one, two = uuid4(), uuid4()
    made = [
        derive(bytes(32), "record", "acme", one, two),
        derive(b"\1" * 32, "record", "acme", one, two),
        derive(bytes(32), "access", "acme", one, two),
        derive(bytes(32), "record", "other", one, two),
        derive(bytes(32), "record", "acme", two, one),
    ]
    parts = {part for keys in made for part in (keys.body, keys.details, keys.commitment)}
    assert len(parts) == 15
    assert derive(bytes(32), "record", "acme", one, two) == made[0]
    assert made[0].body.hex() not in repr(made[0])


def test_a_wrong_commitment_is_refused_before_the_first_segment() -> None:
    keys, other = derive(bytes(32), "record", "acme"), derive(b"\1" * 32, "record", "acme")
    keys.commits_to(keys.commitment)
    for stored in (other.commitment, None, b""):
        with pytest.raises(BodyRefusedError, match="key"):
            keys.commits_to(stored)


def test_details_open_only_where_they_belong() -> None:
    keys = derive(bytes(32), "record", "acme")
    sealed = keys.seal_details(b"details", BINDING.encode())
    assert keys.open_details(sealed, BINDING.encode()) == b"details"
    with pytest.raises(BodyRefusedError):
        keys.open_details(sealed, replace(BINDING, customer="other").encode())
    with pytest.raises(BodyRefusedError):
        keys.open_details(sealed[:5], BINDING.encode())


def test_digests_of_a_subject_differ_by_day_and_customer() -> None:
    monday, tuesday = DayKey(bytes(32)), DayKey(b"\1" * 32)
    digests = {monday.subject("acme", "s"), tuesday.subject("acme", "s"), monday.subject("other", "s")}
    assert len(digests) == 3
    assert monday.subject("acme", "s") in digests
    assert monday.content("acme", b"ab", b"c") != monday.content("acme", b"a", b"bc")
