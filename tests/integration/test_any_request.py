"""Whatever is sent, valid or not, is stored as it was said or refused with its reason: never a failure."""

from __future__ import annotations

import uuid

from hypothesis import event, given, settings
from hypothesis import strategies as st
from idv.errors import IdvError
from idv.ingest.v1.ingest_pb2 import CreateSessionRequest
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.types.v1 import data_pb2
from idv.types.v1.processing_pb2 import Attestation

from services.local.specimens import Specimen, card, jpeg, pdf, png, webp
from tests.alphabet import CHARACTERS
from tests.any_message import any_message, valid_message
from tests.integration.verification import EVERYTHING, OPTIONAL, Opened, Verification

# Reasons that say what is wrong with the request; anything else blames the service.
SAID = {
    *("INVALID_ARGUMENT", "UNKNOWN_FIELD", "TIME_OUT_OF_RANGE", "EMPTY_BODY", "ITEM_NOT_REQUESTED"),
    "ITEM_NOT_IN_NOTICE",  # what only a version after the one in force lists
}
OF_MEDIA = {
    *("MEDIA_TYPE_MISMATCH", "MEDIA_TRUNCATED", "MEDIA_UNDECODABLE", "MEDIA_TOO_COMPLEX"),
    *("EMPTY_BODY", "TOO_LARGE", "INVALID_ARGUMENT"),
}

FEW = settings(max_examples=40, deadline=None, derandomize=True)


async def opened_for(verification: Verification) -> Opened:
    return await verification.open("acme", "anything", (*EVERYTHING, *OPTIONAL))


@FEW
@given(items=any_message(data_pb2.ItemSet.DESCRIPTOR) | valid_message(data_pb2.ItemSet.DESCRIPTOR))
async def test_any_items_are_stored_as_said_or_refused(
    verification: Verification, items: data_pb2.ItemSet
) -> None:
    opened = await opened_for(verification)
    said = [value for _, value in items.ListFields()]
    try:
        records = await verification.submit(opened, items)
    except IdvError as error:
        assert error.reason_name in SAID, error  # noqa: PT017 - which of them is hypothesis's choice
        assert await verification.records("acme", session=opened.name) == []
        event(error.reason_name)
        return
    event("stored")
    bodies = [await verification.read(record.name) for record in records]
    assert bodies == [message.SerializeToString(deterministic=True) for message in said]


@FEW
@given(
    specimen=st.sampled_from([make(card("e", 320)) for make in (jpeg, png, webp, pdf)]),
    cut=st.integers(0, 40_000),
    at=st.integers(0, 40_000),
    patch=st.binary(max_size=16),
)
async def test_any_damage_to_an_image_is_refused_or_does_not_get_through(
    verification: Verification, specimen: Specimen, cut: int, at: int, patch: bytes
) -> None:
    opened = await opened_for(verification)
    body = bytearray(specimen.body)
    body[at % len(body) : at % len(body) + len(patch)] = patch
    damaged = Specimen(specimen.media_type, bytes(body[: max(len(body) - cut % 512, 0)]))
    try:
        answer = await verification.upload(opened, damaged, data_pb2.IdentityDocument())
    except IdvError as error:
        assert error.reason_name in OF_MEDIA, error  # noqa: PT017 - which of them is hypothesis's choice
        assert await verification.records("acme", session=opened.name) == []
        event(error.reason_name)
        return
    event("stored")
    assert len(await verification.read(answer.record.name)) == answer.record.size_bytes


@FEW
@given(
    name=st.text(CHARACTERS, max_size=120)
    | st.from_regex(r"customers/[a-z0-9-]{3,8}/sessions/[0-9a-f-]{1,36}(/.*)?", alphabet=CHARACTERS)
)
async def test_any_name_of_a_record_is_not_found_or_malformed(verification: Verification, name: str) -> None:
    try:
        await verification.read(name)
    except IdvError as error:
        assert error.reason_name in {"INVALID_ARGUMENT", "NOT_FOUND"}  # noqa: PT017 - see above
    else:
        raise AssertionError("nobody has such a record")


@FEW
@given(
    request_id=st.text(CHARACTERS, max_size=40) | st.uuids().map(str), token=st.text(CHARACTERS, max_size=60)
)
async def test_any_token_and_request_id_are_answered_with_a_reason(
    verification: Verification, request_id: str, token: str
) -> None:
    opened = await opened_for(verification)
    stranger = Opened(opened.customer, opened.name, token)
    items = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model=str(uuid.uuid4())))
    customer = verification.callers.customer("acme")
    try:
        await verification.submit(stranger, items, request_id=request_id, caller=customer)
    except IdvError as error:
        assert error.reason_name in {"INVALID_ARGUMENT", "UNAUTHENTICATED"}  # noqa: PT017 - see above
    else:
        raise AssertionError("no such token was ever issued")


async def test_what_an_attestation_says_beyond_the_contract_is_dropped_and_not_kept(
    verification: Verification,
) -> None:
    """Sealed or not, it is nothing that the notice lists: to the service both requests are the same."""
    ingest = verification.callers.stub(IngestServiceStub, "ingest", verification.callers.customer("acme"))
    plain = verification.attestation(EVERYTHING)
    newer = Attestation.FromString(plain.SerializeToString() + b"\xfa\x3f\x0f352099001761481")
    request = CreateSessionRequest(
        parent="customers/acme",
        request_id=str(uuid.uuid4()),
        subject="newer-client",
        attestation=newer,
        items=EVERYTHING,
    )
    first = await ingest.CreateSession(request)
    request.attestation.CopyFrom(plain)
    assert (await ingest.CreateSession(request)).session.name == first.session.name
