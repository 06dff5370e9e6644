"""Chapter: an end user asks the service itself, is refused, and reaches the Customer."""

from __future__ import annotations

from email.message import EmailMessage

from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2
from idv.notice.v1.customers_pb2_grpc import CustomerServiceStub
from idv.retention.v1 import rights_pb2
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub

from services.cli.client import CALL_SECONDS, NOBODY, Who, parent
from services.cli.demo.calls import new_id, refusal
from services.cli.demo.stage import ACME, OFFICER, SUPPORT, Chapter, Stage, Step, eventually, promised
from services.cli.failure import NotAsPromisedError
from services.cli.messages import shown_time

_ADDRESS = "privacy@acme.example"
_REQUEST_ID = "5f0c1f6e-3a0e-4d57-8a4f-5d6f2b1c9a10"
"""Of what the person asked: entered again and again, it stays one case."""


async def registered(stage: Stage) -> str:
    """The officer registers acme with the address to which requests are relayed."""
    customer = customers_pb2.Customer(
        name=parent(ACME), display_name="Acme Bank", email=_ADDRESS, time_zone="Europe/Berlin"
    )
    stub = stage.suite.stub(CustomerServiceStub, "notice", OFFICER)
    request = customers_pb2.CreateCustomerRequest(customer=customer, request_id=new_id())
    made = (await stub.CreateCustomer(request, timeout=CALL_SECONDS)).customer
    injected = customers_pb2.CreateCustomerRequest(
        customer=customers_pb2.Customer(
            name="customers/initech", display_name="Initech", email=f"{_ADDRESS}\r\nBcc: x@else.example"
        ),
        request_id=new_id(),
    )
    call = stub.CreateCustomer(injected, timeout=CALL_SECONDS)
    await refusal(call, Reason.ERROR_REASON_INVALID_ARGUMENT)
    return f"{made.name}: {made.display_name}, {made.time_zone}; an address with a second header is refused"


async def no_way_in(stage: Stage) -> str:
    """There is no credential for end users: without one, nothing is taken."""
    call = _enter(stage, NOBODY, rights_pb2.REQUEST_KIND_DELETE, new_id())
    return await refusal(call, Reason.ERROR_REASON_UNAUTHENTICATED)


async def refused(stage: Stage) -> str:
    """Support enters what a person asked for: refused, with whom to ask and the case to quote."""
    told = [await _told(stage) for _ in range(2)]
    promised(told[0].metadata == told[1].metadata, "the same request, entered twice, got two cases")
    case = told[0].metadata
    promised(case["ask"] == parent(ACME), "it does not say whom to ask")
    return (
        f"{told[0].reason_name}: ask {case['ask']}, case {case['case_number']}, due {case['due_time'][:10]}"
    )


async def mailed(stage: Stage) -> str:
    """The Customer gets an e-mail with case number and due date, and nothing of the person."""
    case = (await _told(stage)).metadata

    async def look() -> EmailMessage | None:
        found = [one for one in stage.stack.mail.messages() if case["case_number"] in str(one["Subject"])]
        return found[0] if found else None

    mail = await eventually(look, "no e-mail came")
    promised(mail["X-Envelope-To"] == _ADDRESS, f"it went to {mail['X-Envelope-To']}")
    promised(case["due_time"][:10] in mail.as_string(), "it does not say when the answer is due")
    return f"to {mail['X-Envelope-To']}: “{mail['Subject']}”"


async def tracked(stage: Stage) -> str:
    """The request is followed to the Customer's answer."""
    stub = stage.suite.stub(RightsServiceStub, "retention", ACME)

    async def look() -> rights_pb2.Relay | None:
        answer = await stub.ListRelays(
            rights_pb2.ListRelaysRequest(parent=parent(ACME)), timeout=CALL_SECONDS
        )
        (relay,) = answer.relays
        return (
            relay if relay.state in (rights_pb2.RELAY_STATE_QUEUED, rights_pb2.RELAY_STATE_MAILED) else None
        )

    relay = await eventually(look, "the relay is not followed")
    resolve = rights_pb2.ResolveRelayRequest(name=relay.name, request_id=new_id())
    done = (await stub.ResolveRelay(resolve, timeout=CALL_SECONDS)).relay
    promised(done.state == rights_pb2.RELAY_STATE_RESOLVED, "it is not resolved")
    return f"case {done.case_number}: mailed, then answered {shown_time(done.resolve_time)}"


async def nothing_kept(stage: Stage) -> str:
    """Of the request only kind, Customer, case number and times are kept."""
    (row,) = await stage.probes.rows("SELECT * FROM retention.relays")

    async def forgotten() -> bool | None:
        kept = await stage.probes.rows("SELECT 1 AS one FROM notice.mails WHERE content IS NOT NULL")
        return None if kept else True

    await eventually(forgotten, "a mail that was sent is still kept")
    return f"SQL: {len(row)} columns: {', '.join(sorted(row.keys()))}; mails kept after sending: 0"


async def _told(stage: Stage) -> IdvError:
    try:
        await _enter(stage, SUPPORT, rights_pb2.REQUEST_KIND_DELETE, _REQUEST_ID)
    except IdvError as error:
        if error.reason == Reason.ERROR_REASON_END_USER_REQUEST_REFUSED:
            return error
        raise
    raise NotAsPromisedError("an end user's request was not refused")


async def _enter(stage: Stage, who: Who, kind: rights_pb2.RequestKind.ValueType, request_id: str) -> None:
    stub = stage.suite.stub(RightsServiceStub, "retention", who)
    request = rights_pb2.RelayEndUserRequestRequest(parent=parent(ACME), request_id=request_id, kind=kind)
    await stub.RelayEndUserRequest(request, timeout=CALL_SECONDS)


CHAPTER = Chapter(
    "An end user asks, and is sent to the Customer",
    "A processor may not act on an end user's own request. It is refused with a typed answer, relayed to the "
    "Customer by e-mail, and followed.",
    (
        Step("P5", "The officer registers acme's address", registered),
        Step("P5", "End users have no way in of their own", no_way_in),
        Step("P5", "Support enters one: refused, with a case", refused),
        Step("P5", "The Customer is told by e-mail", mailed),
        Step("P5", "It is followed to the answer", tracked),
        Step("P5", "Nothing of the person is kept", nothing_kept),
    ),
)
