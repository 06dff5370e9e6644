"""Requests sent many times at once, as impatient clients do, have the effect and the answer of one."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TypeVar

from idv.errors import IdvError
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.retention.v1 import deletions_pb2
from idv.types.v1 import data_pb2
from idv.types.v1.processing_pb2 import Record

from tests.integration.callers import Callers
from tests.integration.test_durability import noise
from tests.integration.verification import EVERYTHING, Verification

TIMES = 16

_Answer = TypeVar("_Answer")


async def at_once(call: Callable[[int], Awaitable[_Answer]]) -> tuple[list[_Answer], list[str]]:
    """The answers, and the reasons of the refusals, of the call made many times at once."""
    outcomes = await asyncio.gather(*(call(number) for number in range(TIMES)), return_exceptions=True)
    answers, reasons = [], []
    for outcome in outcomes:
        if isinstance(outcome, IdvError):
            reasons.append(outcome.reason_name)
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            answers.append(outcome)
    return answers, reasons


async def test_a_session_asked_for_many_times_at_once_is_one_session(
    callers: Callers, verification: Verification
) -> None:
    ingest = callers.stub(IngestServiceStub, "ingest", callers.customer("acme"))
    request = ingest_pb2.CreateSessionRequest(
        parent="customers/acme",
        request_id=str(uuid.uuid4()),
        subject="impatient",
        attestation=verification.attestation(EVERYTHING),
        items=EVERYTHING,
    )
    answers, reasons = await at_once(lambda number: ingest.CreateSession(request))
    assert reasons == []
    assert len({answer.session.name for answer in answers}) == 1


async def test_items_submitted_many_times_at_once_are_stored_once(verification: Verification) -> None:
    opened = await verification.open("acme", "impatient")
    items = data_pb2.ItemSet(
        device_hardware=data_pb2.DeviceHardware(model="One"),
        host_application=data_pb2.HostApplication(name="wallet"),
    )
    request_id = str(uuid.uuid4())
    answers, reasons = await at_once(lambda number: verification.submit(opened, items, request_id=request_id))
    assert reasons == []
    assert len({tuple(record.name for record in records) for records in answers}) == 1
    assert len(await verification.records("acme", session=opened.name)) == 2


async def test_of_different_items_under_one_request_id_exactly_one_is_stored(
    verification: Verification,
) -> None:
    opened = await verification.open("acme", "impatient")
    request_id = str(uuid.uuid4())

    def submit(number: int) -> Awaitable[list[Record]]:
        items = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model=f"model {number}"))
        return verification.submit(opened, items, request_id=request_id)

    answers, reasons = await at_once(submit)
    assert len(answers) == 1
    assert set(reasons) == {"REQUEST_ID_REUSED"}
    assert len(await verification.records("acme", session=opened.name)) == 1


async def test_an_image_uploaded_many_times_at_once_is_stored_once(verification: Verification) -> None:
    opened = await verification.open("acme", "impatient")
    specimen, what, request_id = noise(), data_pb2.FaceImage(), str(uuid.uuid4())
    answers, reasons = await at_once(
        lambda number: verification.upload(opened, specimen, what, request_id=request_id)
    )
    assert set(reasons) <= {"OVERLOADED"}
    assert len({answer.record.name for answer in answers}) == 1
    listed = await verification.records("acme", session=opened.name)
    assert [record.name for record in listed] == [answers[0].record.name]


async def test_a_deletion_asked_for_many_times_at_once_is_one_deletion_with_one_receipt(
    verification: Verification,
) -> None:
    opened = await verification.open("acme", "impatient-to-go")
    await verification.submit(opened, data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="One")))
    target = deletions_pb2.DeletionTarget(subject="impatient-to-go")
    request_id = str(uuid.uuid4())
    answers, reasons = await at_once(
        lambda number: verification.delete("acme", target, request_id=request_id)
    )
    assert reasons == []
    assert len({answer.name for answer in answers}) == 1
    assert {answer.record_count for answer in answers} == {1}
    finished = [await verification.deletion(answer.name) for answer in answers[:2]]
    assert finished[0].receipt.json == finished[1].receipt.json
