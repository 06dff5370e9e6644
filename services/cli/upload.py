"""`idv upload`: sends a face image or an identity document to a session."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.media import MEDIA_TYPES, Media
from idv.types.v1 import data_pb2

from services.cli.client import STREAM_SECONDS, Suite, uploader
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command, group
from services.cli.failure import usage
from services.cli.messages import enum_named, plain
from services.cli.output import Output, byte_progress, facts_table
from services.cli.records import size
from services.cli.requests import request_id_or_derived
from services.cli.session import kept
from services.local.ready import Ready

app = group("Send a face image or an identity document to a session.")


class Face(enum.StrEnum):
    """What a face image was taken for."""

    SELFIE = "selfie"
    LIVENESS = "liveness"


class Document(enum.StrEnum):
    """Kind of an identity document."""

    ID_CARD = "id_card"
    PASSPORT = "passport"
    DRIVING_LICENCE = "driving_licence"
    RESIDENCE_PERMIT = "residence_permit"


class Side(enum.StrEnum):
    """Which side of a document is shown."""

    FRONT = "front"
    BACK = "back"


@command(
    app,
    "upload",
    [
        ("A face", "idv upload session.json selfie.jpg --face selfie"),
        ("A document's front", "idv upload session.json card.png --document id_card --side front"),
        (
            "As the Customer's gateway",
            "idv upload session.json scan.pdf --document passport --as customer:acme",
        ),
    ],
)
async def upload(
    session: Annotated[
        str, typer.Argument(help="The file that `session create --save` wrote, or the session's name.")
    ],
    file: Annotated[Path, typer.Argument(help="A JPEG, PNG, WebP, or for documents also a PDF.")],
    face: Annotated[Face | None, typer.Option("--face", help="It shows a face, taken for this.")] = None,
    document: Annotated[
        Document | None, typer.Option("--document", help="It shows a document of this kind.")
    ] = None,
    side: Annotated[Side | None, typer.Option("--side", help="For a document: which side.")] = None,
    media_type: Annotated[
        str | None, typer.Option("--type", help="Media type. Default: by the file's name.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="IDV_UPLOAD_TOKEN", help="The session's upload token, when given by name."),
    ] = None,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Send one file; its metadata is stripped before it rests, and what was removed is told."""
    name, known = kept(session)
    body = file.read_bytes()
    shows = _shows(face, document, side)
    media = Media(body, media_type or _type_of(file), shows)
    header = media.header(name, "", request_id_or_derived(request_id, name.encode(), body))
    async with Suite(Ready.read(connect)) as suite:
        who, header.session_token = uploader(suite, identity, token or known)
        with byte_progress() as progress:
            task = progress.add_task(file.name, total=len(body))
            messages = media.messages(header, lambda sent, _: progress.update(task, completed=sent))
            stub = suite.stub(IngestServiceStub, "ingest", who)
            answer = await stub.UploadMedia(messages, timeout=STREAM_SECONDS)
    stripped = ", ".join(answer.stripped) or "nothing"
    people = {
        "record": answer.record.name,
        "stored": f"{size(answer.record.size_bytes)}, SHA-256 {answer.stored_sha256.hex()}",
        "removed": stripped,
        "request id": header.request_id,
    }
    Output(as_json).answer({"request_id": header.request_id, **plain(answer)}, facts_table(people))


def _type_of(file: Path) -> str:
    try:
        return MEDIA_TYPES[file.suffix.lower()]
    except KeyError:
        known = ", ".join(sorted(set(MEDIA_TYPES.values())))
        raise usage(
            f"the name {file.name} does not tell its media type", f"give --type, one of {known}"
        ) from None


def _shows(
    face: Face | None, document: Document | None, side: Side | None
) -> data_pb2.FaceImage | data_pb2.IdentityDocument:
    if face is not None and document is None:
        return _face(face)
    if document is not None and face is None:
        return _document(document, side)
    raise usage("it is not said what the file shows, or twice", "give one of --face and --document")


def _face(capture: Face) -> data_pb2.FaceImage:
    number = enum_named(data_pb2.FaceCapture.DESCRIPTOR, capture)
    return data_pb2.FaceImage(capture=data_pb2.FaceCapture.ValueType(number))


def _document(kind: Document, side: Side | None) -> data_pb2.IdentityDocument:
    number = enum_named(data_pb2.DocumentKind.DESCRIPTOR, kind)
    message = data_pb2.IdentityDocument(kind=data_pb2.DocumentKind.ValueType(number))
    if side is not None:
        message.side = data_pb2.DocumentSide.ValueType(enum_named(data_pb2.DocumentSide.DESCRIPTOR, side))
    return message
