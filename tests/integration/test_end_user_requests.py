"""An end user's own request through the running suite: refused, mailed to the Customer, and followed."""

from __future__ import annotations

import uuid
from email.message import EmailMessage
from typing import Any

import pytest
import pytest_asyncio
from idv.errors import IdvError
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.notice.v1 import customers_pb2
from idv.notice.v1.customers_pb2_grpc import CustomerServiceStub
from idv.retention.v1 import rights_pb2
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub

from services.local.stack import LocalStack
from tests.integration.callers import Callers, service
from tests.waiting import until

INITECH = "customers/initech"
ADDRESS = "privacy@initech.example"


@pytest_asyncio.fixture(scope="module")
async def initech(callers: Callers) -> str:
    """A Customer of these tests alone, registered with its address."""
    officer = callers.stub(CustomerServiceStub, "notice", service("officer"))
    customer = customers_pb2.Customer(name=INITECH, display_name="Initech", email=ADDRESS)
    await officer.CreateCustomer(
        customers_pb2.CreateCustomerRequest(customer=customer, request_id=str(uuid.uuid4()))
    )
    return INITECH


def entering(parent: str, request_id: str) -> rights_pb2.RelayEndUserRequestRequest:
    return rights_pb2.RelayEndUserRequestRequest(
        parent=parent, request_id=request_id, kind=rights_pb2.REQUEST_KIND_KNOW
    )


async def refusal(call: Any) -> IdvError:
    with pytest.raises(IdvError) as caught:
        await call
    return caught.value


async def mail_about(stack: LocalStack, case: str) -> EmailMessage:
    def found() -> EmailMessage | None:
        return next((mail for mail in stack.mail.messages() if case in str(mail["Subject"])), None)

    return await until("the mail about the case arrives", found)


@pytest.mark.parametrize("gateway", [True, False], ids=["the Customer's gateway", "support"])
async def test_it_is_refused_mailed_and_followed_whoever_enters_it(
    callers: Callers, stack: LocalStack, initech: str, gateway: bool
) -> None:
    own = callers.stub(RightsServiceStub, "retention", callers.customer("initech"))
    entered_by = own if gateway else callers.stub(RightsServiceStub, "retention", service("support"))
    request = entering(initech, str(uuid.uuid4()))
    first, again = [await refusal(entered_by.RelayEndUserRequest(request)) for _ in range(2)]
    assert first.reason_name == "END_USER_REQUEST_REFUSED"
    assert first.metadata == again.metadata
    case = first.metadata["case_number"]
    mail = await mail_about(stack, case)
    assert mail["X-Envelope-To"] == ADDRESS

    async def mailed() -> rights_pb2.Relay | None:
        answer = await own.ListRelays(rights_pb2.ListRelaysRequest(parent=initech))
        (relay,) = (one for one in answer.relays if one.case_number == case)
        return relay if relay.state != rights_pb2.RELAY_STATE_ENTERED else None

    relay = await until("the relay shows that it is mailed", mailed)
    resolve = rights_pb2.ResolveRelayRequest(name=relay.name, request_id=str(uuid.uuid4()))
    assert (await own.ResolveRelay(resolve)).relay.state == rights_pb2.RELAY_STATE_RESOLVED


async def test_a_mail_holds_nothing_that_the_refusal_does_not(
    callers: Callers, stack: LocalStack, initech: str
) -> None:
    support = callers.stub(RightsServiceStub, "retention", service("support"))
    request = entering(initech, str(uuid.uuid4()))
    told = (await refusal(support.RelayEndUserRequest(request))).metadata
    mail = await mail_about(stack, told["case_number"])
    body = mail.get_body(("plain",))
    assert body is not None
    assert told["due_time"][:10] in body.get_content()
    assert request.request_id not in mail.as_string()


async def test_a_suspended_customer_brings_nothing_in_and_keeps_its_rights(
    callers: Callers, initech: str
) -> None:
    """Whoever suspends waits a few seconds: ingest asks again that often."""
    officer = callers.stub(CustomerServiceStub, "notice", service("officer"))
    gateway = callers.stub(IngestServiceStub, "ingest", callers.customer("initech"))
    opening = ingest_pb2.CreateSessionRequest(
        parent=initech, request_id=str(uuid.uuid4()), subject="user-1", items=["log"]
    )

    async def set_state(state: customers_pb2.CustomerState.ValueType) -> None:
        request = customers_pb2.SetCustomerStateRequest(
            name=initech, state=state, request_id=str(uuid.uuid4())
        )
        await officer.SetCustomerState(request)

    async def answers(reason: str) -> bool:
        return (await refusal(gateway.CreateSession(opening))).reason_name == reason

    assert await answers("ATTESTATION_MISSING")
    await set_state(customers_pb2.CUSTOMER_STATE_SUSPENDED)
    await until("the suspension counts", lambda: answers("CUSTOMER_SUSPENDED"))
    rights = callers.stub(RightsServiceStub, "retention", callers.customer("initech"))
    await rights.ListRelays(rights_pb2.ListRelaysRequest(parent=initech))
    await set_state(customers_pb2.CUSTOMER_STATE_ACTIVE)
    await until("its end counts", lambda: answers("ATTESTATION_MISSING"))
