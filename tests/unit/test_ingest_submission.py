"""A submission is admitted whole or not at all, under the terms of its receipt and of its session."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from idv.errors import IdvError, Reason
from idv.ingest.v1 import ingest_pb2
from idv.storage.v1 import storage_pb2
from idv.types.v1 import data_pb2, processing_pb2

from services.ingest.admission import Admission
from services.ingest.limits import RateLimit
from services.ingest.notice_terms import Terms
from services.ingest.submission import FIRST, Submissions, record_request_id
from services.runtime.identity import Caller, CallerKind
from tests.unit.ingest_terms import CATALOGUE, NOON, StillClock, terms
from tests.unit.test_ingest_tokens import NAMES, Keys, ready, session

REQUEST = "0189abcd-0000-4000-8000-000000000001"


class InForce:
    """Terms as a test sets them."""

    def __init__(self, now: Terms, *earlier: Terms) -> None:
        self.now = now
        self.known = {version.version: version for version in (now, *earlier)}

    def in_force(self, moment: Any) -> Terms:
        return self.now

    def version(self, number: int) -> Terms | None:
        return self.known.get(number)


class Written:
    """Keeps what would be written; refuses a request id that was used before for other items."""

    def __init__(self) -> None:
        self.writes: list[storage_pb2.RecordWrite] = []

    async def write(self, writes: Sequence[storage_pb2.RecordWrite]) -> list[processing_pb2.Record]:
        for write in writes:
            for before in self.writes:
                same = before.header.submission_sha256 == write.header.submission_sha256
                if before.header.request_id == write.header.request_id and not same:
                    raise IdvError(Reason.ERROR_REASON_REQUEST_ID_REUSED, "used before")
        self.writes += writes
        return [processing_pb2.Record(category=write.header.category) for write in writes]


class Bench:
    """A session of the SDK that asked for `face_image` and `log`, made under version 3."""

    def __init__(self, keys: Keys, grants: Any, in_force: InForce) -> None:
        self.written = Written()
        self.submissions = Submissions(
            *(Admission(CATALOGUE), grants, in_force, self.written, RateLimit(1000, "calls"))  # type: ignore[arg-type]
        )
        token = keys.signer.sign(session())
        self.caller = Caller(
            CallerKind.SESSION, NAMES[0], "acme", NAMES[0][-36:], credential="session_token", token=token
        )

    async def submit(self, items: data_pb2.ItemSet) -> list[str]:
        request = ingest_pb2.SubmitItemsRequest(session=NAMES[0], request_id=REQUEST, items=items)
        answer = await self.submissions.submit(request, self.caller, NOON)
        return [record.category for record in answer.records]


async def bench(folder: Path, in_force: InForce) -> Bench:
    keys = Keys(folder)
    return Bench(keys, await ready(keys.grants(StillClock())), in_force)


def log() -> data_pb2.ItemSet:
    event = data_pb2.LogEvent(event="a.b", severity=data_pb2.LOG_SEVERITY_INFO)
    event.event_time.FromDatetime(NOON)
    return data_pb2.ItemSet(log_data=data_pb2.LogData(events=[event]))


async def test_a_record_carries_the_version_that_admitted_it_and_the_instant_of_receipt(
    tmp_path: Path,
) -> None:
    subject = await bench(tmp_path, InForce(terms(4), terms(3)))
    assert await subject.submit(log()) == ["log"]
    header = subject.written.writes[0].header
    assert (header.notice_version, header.retention_days) == (4, 30)
    assert header.receive_time.ToDatetime(tzinfo=NOON.tzinfo) == NOON
    assert header.source == processing_pb2.SOURCE_SDK


async def test_what_the_version_of_the_sessions_start_did_not_list_is_refused_under_a_later_one(
    tmp_path: Path,
) -> None:
    subject = await bench(tmp_path, InForce(terms(4), terms(3, without=["log"])))
    with pytest.raises(IdvError) as caught:
        await subject.submit(log())
    assert caught.value.reason == Reason.ERROR_REASON_ITEM_NOT_IN_NOTICE
    assert subject.written.writes == []


async def test_nothing_is_written_when_one_of_several_items_is_refused(tmp_path: Path) -> None:
    subject = await bench(tmp_path, InForce(terms(3)))
    items = log()
    items.device_hardware.model = "M1"
    with pytest.raises(IdvError) as caught:
        await subject.submit(items)
    assert caught.value.field == "items.device_hardware.model"
    assert subject.written.writes == []


async def test_of_a_submission_under_a_request_id_of_another_nothing_is_written(tmp_path: Path) -> None:
    subject = await bench(tmp_path, InForce(terms(3)))
    await subject.submit(log())
    assert subject.written.writes[0].header.request_id == record_request_id(REQUEST, FIRST)
    changed = log()
    changed.log_data.events[0].event = "c.d"
    with pytest.raises(IdvError) as caught:
        await subject.submit(changed)
    assert caught.value.reason == Reason.ERROR_REASON_REQUEST_ID_REUSED
    assert len(subject.written.writes) == 1


def test_the_id_of_each_record_follows_from_the_request_and_its_category_alone() -> None:
    first = record_request_id(REQUEST, "log")
    assert first == record_request_id(REQUEST.upper(), "log")
    assert first != record_request_id(REQUEST, "face_image")
    assert uuid.UUID(first).version == 8
    assert str(uuid.UUID(first)) == first
