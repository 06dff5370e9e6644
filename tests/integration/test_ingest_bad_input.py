"""Attestations, items, fields and times that ingest must refuse, each with a remedy: nothing is stored."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import Reason
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.types.v1 import data_pb2

from tests.integration.callers import Callers
from tests.integration.ingest_refusals import FACE, HARDWARE, nothing_is_stored, refusal
from tests.integration.verification import EVERYTHING, Opened, Verification, timestamp


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"reference": ""}, Reason.ERROR_REASON_ATTESTATION_MISSING, "attestation.reference"),
        ({"items": []}, Reason.ERROR_REASON_ATTESTATION_MISSING, "attestation.items"),
        (
            {"explicit_consent": False},
            Reason.ERROR_REASON_ATTESTATION_MISSING,
            "attestation.explicit_consent",
        ),
        ({"notice_version": 99}, Reason.ERROR_REASON_ATTESTATION_STALE, "attestation.notice_version"),
        ({"items": ["log"]}, Reason.ERROR_REASON_ITEM_NOT_ATTESTED, "items[0]"),
    ],
)
async def test_an_attestation_that_does_not_hold_opens_no_session(
    verification: Verification, change: dict[str, Any], reason: Reason.ValueType, field: str
) -> None:
    made = verification.attestation(EVERYTHING)
    for name, value in change.items():
        made.ClearField(name)  # type: ignore[arg-type]
        made.MergeFrom(type(made)(**{name: value}))
    await refusal(verification.open("acme", "refused", attestation=made), reason, field)
    assert await verification.records("acme", subject="refused") == []


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (timedelta(days=31), Reason.ERROR_REASON_ATTESTATION_STALE),
        (timedelta(hours=-1), Reason.ERROR_REASON_ATTESTATION_STALE),
        (timedelta(days=20_000), Reason.ERROR_REASON_TIME_OUT_OF_RANGE),
    ],
)
async def test_a_stale_or_absurd_attestation_opens_no_session(
    verification: Verification, age: timedelta, reason: Reason.ValueType
) -> None:
    made = verification.attestation(EVERYTHING)
    made.attest_time.CopyFrom(timestamp(verification.callers.stack.clock.now() - age))
    opened = verification.open("acme", "refused", attestation=made)
    await refusal(opened, reason, "attestation.attest_time")


async def test_without_an_attestation_no_session_opens(callers: Callers) -> None:
    ingest = callers.stub(IngestServiceStub, "ingest", callers.customer("acme"))
    request = ingest_pb2.CreateSessionRequest(
        parent="customers/acme", request_id=str(uuid.uuid4()), subject="refused", items=["log"]
    )
    await refusal(ingest.CreateSession(request), Reason.ERROR_REASON_ATTESTATION_MISSING, "attestation")


@pytest.mark.parametrize("name", ["device.hardware.imei", "location", "advertising_id"])
async def test_an_item_that_is_not_in_the_notice_cannot_be_asked_for(
    verification: Verification, name: str
) -> None:
    made = verification.attestation(["log"])
    opened = verification.open("acme", "refused", ["log", name], attestation=made)
    refused = await refusal(opened, Reason.ERROR_REASON_ITEM_NOT_IN_NOTICE, "items[1]")
    assert refused.metadata["item"] == name


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ({"device_hardware": data_pb2.DeviceHardware(model="M1", idfv="v")}, "items.device_hardware.idfv"),
        ({"device_hardware": data_pb2.DeviceHardware(cookie_uid="c")}, "items.device_hardware.cookie_uid"),
        ({"device_network": data_pb2.DeviceNetwork(dns_ip="192.0.2.1")}, "items.device_network.dns_ip"),
        (
            {"installed_applications": data_pb2.InstalledApplications(names=["a"])},
            "items.installed_applications.names",
        ),
    ],
)
async def test_an_optional_item_that_was_not_asked_for_is_refused(
    verification: Verification, session: Opened, items: dict[str, Any], field: str
) -> None:
    attempt = verification.submit(session, data_pb2.ItemSet(**items))
    await refusal(attempt, Reason.ERROR_REASON_ITEM_NOT_REQUESTED, field)
    await nothing_is_stored(verification, session)


async def test_device_data_from_the_customer_is_refused_and_takes_nothing_else_with_it(
    verification: Verification, callers: Callers, session: Opened
) -> None:
    log = data_pb2.LogData(
        events=[data_pb2.LogEvent(event="gateway.started", severity=data_pb2.LOG_SEVERITY_INFO)]
    )
    log.events[0].event_time.GetCurrentTime()
    both = data_pb2.ItemSet(device_hardware=HARDWARE, log_data=log)
    attempt = verification.submit(session, both, caller=callers.customer("acme"))
    await refusal(attempt, Reason.ERROR_REASON_SOURCE_NOT_ALLOWED, "items.device_hardware.model")
    await nothing_is_stored(verification, session)
    only_log = data_pb2.ItemSet(log_data=log)
    assert len(await verification.submit(session, only_log, caller=callers.customer("acme"))) == 1


async def test_a_field_that_the_contract_does_not_know_is_refused_where_items_travel(
    verification: Verification, session: Opened
) -> None:
    imei = b"\xca\x3e\x0f490154203237518"  # field 1001, as a newer client could send it
    slipped = data_pb2.DeviceHardware.FromString(HARDWARE.SerializeToString() + imei)
    attempt = verification.submit(session, data_pb2.ItemSet(device_hardware=slipped))
    refused = await refusal(attempt, Reason.ERROR_REASON_UNKNOWN_FIELD, "items.device_hardware.#1001")
    assert "490154203237518" not in str(refused.to_status())
    face = data_pb2.FaceImage.FromString(imei)
    upload = verification.upload(session, FACE, face)
    await refusal(upload, Reason.ERROR_REASON_UNKNOWN_FIELD, "header.face_image.#1001")
    await nothing_is_stored(verification, session)


async def test_an_unknown_field_elsewhere_is_ignored(callers: Callers, session: Opened) -> None:
    ingest = callers.stub(IngestServiceStub, "ingest", callers.customer("acme"))
    request = ingest_pb2.GetSessionRequest.FromString(
        ingest_pb2.GetSessionRequest(name=session.name).SerializeToString() + b"\xca\x3e\x01x"
    )
    assert (await ingest.GetSession(request)).session.name == session.name


@pytest.mark.parametrize("seconds", [-(1 << 40), 1 << 40, 0])
async def test_absurd_times_of_a_device_are_refused(
    verification: Verification, session: Opened, seconds: int
) -> None:
    absurd = Timestamp(seconds=seconds)
    boot = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(boot_time=absurd))
    await refusal(
        verification.submit(session, boot),
        *(Reason.ERROR_REASON_TIME_OUT_OF_RANGE, "items.device_hardware.boot_time"),
    )
    event = data_pb2.LogEvent(event="a.b", severity=data_pb2.LOG_SEVERITY_INFO, event_time=absurd)
    log = data_pb2.ItemSet(log_data=data_pb2.LogData(events=[event]))
    await refusal(
        verification.submit(session, log),
        *(Reason.ERROR_REASON_TIME_OUT_OF_RANGE, "items.log_data.events[0].event_time"),
    )
    await nothing_is_stored(verification, session)


async def test_a_submission_that_holds_nothing_is_refused(
    verification: Verification, session: Opened
) -> None:
    await refusal(verification.submit(session, data_pb2.ItemSet()), Reason.ERROR_REASON_EMPTY_BODY, "items")
    hollow = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware())
    await refusal(
        verification.submit(session, hollow), Reason.ERROR_REASON_EMPTY_BODY, "items.device_hardware"
    )
