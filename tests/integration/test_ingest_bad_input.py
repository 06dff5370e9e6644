"""Everything that ingest must refuse: a typed error with field and remedy, and nothing stored."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError, Reason
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.types.v1 import data_pb2

from services.local import specimens
from services.local.specimens import Specimen
from services.local.tokens import SigningKey
from tests.integration import forgery
from tests.integration.callers import NOBODY, Caller, Callers, service
from tests.integration.verification import EVERYTHING, Opened, Verification, timestamp

FACE = specimens.jpeg(specimens.face("Ada Example", 120))
HARDWARE = data_pb2.DeviceHardware(model="M1")
MODEL = data_pb2.ItemSet(device_hardware=HARDWARE)


@pytest.fixture
async def session(verification: Verification) -> Opened:
    """A session that may hold every category, and no optional item."""
    return await verification.open("acme", "bad-input")


async def refusal(attempt: Awaitable[Any], reason: Reason.ValueType, field: str | None) -> IdvError:
    """The refusal of an attempt, with the reason, the field and a remedy."""
    with pytest.raises(IdvError) as caught:
        await attempt
    assert caught.value.reason_name == Reason.Name(reason).removeprefix("ERROR_REASON_")
    assert caught.value.field == field
    if reason != Reason.ERROR_REASON_INVALID_ARGUMENT:
        assert caught.value.remedy
    return caught.value


async def nothing_is_stored(verification: Verification, opened: Opened) -> None:
    assert await verification.records(opened.customer, session=opened.name) == []


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


BROKEN = {
    "empty": (Specimen("image/jpeg", b""), Reason.ERROR_REASON_EMPTY_BODY, "header.size_bytes"),
    "oversize": (
        Specimen("image/jpeg", FACE.body[:3] + bytes(16 << 20)),
        Reason.ERROR_REASON_TOO_LARGE,
        "header.size_bytes",
    ),
    "truncated": (
        Specimen("image/jpeg", FACE.body[: len(FACE.body) // 3]),
        Reason.ERROR_REASON_MEDIA_TRUNCATED,
        "chunk",
    ),
    "mislabelled": (
        replace(FACE, media_type="image/png"),
        Reason.ERROR_REASON_MEDIA_TYPE_MISMATCH,
        "header.media_type",
    ),
    "undecodable": (
        Specimen("image/jpeg", b"\xff\xd8\xff\xd9"),
        Reason.ERROR_REASON_MEDIA_UNDECODABLE,
        "chunk",
    ),
    "bomb": (
        Specimen("image/png", specimens.png_bomb(30_000, 30_000)),
        Reason.ERROR_REASON_MEDIA_TOO_COMPLEX,
        "chunk",
    ),
    "no PDF": (
        Specimen("application/pdf", b"<html>hello</html>"),
        Reason.ERROR_REASON_MEDIA_TYPE_MISMATCH,
        "header.media_type",
    ),
    "broken PDF": (
        Specimen("application/pdf", b"%PDF-1.7\nhello\n%%EOF\n"),
        Reason.ERROR_REASON_MEDIA_UNDECODABLE,
        "chunk",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
async def test_a_body_that_is_not_what_it_should_be_is_refused(
    verification: Verification, session: Opened, kind: str
) -> None:
    specimen, reason, field = BROKEN[kind]
    attempt = verification.upload(session, specimen, data_pb2.IdentityDocument())
    await refusal(attempt, reason, field)
    await nothing_is_stored(verification, session)


async def test_a_face_image_is_no_pdf(verification: Verification, session: Opened) -> None:
    document = specimens.pdf(specimens.card("Ada Example", 200))
    attempt = verification.upload(session, document, data_pb2.FaceImage())
    await refusal(attempt, Reason.ERROR_REASON_MEDIA_TYPE_MISMATCH, "header.media_type")


async def test_bytes_that_are_not_those_declared_are_refused(
    verification: Verification, session: Opened
) -> None:
    attempt = verification.upload(session, FACE, data_pb2.FaceImage(), sha256=bytes(32))
    await refusal(attempt, Reason.ERROR_REASON_CHECKSUM_MISMATCH, "header.sha256")
    await nothing_is_stored(verification, session)


def header(session: Opened, **changes: Any) -> ingest_pb2.UploadMediaRequest:
    values: dict[str, Any] = {
        "session": session.name,
        "request_id": str(uuid.uuid4()),
        "face_image": data_pb2.FaceImage(),
        "media_type": FACE.media_type,
        "size_bytes": len(FACE.body),
        "sha256": hashlib.sha256(FACE.body).digest(),
    }
    return ingest_pb2.UploadMediaRequest(header=ingest_pb2.MediaHeader(**(values | changes)))


def chunk(body: bytes) -> ingest_pb2.UploadMediaRequest:
    return ingest_pb2.UploadMediaRequest(chunk=body)


async def test_a_stream_that_does_not_keep_its_order_or_size_is_refused(
    verification: Verification, callers: Callers, session: Opened
) -> None:
    ingest = callers.stub(IngestServiceStub, "ingest", session.sdk)
    invalid, truncated = Reason.ERROR_REASON_INVALID_ARGUMENT, Reason.ERROR_REASON_MEDIA_TRUNCATED
    streams = [
        ([chunk(FACE.body)], invalid, "header.session"),
        ([header(session), header(session)], invalid, "chunk"),
        ([header(session), chunk(FACE.body), chunk(b"more")], invalid, "header.size_bytes"),
        ([header(session), chunk(FACE.body[:-1])], truncated, "header.size_bytes"),
        ([header(session)], truncated, "header.size_bytes"),
        (
            [header(session, face_image=data_pb2.FaceImage(image=b"own")), chunk(FACE.body)],
            invalid,
            "header.face_image.image",
        ),
    ]
    for messages, reason, field in streams:
        await refusal(ingest.UploadMedia(iter(messages)), reason, field)
    await nothing_is_stored(verification, session)


async def test_a_client_that_leaves_mid_stream_stores_nothing(
    verification: Verification, callers: Callers, session: Opened
) -> None:
    sent = asyncio.Event()

    async def half() -> AsyncIterator[ingest_pb2.UploadMediaRequest]:
        yield header(session)
        yield chunk(FACE.body[:1000])
        sent.set()
        await asyncio.Event().wait()

    ingest = callers.stub(IngestServiceStub, "ingest", session.sdk)
    upload = asyncio.ensure_future(ingest.UploadMedia(half()))
    await sent.wait()
    upload.cancel()
    await asyncio.wait([upload])
    await nothing_is_stored(verification, session)
    answer = await verification.upload(session, FACE, data_pb2.FaceImage())
    assert [record.name for record in await verification.records("acme", session=session.name)] == [
        answer.record.name
    ]


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


async def test_expired_forged_and_unsigned_upload_tokens_are_refused_as_credential_and_in_the_request(
    verification: Verification, callers: Callers, session: Opened
) -> None:
    keys = callers.stack.layout.keys
    key = SigningKey(keys / "sessions.jwk", keys / "sessions.jwks").load()
    unauthenticated = Reason.ERROR_REASON_UNAUTHENTICATED
    cases = {
        forgery.forged(session.token): unauthenticated,
        forgery.unsigned(session.token): unauthenticated,
        forgery.tampered(session.token, items=["face_image"]): unauthenticated,
        forgery.resigned(session.token, key, aud="somewhere-else"): unauthenticated,
        forgery.expired(session.token, key): Reason.ERROR_REASON_CREDENTIAL_EXPIRED,
    }
    for token, reason in cases.items():
        bad = replace(session, token=token)
        await refusal(verification.submit(bad, MODEL), reason, None)
        by_customer = verification.upload(bad, FACE, data_pb2.FaceImage(), caller=callers.customer("acme"))
        await refusal(by_customer, reason, "header.session_token")
    await nothing_is_stored(verification, session)


async def test_a_token_of_another_session_is_refused(
    verification: Verification, callers: Callers, session: Opened
) -> None:
    other = await verification.open("acme", "bad-input")
    mixed = replace(session, token=other.token)
    wrong = Reason.ERROR_REASON_WRONG_SESSION
    await refusal(verification.submit(mixed, MODEL), wrong, "session")
    await refusal(verification.submit(mixed, MODEL, caller=callers.customer("acme")), wrong, "session_token")
    await refusal(verification.upload(mixed, FACE, data_pb2.FaceImage()), wrong, "header.session")
    await nothing_is_stored(verification, session)


async def test_unknown_callers_and_other_customers_are_refused(
    verification: Verification, callers: Callers, session: Opened
) -> None:
    for caller, reason in (
        (NOBODY, Reason.ERROR_REASON_UNAUTHENTICATED),
        (Caller(token="no.such.token"), Reason.ERROR_REASON_UNAUTHENTICATED),
        (service("verification"), Reason.ERROR_REASON_PERMISSION_DENIED),
        (callers.customer("globex"), Reason.ERROR_REASON_WRONG_TENANT),
    ):
        for attempt in (
            verification.submit(session, MODEL, caller=caller),
            verification.upload(session, FACE, data_pb2.FaceImage(), caller=caller),
        ):
            with pytest.raises(IdvError) as caught:
                await attempt
            assert caught.value.reason == reason
    await nothing_is_stored(verification, session)


async def test_each_submission_of_a_batch_has_its_own_outcome(
    verification: Verification, callers: Callers, session: Opened
) -> None:
    log = data_pb2.LogEvent(event="a.b", severity=data_pb2.LOG_SEVERITY_INFO)
    log.event_time.GetCurrentTime()
    good = data_pb2.ItemSet(log_data=data_pb2.LogData(events=[log]))
    strange = await verification.open("globex", "bad-input")
    ingest = callers.stub(IngestServiceStub, "ingest", callers.customer("acme"))
    answer = await ingest.BatchSubmitItems(
        ingest_pb2.BatchSubmitItemsRequest(
            parent="customers/acme",
            submissions=[
                ingest_pb2.SubmitItemsRequest(
                    session=opened.name,
                    session_token=opened.token,
                    request_id=str(uuid.uuid4()),
                    items=items,
                )
                for opened, items in ((session, good), (session, MODEL), (strange, good))
            ],
        )
    )
    accepted, wrong_source, wrong_tenant = answer.outcomes
    assert len(accepted.accepted.records) == 1
    refused = [IdvError.from_status(outcome.error) for outcome in (wrong_source, wrong_tenant)]
    assert [error.reason for error in refused] == [
        Reason.ERROR_REASON_SOURCE_NOT_ALLOWED,
        Reason.ERROR_REASON_WRONG_TENANT,
    ]
    assert [error.field for error in refused] == [
        "submissions[1].items.device_hardware.model",
        "submissions[2].session",
    ]
    assert len(await verification.records("acme", session=session.name)) == 1
    await nothing_is_stored(verification, strange)
