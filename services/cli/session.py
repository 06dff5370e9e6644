"""`idv session`: opens a session for one end user under a Customer's attestation; describes sessions."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.notice.v1 import notice_pb2
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub
from idv.types.v1 import processing_pb2
from rich.text import Text

from services.cli.client import CALL_SECONDS, NOBODY, Suite, parent
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command, group
from services.cli.credentials import clock_of
from services.cli.failure import usage
from services.cli.messages import enum_named, flat, names, plain, timestamp
from services.cli.output import Output, facts_table, hint
from services.cli.requests import request_id_or_new
from services.local.ready import Ready

app = group("Open a session for one end user under the Customer's attestation, or describe one.")

_BASES = processing_pb2.LegalBasis.DESCRIPTOR


@command(
    app,
    "create",
    [
        ("Face and document, with the end user's explicit consent",
         "idv session create --subject user-17 --item face_image --item identity_document --consent"),
        ("Device data too, and one optional item by name",
         "idv session create --subject user-17 --item device.hardware --item device.hardware.idfv"),
        ("As another Customer, and keep the session for `idv submit`",
         "idv session create --as customer:globex --subject a-9 --item log --save session.json"),
    ],
)  # fmt: skip
async def create(
    subject: Annotated[str, typer.Option(help="Your own reference to the end user.")],
    item: Annotated[list[str], typer.Option("--item", help="Category or item code to collect; repeat it.")],
    attest: Annotated[
        list[str] | None,
        typer.Option("--attest", help="What the end user authorised. Default: the same items."),
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Your reference to the evidence: an id, no personal data.")
    ] = "consent-record",
    attested_at: Annotated[
        datetime | None, typer.Option("--attested-at", help="When it was authorised, in UTC. Default: now.")
    ] = None,
    legal_basis: Annotated[str, typer.Option(help=f"One of {', '.join(names(_BASES))}.")] = "consent",
    consent: Annotated[
        bool,
        typer.Option("--consent", help="The end user consented explicitly to face images and documents."),
    ] = False,
    notice_version: Annotated[
        int | None, typer.Option(help="The notice version shown. Default: the one in force.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save", metavar="FILE", help="Keep name and upload token here, for submit and upload."
        ),
    ] = None,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Open a session. The answer holds the upload token for the SDK on the end user's device."""
    if legal_basis not in names(_BASES):
        raise usage(
            f"{legal_basis!r} is no legal basis",
            f"use one of {', '.join(names(_BASES))}",
            field="--legal-basis",
        )
    async with Suite(Ready.read(connect)) as suite:
        who = suite.customer(identity)
        request = ingest_pb2.CreateSessionRequest(
            parent=parent(who),
            request_id=request_id_or_new(request_id),
            subject=subject,
            items=item,
            attestation=processing_pb2.Attestation(
                reference=reference,
                attest_time=timestamp(
                    attested_at.replace(tzinfo=UTC) if attested_at else clock_of(suite.ready).now()
                ),
                legal_basis=processing_pb2.LegalBasis.ValueType(enum_named(_BASES, legal_basis)),
                explicit_consent=consent,
                items=attest or item,
                notice_version=notice_version or await version_in_force(suite),
            ),
        )
        answer = await suite.stub(IngestServiceStub, "ingest", who).CreateSession(
            request, timeout=CALL_SECONDS
        )
    if save:
        keep(save, answer.session.name, answer.upload_token)
        hint(f"kept in {save}: give it to `idv submit` and `idv upload`")
    value = {"request_id": request.request_id, **plain(answer)}
    people = {**flat(plain(answer.session)), "request id": request.request_id}
    token = [] if save else [Text(answer.upload_token)]
    Output(as_json).answer(value, facts_table(people), *token)


@command(
    app,
    "get",
    [("Describe a session", "idv session get customers/acme/sessions/0198f2d2-…"),
     ("The one that `session create --save` kept", "idv session get session.json")],
)  # fmt: skip
async def get(
    session: Annotated[str, typer.Argument(help="Its name, or the file that `session create --save` wrote.")],
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Describe a session: its items, its state, until when it takes data and when everything in it ends."""
    async with Suite(Ready.read(connect)) as suite:
        who = suite.customer(identity)
        request = ingest_pb2.GetSessionRequest(name=kept(session)[0])
        answer = await suite.stub(IngestServiceStub, "ingest", who).GetSession(request, timeout=CALL_SECONDS)
    Output(as_json).answer(plain(answer.session), facts_table(flat(plain(answer.session))))


async def version_in_force(suite: Suite) -> int:
    """The number of the notice version in force now."""
    stub = suite.stub(NoticeServiceStub, "notice", NOBODY)
    answer = await stub.GetNotice(notice_pb2.GetNoticeRequest(), timeout=CALL_SECONDS)
    return answer.notice.version


def keep(file: Path, session: str, token: str) -> None:
    """Writes a session's name and upload token to a file that only its owner may read."""
    text = json.dumps({"session": session, "upload_token": token}, indent=2)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text + "\n")


def kept(session: str) -> tuple[str, str | None]:
    """Name and, where it was kept, upload token of a session given by name or by file."""
    if session.startswith("customers/"):
        return session, None
    try:
        document = json.loads(Path(session).read_text())
        return str(document["session"]), str(document["upload_token"])
    except (ValueError, KeyError, TypeError):
        raise usage(
            f"{session} holds no session", "name a file that `idv session create --save` wrote"
        ) from None
