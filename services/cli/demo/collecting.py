"""Chapter: two Customers open attested sessions, and all kinds of data come in."""

from __future__ import annotations

from idv.types.v1 import data_pb2

from services.cli.client import Who
from services.cli.demo.calls import new_id, open_session, session_request, submit, upload
from services.cli.demo.cast import DEVICE, MEDIA, Person, device_items
from services.cli.demo.stage import ACME, GLOBEX, Chapter, Stage, Step, promised
from services.cli.messages import shown_time
from services.local import specimens
from services.local.specimens import Specimen

IDFV = "device.hardware.idfv"
_LARGE = 1400
"""Width of a face in pixels: large enough for the object store."""
_TELLING = ("exif", "xmp", "iptc", "javascript", "attachment")
"""Of all that is planted, what a reader knows by name; the GPS position is in the first two."""
_FACE = data_pb2.FaceImage(capture=data_pb2.FACE_CAPTURE_SELFIE)
_CARD = data_pb2.IdentityDocument(kind=data_pb2.DOCUMENT_KIND_ID_CARD, side=data_pb2.DOCUMENT_SIDE_FRONT)
_PASSPORT = data_pb2.IdentityDocument(kind=data_pb2.DOCUMENT_KIND_PASSPORT)


async def sessions(stage: Stage) -> str:
    """Each Customer opens sessions under its attestation that its end users authorised them."""
    asked: tuple[tuple[Who, str, tuple[str, ...]], ...] = (
        (ACME, "A", (*DEVICE, *MEDIA, IDFV)),
        (ACME, "B", (*DEVICE, *MEDIA)),
        (GLOBEX, "C", (*DEVICE, *MEDIA)),
    )
    for who, label, items in asked:
        person = stage.people[label] = Person(label)
        answer = await open_session(stage, who, session_request(stage, who, person, items))
        person.session, person.token = answer.session, answer.upload_token
    close = stage.person("A").session.close_time
    return f"acme: persons A and B, globex: person C; open until {shown_time(close)}"


async def same_session(stage: Stage) -> str:
    """A repeated request gets the first answer."""
    person = Person("repeated")
    request = session_request(stage, ACME, person, ("log",))
    first, second = [await open_session(stage, ACME, request) for _ in range(2)]
    promised(first.session.name == second.session.name, "the repeated request opened another session")
    return "one request id, asked twice: one session"


async def device_data(stage: Stage) -> str:
    """Device, permission and log data from the SDK, for every person."""
    now = stage.stack.clock.now()
    total = 0
    for label, person in stage.people.items():
        items = device_items(person, now, idfv=label == "A")
        request_id = new_id()
        answer = await submit(stage, person, items, request_id=request_id)
        again = await submit(stage, person, items, request_id=request_id)
        promised(answer == again, "the repeated submission gave another answer")
        total += len(answer.records)
        stage.records[f"{label} log"] = next(one for one in answer.records if one.category == "log")
        stage.records[f"{label} hardware"] = answer.records[0]
    return f"{total} records of {len(DEVICE)} categories, one optional item by name; a repeat adds none"


async def pictures(stage: Stage) -> str:
    """JPEG, PNG and PDF with a GPS position in their metadata: stripped before the first byte rests."""
    removed: dict[str, set[str]] = {}
    for label, specimen, shows in _uploads(stage):
        answer = await upload(stage, stage.person(label), specimen, shows)
        kind = specimen.media_type.partition("/")[2]
        removed.setdefault(kind, set()).update(answer.stripped)
        promised(bool(answer.stripped), f"nothing was removed from a {kind} with planted metadata")
        name = f"{label} {kind}"
        stage.records[name], stage.stored_sha256[name] = answer.record, answer.stored_sha256
    counts = ", ".join(f"{len(what)} kinds from {kind.upper()}" for kind, what in removed.items())
    known = set().union(*removed.values())
    promised(set(_TELLING) <= known, f"only {', '.join(sorted(known))} was removed")
    return f"removed: {counts}; such as {', '.join(_TELLING)}"


def _uploads(stage: Stage) -> list[tuple[str, Specimen, data_pb2.FaceImage | data_pb2.IdentityDocument]]:
    chosen: list[tuple[str, Specimen, data_pb2.FaceImage | data_pb2.IdentityDocument]] = []
    for label, person in stage.people.items():
        face, card = specimens.face(f"Specimen {label}", _LARGE), specimens.card(f"Specimen {label}")
        chosen.append((label, specimens.jpeg(face, person.mark), _FACE))
        chosen.append((label, specimens.png(card, person.mark), _CARD))
    chosen.append(("B", specimens.pdf(specimens.card("Specimen B"), stage.person("B").mark), _PASSPORT))
    return chosen


CHAPTER = Chapter(
    "Two Customers collect, at their own request",
    "Data enters only through a session, under a Customer's attestation that its end user authorised it. "
    "Pictures carry a planted GPS position.",
    (
        Step("P1", "Sessions open under attestations", sessions),
        Step("P10", "A repeated request changes nothing", same_session),
        Step("P2", "Device, permission and log data enter", device_data),
        Step("P2", "JPEG, PNG and PDF lose their metadata", pictures),
    ),
)
