"""`idv relay`: enters end users' own requests, lists what was relayed, and marks it as answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from idv.errors import IdvError, Reason
from idv.retention.v1 import rights_pb2 as pb
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub
from rich.text import Text

from services.cli.client import CALL_SECONDS, Suite, Who, parent
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command, group
from services.cli.failure import NotAsPromisedError, usage
from services.cli.messages import enum_named, flat, last, name_of, names, plain, shown_time
from services.cli.output import Output, facts_table, hint, rows_table
from services.cli.requests import request_id_or_new
from services.local.ready import Ready
from services.runtime.resources import customer_name

if TYPE_CHECKING:
    from idv.retention.v1.rights_pb2_grpc import RightsServiceAsyncStub

app = group("Enter end users' own requests, list what was relayed, mark it as answered.")

_KINDS = pb.RequestKind.DESCRIPTOR
_STATES = pb.RelayState.DESCRIPTOR

Customer = Annotated[
    str | None,
    typer.Option("--customer", metavar="ID", help="Whose end user it is, for support. Default: your own."),
]


@command(
    app,
    "enter",
    [
        ("Support enters what an end user of acme asks for", "idv relay enter delete --customer acme"),
        ("A Customer's own gateway enters it", "idv relay enter know --as customer:acme"),
    ],
)
async def enter(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"What is asked: {', '.join(names(_KINDS))}.")],
    customer: Customer = None,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Enter an end user's request: it is refused, relayed to the Customer by e-mail, and tracked."""
    async with Suite(Ready.read(connect)) as suite:
        who, of = _who(suite, identity, customer)
        request = pb.RelayEndUserRequestRequest(
            parent=of, request_id=request_id_or_new(request_id), kind=pb.RequestKind.ValueType(_kind(kind))
        )
        refused = await _refusal(_stub(suite, who), request)
    told = Text.assemble(("refused: ", "bold yellow"), f"{refused.message}. Now {refused.remedy}.")
    facts = {name.replace("_", " "): value for name, value in refused.metadata.items()}
    value = {"request_id": request.request_id, "reason": refused.reason_name, **refused.metadata}
    Output(as_json).answer(value, told, facts_table(facts))


@command(app, "list", [("What was relayed, and what is open", "idv relay list"),
                       ("As support", "idv relay list --customer acme")])  # fmt: skip
async def list_relays(
    customer: Customer = None, connect: Connect = READY_FILE, identity: As = None, as_json: Json = False
) -> None:
    """List a Customer's relayed requests, the newest first."""
    async with Suite(Ready.read(connect)) as suite:
        who, of = _who(suite, identity, customer)
        relays = await _relays(_stub(suite, who), of)
    rows = [
        (
            one.case_number,
            name_of(_KINDS, one.kind).replace("_", " "),
            name_of(_STATES, one.state),
            shown_time(one.receive_time),
            shown_time(one.due_time),
            shown_time(one.resolve_time),
        )
        for one in relays
    ]
    columns = ("Case", "Asked", "State", "Received", "Due", "Answered")
    Output(as_json).answer({"relays": [plain(one) for one in relays]}, rows_table(columns, rows))


@command(app, "resolve", [("The Customer has answered the person", "idv relay resolve R-7K3M9Q2XAB")])
async def resolve(
    case: Annotated[str, typer.Argument(metavar="CASE", help="The case number, or the relay's name.")],
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Mark a relayed request as answered, as the Customer."""
    async with Suite(Ready.read(connect)) as suite:
        who = suite.customer(identity)
        stub = _stub(suite, who)
        name = case if "/" in case else await _named(stub, parent(who), case)
        request = pb.ResolveRelayRequest(name=name, request_id=request_id_or_new(request_id))
        relay = (await stub.ResolveRelay(request, timeout=CALL_SECONDS)).relay
    Output(as_json).answer(plain(relay), facts_table(flat(plain(relay))))
    hint(f"case {relay.case_number} is answered ({last(relay.name)})")


async def _refusal(stub: RightsServiceAsyncStub, request: pb.RelayEndUserRequestRequest) -> IdvError:
    """The refusal with which every such request ends. Raises what else went wrong."""
    try:
        await stub.RelayEndUserRequest(request, timeout=CALL_SECONDS)
    except IdvError as error:
        if error.reason == Reason.ERROR_REASON_END_USER_REQUEST_REFUSED:
            return error
        raise
    raise NotAsPromisedError("an end user's request was not refused")


async def _relays(stub: RightsServiceAsyncStub, of: str) -> list[pb.Relay]:
    found: list[pb.Relay] = []
    token = ""
    while True:
        request = pb.ListRelaysRequest(parent=of, page_size=1000, page_token=token)
        answer = await stub.ListRelays(request, timeout=CALL_SECONDS)
        found += answer.relays
        token = answer.next_page_token
        if not token:
            return found


async def _named(stub: RightsServiceAsyncStub, of: str, case: str) -> str:
    for relay in await _relays(stub, of):
        if relay.case_number == case:
            return relay.name
    raise usage(f"{of} has no case {case}", "look it up with `idv relay list`")


def _who(suite: Suite, identity: str | None, customer: str | None) -> tuple[Who, str]:
    """As whom the call is made, and whose relays it is about."""
    if customer is not None:
        return suite.service(identity, "support"), customer_name(customer)
    who = suite.customer(identity)
    return who, parent(who)


def _kind(name: str) -> int:
    try:
        return enum_named(_KINDS, name)
    except KeyError:
        raise usage(f"{name!r} is nothing to ask for", f"write one of {', '.join(names(_KINDS))}") from None


def _stub(suite: Suite, who: Who) -> RightsServiceAsyncStub:
    return suite.stub(RightsServiceStub, "retention", who)
