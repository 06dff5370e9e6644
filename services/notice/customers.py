"""The methods on Customers: requests translated, and passed on to the accounts and the outbox."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from google.protobuf.message import Message
from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2 as pb
from idv.notice.v1 import deliveries_pb2
from idv.notice.v1.customers_pb2_grpc import CustomerServiceServicer

from services.notice import errors
from services.notice.accounts import messages
from services.notice.accounts.accounts import AccountCall, Accounts
from services.notice.calls import fingerprint
from services.notice.delivery.acknowledgement_store import Acknowledgement
from services.notice.delivery.api import delivery
from services.notice.delivery.progress import Deliveries
from services.notice.mail.composing import Matter
from services.notice.mail.outbox import Outbox
from services.notice.mail.store import Mail
from services.notice.messages import stamp
from services.runtime.clock import Clock
from services.runtime.identity import CallerKind, current_caller
from services.runtime.instants import instant
from services.runtime.resources import customer_name, parse_customer

_PAGE: Final = 100
_OFFICER: Final = "officer"
_RETENTION: Final = "retention"


class CustomerApi(CustomerServiceServicer):
    """Accounts of Customers, mail to them, and how they were told of versions.

    `domain` is that of whom mails are from.
    """

    def __init__(
        self, accounts: Accounts, outbox: Outbox, deliveries: Deliveries, clock: Clock, domain: str
    ) -> None:
        self._accounts = accounts
        self._outbox = outbox
        self._deliveries = deliveries
        self._clock = clock
        self._domain = domain

    async def CreateCustomer(
        self, request: pb.CreateCustomerRequest, context: Any
    ) -> pb.CreateCustomerResponse:
        """Registers a Customer; see `Accounts.create`."""
        account = messages.account(request.customer, "customer")
        created = await self._accounts.create(account, _call("CreateCustomer", request, request.request_id))
        upcoming = await self._accounts.accepted_by_registering(created.tenant)
        return pb.CreateCustomerResponse(
            customer=messages.customer(created), upcoming_notice_version=upcoming or 0
        )

    async def ImportCustomers(
        self, request: pb.ImportCustomersRequest, context: Any
    ) -> pb.ImportCustomersResponse:
        """Registers all or none; see `Accounts.import_all`."""
        accounts = [
            messages.account(one, f"customers[{index}]") for index, one in enumerate(request.customers)
        ]
        call = _call("ImportCustomers", request, request.request_id)
        return pb.ImportCustomersResponse(customer_count=await self._accounts.import_all(accounts, call))

    async def GetCustomer(self, request: pb.GetCustomerRequest, context: Any) -> pb.GetCustomerResponse:
        """Describes a Customer: with its contacts to itself and the officer alone."""
        account = await self._accounts.get(parse_customer(request.name, field="name"))
        customer, caller = messages.customer(account), current_caller()
        if caller.kind is CallerKind.SERVICE and caller.name != _OFFICER:
            customer.ClearField("email")
            customer.ClearField("webhook_uri")
        return pb.GetCustomerResponse(customer=customer)

    async def ListCustomers(self, request: pb.ListCustomersRequest, context: Any) -> pb.ListCustomersResponse:
        """Lists Customers by id."""
        size = request.page_size or _PAGE
        after = parse_customer(request.page_token, field="page_token") if request.page_token else ""
        page = await self._accounts.page(after, size + 1)
        token = customer_name(page[size - 1].tenant) if len(page) > size else ""
        return pb.ListCustomersResponse(customers=map(messages.customer, page[:size]), next_page_token=token)

    async def UpdateCustomer(
        self, request: pb.UpdateCustomerRequest, context: Any
    ) -> pb.UpdateCustomerResponse:
        """Changes named fields; see `Accounts.update`."""
        tenant = parse_customer(request.customer_name, field="customer_name")
        if request.customer.name != request.customer_name:
            raise IdvError(
                Reason.ERROR_REASON_INVALID_ARGUMENT,
                "customer.name is another Customer than customer_name",
                field="customer.name",
                remedy="name the same Customer twice",
            )
        call = _call("UpdateCustomer", request, request.request_id)
        account = await self._accounts.update(tenant, messages.changes(request), call)
        return pb.UpdateCustomerResponse(customer=messages.customer(account))

    async def SetCustomerState(
        self, request: pb.SetCustomerStateRequest, context: Any
    ) -> pb.SetCustomerStateResponse:
        """Suspends, activates or off-boards; see `Accounts.set_state`."""
        gone = request.state == pb.CUSTOMER_STATE_OFFBOARDED
        if gone != (current_caller().name == _RETENTION) and request.state != pb.CUSTOMER_STATE_SUSPENDED:
            raise errors.state_of_another()
        call = _call("SetCustomerState", request, request.request_id)
        tenant = parse_customer(request.name, field="name")
        account = await self._accounts.set_state(tenant, request.state, call)
        return pb.SetCustomerStateResponse(customer=messages.customer(account))

    async def AcknowledgeNotice(
        self, request: pb.AcknowledgeNoticeRequest, context: Any
    ) -> pb.AcknowledgeNoticeResponse:
        """Records that the Customer has seen or accepted a version; see `Deliveries.acknowledge`."""
        new = Acknowledgement(
            parse_customer(request.parent, field="parent"),
            request.version,
            request.kind,
            deliveries_pb2.ACKNOWLEDGEMENT_CHANNEL_CALL,
            self._clock.now(),
        )
        first, _ = await self._deliveries.acknowledge(new)
        return pb.AcknowledgeNoticeResponse(acknowledge_time=stamp(first))

    async def ListDeliveries(
        self, request: pb.ListDeliveriesRequest, context: Any
    ) -> pb.ListDeliveriesResponse:
        """Lists deliveries of a version by Customer, each with what explains its state."""
        size = request.page_size or _PAGE
        after = parse_customer(request.page_token, field="page_token") if request.page_token else ""
        page = await self._deliveries.deliveries(request.version, after, size + 1)
        token = customer_name(page[size - 1].tenant) if len(page) > size else ""
        shown = [delivery(request.version, one, self._domain) for one in page[:size]]
        return pb.ListDeliveriesResponse(deliveries=shown, next_page_token=token)

    async def SendMessage(self, request: pb.SendMessageRequest, context: Any) -> pb.SendMessageResponse:
        """Puts a mail into the outbox, or tells how it stands; see `Outbox.put`."""
        tenant = parse_customer(request.customer, field="customer")
        print_of_it = fingerprint("SendMessage", request)
        mail = await self._outbox.put(tenant, UUID(request.request_id), print_of_it, _matter(request))
        return pb.SendMessageResponse(delivery=_delivery(mail))


def _matter(request: pb.SendMessageRequest) -> Matter:
    """Raises INVALID_ARGUMENT where a relay does not say when it was received and when it is due."""
    received = (
        instant(request.receive_time, field="receive_time") if request.HasField("receive_time") else None
    )
    due = instant(request.due_time, field="due_time") if request.HasField("due_time") else None
    if request.kind != pb.MESSAGE_KIND_DELETION_DONE and (received is None or due is None):
        raise IdvError(
            Reason.ERROR_REASON_INVALID_ARGUMENT,
            "a relay says when it was received and when it is due",
            field="receive_time" if received is None else "due_time",
            remedy="set both",
        )
    return Matter(request.kind, request.case_number, received, due, request.request_kind)


def _delivery(mail: Mail) -> pb.Delivery:
    return pb.Delivery(
        customer=customer_name(mail.tenant),
        state=mail.state,
        reply=mail.reply or "",
        state_time=stamp(mail.state_time),
    )


def _call(method: str, request: Message, request_id: str) -> AccountCall:
    return AccountCall(UUID(request_id), fingerprint(method, request))
