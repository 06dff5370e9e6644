"""`idv token`: development tokens of a local stack, as a Customer's identity provider and ingest would issue
them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub

from services.cli.client import CALL_SECONDS, Suite, parent
from services.cli.command import READY_FILE, As, Connect, Json, command, group
from services.cli.credentials import clock_of, customer_tokens, upload_signer
from services.cli.messages import plain
from services.cli.output import Output
from services.local.ready import Ready
from services.local.tokens import SCOPES

app = group("Development tokens of a stack started with `idv up`.")


@command(
    app,
    "customer",
    [
        ("For the first Customer, with every scope, for an hour", "idv token customer"),
        (
            "For curl or grpcurl",
            'grpcurl -H "authorization: Bearer $(idv token customer --as customer:acme)" …',
        ),
        ("One scope, five minutes", "idv token customer --scope ingest --minutes 5"),
    ],
)
def customer(
    scope: Annotated[list[str] | None, typer.Option(help=f"Default: all of {', '.join(SCOPES)}.")] = None,
    minutes: Annotated[int, typer.Option(min=1, max=1440, help="How long it lasts.")] = 60,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Make a Customer's bearer token with the key of the local stack's identity provider."""
    ready = Ready.read(connect)
    who = Suite(ready).customer(identity)
    lifetime = timedelta(minutes=minutes)
    token = customer_tokens(ready).issue(who.name, scope or SCOPES, lifetime=lifetime)
    value = {
        "token": token,
        "customer": parent(who),
        "scopes": scope or list(SCOPES),
        "expire_time": (clock_of(ready).now() + lifetime).isoformat(),
    }
    Output(as_json).answer(value, token)


@command(
    app,
    "upload",
    [
        ("For the SDK on a device, for a session", "idv token upload customers/acme/sessions/0198…"),
        ("In a script", "IDV_UPLOAD_TOKEN=$(idv token upload NAME) idv submit NAME items.yaml"),
    ],
)
async def upload(
    session: Annotated[str, typer.Argument(help="The session's name.")],
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Make a session's upload token again, with the key of the local stack's ingest; it ends when the
    session closes.
    """
    ready = Ready.read(connect)
    async with Suite(ready) as suite:
        request = ingest_pb2.GetSessionRequest(name=session)
        stub = suite.stub(IngestServiceStub, "ingest", suite.customer(identity))
        described = (await stub.GetSession(request, timeout=CALL_SECONDS)).session
    token = upload_signer(ready).sign(described)
    value = {"token": token, "session": session, "expire_time": plain(described).get("close_time")}
    Output(as_json).answer(value, token)
