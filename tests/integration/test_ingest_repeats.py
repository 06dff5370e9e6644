"""A repeat under one request id: the first answer again, or a refusal where the content differs."""

from __future__ import annotations

import uuid

import pytest
from idv.errors import IdvError, Reason
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.types.v1 import data_pb2

from services.local import specimens
from tests.integration.callers import Callers
from tests.integration.ingest_refusals import FACE, HARDWARE, MODEL
from tests.integration.verification import Opened, Verification


async def test_a_repeat_with_the_same_content_returns_the_same_and_with_other_content_is_refused(
    verification: Verification, session: Opened
) -> None:
    request_id = str(uuid.uuid4())
    first = await verification.submit(session, MODEL, request_id=request_id)
    assert await verification.submit(session, MODEL, request_id=request_id) == first
    other = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="M2"))
    again = verification.submit(session, other, request_id=request_id)
    with pytest.raises(IdvError) as caught:
        await again
    assert caught.value.reason == Reason.ERROR_REASON_REQUEST_ID_REUSED
    upload = await verification.upload(session, FACE, data_pb2.FaceImage(), request_id=request_id)
    repeat = await verification.upload(session, FACE, data_pb2.FaceImage(), request_id=request_id)
    assert repeat == upload
    changed = specimens.jpeg(specimens.face("Grace Example", 120))
    with pytest.raises(IdvError) as caught:
        await verification.upload(session, changed, data_pb2.FaceImage(), request_id=request_id)
    assert caught.value.reason == Reason.ERROR_REASON_REQUEST_ID_REUSED
    assert len(await verification.records("acme", session=session.name)) == 2


async def test_of_a_refused_repeat_with_other_items_nothing_is_stored(
    verification: Verification, session: Opened
) -> None:
    """Each message of a submission becomes a record, and the refusal of one is the refusal of all."""
    request_id = str(uuid.uuid4())
    network = data_pb2.DeviceNetwork(carrier="C1")
    log = data_pb2.LogData(events=[data_pb2.LogEvent(event="a.b", severity=data_pb2.LOG_SEVERITY_INFO)])
    log.events[0].event_time.GetCurrentTime()
    both = data_pb2.ItemSet(device_hardware=HARDWARE, device_network=network)
    first = await verification.submit(session, both, request_id=request_id)
    assert await verification.submit(session, both, request_id=request_id) == first
    for other in (
        MODEL,
        data_pb2.ItemSet(device_network=network),
        data_pb2.ItemSet(log_data=log),
        data_pb2.ItemSet(device_hardware=HARDWARE, device_network=network, log_data=log),
        data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="M2"), log_data=log),
    ):
        with pytest.raises(IdvError) as caught:
            await verification.submit(session, other, request_id=request_id)
        assert caught.value.reason == Reason.ERROR_REASON_REQUEST_ID_REUSED
    assert len(await verification.records("acme", session=session.name)) == 2


async def test_a_repeated_session_is_the_same_session_with_the_same_token(callers: Callers) -> None:
    verification = Verification(callers)
    ingest = callers.stub(IngestServiceStub, "ingest", callers.customer("acme"))
    request = ingest_pb2.CreateSessionRequest(
        parent="customers/acme",
        request_id=str(uuid.uuid4()),
        subject="repeated",
        attestation=verification.attestation(["log"]),
        items=["log"],
    )
    first = await ingest.CreateSession(request)
    assert await ingest.CreateSession(request) == first
    request.subject = "somebody else"
    with pytest.raises(IdvError) as caught:
        await ingest.CreateSession(request)
    assert caught.value.reason == Reason.ERROR_REASON_REQUEST_ID_REUSED
