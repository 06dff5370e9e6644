"""Chapter: what was not disclosed, asked for, attested or allowed does not enter, and nothing is half-
stored.
"""

from __future__ import annotations

from idv.errors import Reason
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.storage.v1 import storage_pb2
from idv.storage.v1.storage_pb2_grpc import StorageServiceStub
from idv.types.v1 import data_pb2, processing_pb2

from services.cli.client import CALL_SECONDS
from services.cli.demo.calls import open_session, refusal, session_request, submit, upload
from services.cli.demo.cast import DEVICE, Person
from services.cli.demo.stage import ACME, GLOBEX, VERIFICATION, Chapter, Stage, Step, promised
from services.local import specimens
from services.local.specimens import Specimen

_UNKNOWN_TEXT_FIELD = (
    b"\xa2\x06\x0f356938035643809"  # field 100, a text: an IMEI, as a newer client might send it
)


async def undisclosed_item(stage: Stage) -> str:
    """An item that no notice lists has no field; slipped in as an unknown one, it is refused by its place."""
    hardware = data_pb2.DeviceHardware.FromString(_UNKNOWN_TEXT_FIELD)
    call = submit(stage, stage.person("B"), data_pb2.ItemSet(device_hardware=hardware))
    return await refusal(call, Reason.ERROR_REASON_UNKNOWN_FIELD)


async def optional_item(stage: Stage) -> str:
    """An optional item that the session did not ask for by name."""
    network = data_pb2.DeviceNetwork(dns_ip="192.0.2.53")
    call = submit(stage, stage.person("B"), data_pb2.ItemSet(device_network=network))
    return await refusal(call, Reason.ERROR_REASON_ITEM_NOT_REQUESTED)


async def wrong_source(stage: Stage) -> str:
    """Device data comes from the SDK alone: not from the Customer's own credential."""
    items = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="X-100"))
    call = submit(stage, stage.person("B"), items, who=ACME)
    return await refusal(call, Reason.ERROR_REASON_SOURCE_NOT_ALLOWED)


async def no_attestation(stage: Stage) -> str:
    """A session without the Customer's attestation."""
    request = session_request(stage, ACME, Person("nobody"), ("log",))
    request.ClearField("attestation")
    return await refusal(open_session(stage, ACME, request), Reason.ERROR_REASON_ATTESTATION_MISSING)


async def no_consent(stage: Stage) -> str:
    """Faces and documents need the end user's explicit consent."""
    request = session_request(stage, ACME, Person("nobody"), ("face_image",))
    request.attestation.explicit_consent = False
    return await refusal(open_session(stage, ACME, request), Reason.ERROR_REASON_ATTESTATION_MISSING)


async def other_customer(stage: Stage) -> str:
    """One Customer asks for another one's session."""
    request = ingest_pb2.GetSessionRequest(name=stage.person("A").session.name)
    call = stage.suite.stub(IngestServiceStub, "ingest", GLOBEX).GetSession(request, timeout=CALL_SECONDS)
    return await refusal(call, Reason.ERROR_REASON_WRONG_TENANT)


async def renamed_record(stage: Stage) -> str:
    """Even an internal service finds no record of one Customer under the name of another."""
    name = stage.record("A log").name.replace("customers/acme/", "customers/globex/")
    stub = stage.suite.stub(StorageServiceStub, "storage", VERIFICATION)
    request = storage_pb2.GetRecordRequest(name=name, purpose=processing_pb2.PURPOSE_VERIFICATION)
    call = stub.GetRecord(request, timeout=CALL_SECONDS)
    return await refusal(call, Reason.ERROR_REASON_NOT_FOUND)


async def mislabelled(stage: Stage) -> str:
    """A PNG that says it is a JPEG."""
    person = stage.person("B")
    picture = specimens.png(specimens.face("Specimen B"), person.mark)
    face = data_pb2.FaceImage(capture=data_pb2.FACE_CAPTURE_SELFIE)
    call = upload(stage, person, Specimen("image/jpeg", picture.body), face)
    return await refusal(call, Reason.ERROR_REASON_MEDIA_TYPE_MISMATCH)


async def nothing_half_stored(stage: Stage) -> str:
    """After all refusals the database holds exactly the records that were acknowledged."""
    rows = await stage.probes.rows("SELECT record::text AS record FROM storage.records")
    stored = {row["record"] for row in rows}
    # Of each person: the categories of device data and two pictures; one PDF besides.
    expected = (len(DEVICE) + 2) * len(stage.people) + 1
    promised(len(stored) == expected, f"{len(stored)} records are stored, {expected} were acknowledged")
    known = {record.name.rpartition("/")[2] for record in stage.records.values()}
    promised(known <= stored, "an acknowledged record is not stored")
    return f"SQL: {len(stored)} rows, as many as were acknowledged; none of the refused"


CHAPTER = Chapter(
    "What was not disclosed does not enter",
    "Each refusal is a typed error that names field, reason and remedy. Programs branch on the reason.",
    (
        Step("P2", "An IMEI, slipped in by a newer client", undisclosed_item),
        Step("P2", "An optional item nobody asked for", optional_item),
        Step("P2", "Device data that is not from the SDK", wrong_source),
        Step("P2", "A PNG that claims to be a JPEG", mislabelled),
        Step("P1", "A session without attestation", no_attestation),
        Step("P1", "A face without explicit consent", no_consent),
        Step("P1", "Another Customer's session", other_customer),
        Step("P1", "A record under another Customer's name", renamed_record),
        Step("P2", "Nothing is half-stored", nothing_half_stored),
    ),
)
