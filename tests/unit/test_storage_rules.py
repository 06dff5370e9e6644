"""Rules of storage that need no store: who may read why, page tokens, what a token allows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from idv.errors import IdvError
from idv.types.v1 import processing_pb2

from services.runtime.instants import instant, timestamp
from services.runtime.resources import RecordName
from services.storage import ids, pages
from services.storage.access_details import Reading
from services.storage.grants import Grant
from services.storage.instants import received
from services.storage.reader import check_purpose, place

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
SERVICES = ("ingest", "retention", "notice", "verification", "support")


def allowed(service: str, purpose: int) -> bool:
    try:
        check_purpose(Reading(service, purpose, "staff-7", "T-42"))
    except IdvError as error:
        return error.reason_name != "PURPOSE_NOT_ALLOWED"
    return True


def test_each_purpose_is_open_to_its_services_alone() -> None:
    table = {
        processing_pb2.PURPOSE_VERIFICATION: {"verification"},
        processing_pb2.PURPOSE_TROUBLESHOOTING: {"support", "verification"},
        processing_pb2.PURPOSE_RIGHTS_SUPPORT: {"retention", "support"},
        99: set(),
    }
    for purpose, services in table.items():
        assert {service for service in SERVICES if allowed(service, purpose)} == services


@given(st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1)), st.uuids())  # noqa: DTZ001 - zone added below
def test_a_page_token_tells_its_position(when: datetime, item: object) -> None:
    position = (when.replace(tzinfo=UTC), item)
    assert pages.decode(pages.encode(*position)) == position  # type: ignore[arg-type]


@pytest.mark.parametrize("token", ["x", "AAAA", "é" * 32, "A" * 500])
def test_a_token_of_no_page_is_refused(token: str) -> None:
    with pytest.raises(IdvError) as caught:
        pages.decode(token)
    assert (caught.value.reason_name, caught.value.field) == ("INVALID_ARGUMENT", "page_token")


def test_a_grant_covers_its_categories_and_categories_of_its_items() -> None:
    items = frozenset({"log", "device.network.dns_ip"})
    grant = Grant("acme", ids.new_session_id(NOW), date(2026, 11, 24), items, 1)
    grant.check_category("log")
    grant.check_category("device.network")
    for category in ("device", "device.hardware", "device.net", "face_image", ""):
        with pytest.raises(IdvError) as caught:
            grant.check_category(category)
        assert caught.value.reason_name == "ITEM_NOT_REQUESTED"


def test_a_receipt_time_is_recent_and_not_in_the_future() -> None:
    for offset in (timedelta(), timedelta(hours=-1), timedelta(seconds=5)):
        assert received(timestamp(NOW + offset), NOW, field="receive_time") == NOW + offset
    for offset in (timedelta(hours=-1, microseconds=-1), timedelta(seconds=5, microseconds=1)):
        with pytest.raises(IdvError, match="receive_time"):
            received(timestamp(NOW + offset), NOW, field="receive_time")


def test_instants_are_cut_to_microseconds_and_absurd_ones_refused() -> None:
    assert instant(Timestamp(seconds=1, nanos=1_999), field="t") == datetime(1970, 1, 1, 0, 0, 1, 1, UTC)
    with pytest.raises(IdvError) as caught:
        instant(Timestamp(seconds=10**15), field="receive_time")
    assert caught.value.reason_name == "TIME_OUT_OF_RANGE"


def test_access_ids_sort_by_time() -> None:
    made = [ids.new_access_id(NOW + timedelta(milliseconds=step)) for step in range(50)]
    assert made == sorted(made)
    assert uuid4() not in made


LATEST = "ffffffff-ffff-{version}fff-bfff-ffffffffffff"


def test_an_id_of_a_time_beyond_the_calendar_is_no_id() -> None:
    session, record = LATEST.format(version=7), LATEST.format(version=8)
    for read, text in (
        (ids.session_day, session),
        (ids.session_epoch, session),
        (ids.record_epoch, record),
    ):
        with pytest.raises(ValueError, match="UUID"):
            read(UUID(text))
    with pytest.raises(IdvError) as caught:
        place(RecordName("acme", session, record))
    assert caught.value.reason_name == "NOT_FOUND"
