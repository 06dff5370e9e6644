"""Tokens and callers that ingest must refuse, one by one and within a batch: nothing is stored."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from idv.errors import IdvError, Reason
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.types.v1 import data_pb2

from services.local.tokens import SigningKey
from tests.integration import forgery
from tests.integration.callers import NOBODY, Caller, Callers, service
from tests.integration.ingest_refusals import FACE, MODEL, nothing_is_stored, refusal
from tests.integration.verification import Opened, Verification


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
