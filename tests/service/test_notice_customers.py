"""Customers by the contract: real mutual TLS and database, the officer, and the Customer itself."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from idv import channel
from idv.errors import IdvError
from idv.notice.v1 import customers_pb2 as pb
from idv.notice.v1.customers_pb2_grpc import CustomerServiceStub
from sqlalchemy import func, select

from services.local.databases import ServiceDatabase
from services.notice.tables import customer_requests, customers
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from tests.notice_process import Process, running

ACME = pb.Customer(name="customers/acme", display_name="Acme Bank", email="privacy@acme.example")


@pytest.fixture
async def process(tmp_path: Path, service_database: ServiceDatabase) -> AsyncIterator[Process]:
    async with running(tmp_path, service_database) as served:
        yield served


def new_id() -> str:
    return str(uuid.uuid4())


def customer(tenant: str, **values: Any) -> pb.Customer:
    message = pb.Customer(name=f"customers/{tenant}", display_name=tenant, email=f"privacy@{tenant}.example")
    message.MergeFrom(pb.Customer(**values))
    return message


def creating(message: pb.Customer = ACME, request_id: str = "") -> pb.CreateCustomerRequest:
    return pb.CreateCustomerRequest(customer=message, request_id=request_id or new_id())


async def refused(call: Any) -> IdvError:
    with pytest.raises(IdvError) as caught:
        await call
    return caught.value


async def listed(process: Process, size: int = 0) -> list[pb.Customer]:
    found: list[pb.Customer] = []
    token = ""
    while True:
        request = pb.ListCustomersRequest(page_size=size, page_token=token)
        answer = await process.customers().ListCustomers(request)
        found += answer.customers
        token = answer.next_page_token
        if not token:
            return found


async def test_a_customer_is_registered_once_and_described_with_its_defaults(process: Process) -> None:
    officer = process.customers()
    request = creating()
    first = await asyncio.gather(*(officer.CreateCustomer(request) for _ in range(4)))
    described = (await officer.GetCustomer(pb.GetCustomerRequest(name=ACME.name))).customer
    assert all(answer.customer == described for answer in first)
    assert (described.language, described.time_zone) == ("en", "UTC")
    assert described.state == pb.CUSTOMER_STATE_ACTIVE
    assert (await refused(officer.CreateCustomer(creating()))).reason_name == "ALREADY_EXISTS"
    reused = creating(customer("acme", region="EU"), request.request_id)
    assert (await refused(officer.CreateCustomer(reused))).reason_name == "REQUEST_ID_REUSED"


async def test_every_fault_is_named_at_once_and_nothing_is_stored(process: Process) -> None:
    wrong = pb.Customer(
        name="customers/acme", email="a@b\r\nBcc: c@d.example", time_zone="Mars", optional_items=["x"]
    )
    error = await refused(process.customers().CreateCustomer(creating(wrong)))
    assert error.reason_name == "INVALID_ARGUMENT"
    fields = {one.field for one in error.violations}
    assert fields == {f"customer.{name}" for name in ("display_name", "email", "time_zone", "optional_items")}
    assert await listed(process) == []


async def test_an_update_changes_what_it_names_and_nothing_else(process: Process) -> None:
    officer = process.customers()
    await officer.CreateCustomer(creating(customer("acme", region="EU")))
    request = pb.UpdateCustomerRequest(
        customer_name=ACME.name,
        customer=pb.Customer(name=ACME.name, email="dpo@b\u00fccher.example", region="US"),
        update_fields=["email"],
        request_id=new_id(),
    )
    changed = (await officer.UpdateCustomer(request)).customer
    assert (changed.email, changed.region) == ("dpo@b\u00fccher.example", "EU")
    assert (await officer.UpdateCustomer(request)).customer == changed
    wrongs: tuple[tuple[list[str], dict[str, Any]], ...] = (
        (["state"], {}),
        (["email"], {"email": "x"}),
        (["time_zone"], {"time_zone": "x"}),
    )
    for fields, values in wrongs:
        wrong = pb.UpdateCustomerRequest(
            customer_name=ACME.name,
            customer=pb.Customer(name=ACME.name, **values),
            update_fields=fields,
            request_id=new_id(),
        )
        assert (await refused(officer.UpdateCustomer(wrong))).reason_name == "INVALID_ARGUMENT"
    other = pb.UpdateCustomerRequest(
        customer_name=ACME.name, customer=customer("globex"), update_fields=["email"], request_id=new_id()
    )
    assert (await refused(officer.UpdateCustomer(other))).field == "customer.name"


async def test_the_officer_suspends_and_activates_a_customer_and_off_boards_none(
    process: Process,
) -> None:
    officer = process.customers()
    await officer.CreateCustomer(creating())

    def to(state: pb.CustomerState.ValueType) -> pb.SetCustomerStateRequest:
        return pb.SetCustomerStateRequest(name=ACME.name, state=state, request_id=new_id())

    for state in (pb.CUSTOMER_STATE_SUSPENDED, pb.CUSTOMER_STATE_SUSPENDED, pb.CUSTOMER_STATE_ACTIVE):
        assert (await officer.SetCustomerState(to(state))).customer.state == state
    gone = await refused(officer.SetCustomerState(to(pb.CUSTOMER_STATE_OFFBOARDED)))
    assert (gone.reason_name, gone.field) == ("INVALID_ARGUMENT", "state")


async def test_retention_off_boards_for_good_and_no_contact_is_left(process: Process) -> None:
    officer, retention = process.customers(), process.customers("retention")
    await officer.CreateCustomer(creating())

    def to(state: pb.CustomerState.ValueType) -> pb.SetCustomerStateRequest:
        return pb.SetCustomerStateRequest(name=ACME.name, state=state, request_id=new_id())

    early = await refused(retention.SetCustomerState(to(pb.CUSTOMER_STATE_ACTIVE)))
    assert early.reason_name == "INVALID_ARGUMENT"
    suspending, removing = to(pb.CUSTOMER_STATE_SUSPENDED), to(pb.CUSTOMER_STATE_OFFBOARDED)
    await retention.SetCustomerState(suspending)
    await retention.SetCustomerState(removing)
    for repeat in (suspending, removing, to(pb.CUSTOMER_STATE_OFFBOARDED)):
        assert (await retention.SetCustomerState(repeat)).customer.state == pb.CUSTOMER_STATE_OFFBOARDED
    left = (await officer.GetCustomer(pb.GetCustomerRequest(name=ACME.name))).customer
    assert (left.email, left.display_name, left.region, left.webhook_uri) == ("", "", "", "")
    again = await refused(officer.SetCustomerState(to(pb.CUSTOMER_STATE_ACTIVE)))
    assert again.reason_name == "CUSTOMER_OFFBOARDED"
    assert (await refused(officer.CreateCustomer(creating()))).reason_name == "ALREADY_EXISTS"


async def test_an_import_registers_all_or_nothing(process: Process) -> None:
    officer = process.customers()
    await officer.CreateCustomer(creating())
    names = [f"customer-{number:04}" for number in range(500)]
    table = [customer(name) for name in names]

    def importing(those: list[pb.Customer]) -> pb.ImportCustomersRequest:
        return pb.ImportCustomersRequest(customers=those, request_id=new_id())

    broken = [*table[:3], customer("acme"), *table[3:], customer("last", language="?")]
    error = await refused(officer.ImportCustomers(importing(broken)))
    assert {one.field for one in error.violations} == {"customers[501].language"}
    error = await refused(officer.ImportCustomers(importing(broken[:-1])))
    assert {one.field for one in error.violations} == {"customers[3].name"}
    twice = await refused(officer.ImportCustomers(importing([table[0], table[0]])))
    assert {one.field for one in twice.violations} == {"customers[1].name"}
    many = await refused(officer.ImportCustomers(importing([customer("x1x", email=""), *broken[3:4]] * 500)))
    assert int(many.metadata["faults"]) > len(many.violations) > 10
    assert len(await listed(process)) == 1, "nothing of any of them"
    good = importing(table)
    for _ in range(2):
        assert (await officer.ImportCustomers(good)).customer_count == len(table)
    found = await listed(process, 200)
    assert [one.name for one in found] == ["customers/acme", *(f"customers/{name}" for name in names)]


async def test_a_customer_sees_and_changes_itself_alone(process: Process) -> None:
    await process.customers().ImportCustomers(
        pb.ImportCustomersRequest(customers=[ACME, customer("globex")], request_id=new_id())
    )
    files = process.authority.customer("acme")
    credentials = channel.Credentials.read(files.authority, files.certificate, files.private_key)
    opened = channel.aio(process.runtime.addresses["mtls"], credentials)
    own: Any = CustomerServiceStub(opened)
    try:
        assert (await own.GetCustomer(pb.GetCustomerRequest(name=ACME.name))).customer.email == ACME.email
        other = await refused(own.GetCustomer(pb.GetCustomerRequest(name="customers/globex")))
        assert other.reason_name == "WRONG_TENANT"
        for name, address in (("officer", ACME.email), ("ingest", ""), ("retention", "")):
            answer = await process.customers(name).GetCustomer(pb.GetCustomerRequest(name=ACME.name))
            assert answer.customer.email == address, "contacts are for whoever needs them"
        for call in (own.ListCustomers(pb.ListCustomersRequest()), own.CreateCustomer(creating())):
            assert (await refused(call)).reason_name == "PERMISSION_DENIED"
    finally:
        await opened.close()


async def test_row_level_security_alone_hides_accounts(
    process: Process, service_database: ServiceDatabase
) -> None:
    await process.customers().CreateCustomer(creating())
    async with Database.open(DatabaseSettings(dsn=service_database.dsn)) as database:
        for tenants, rows in ((["acme"], 1), (["globex"], 0), ([], 0)):
            async with database.transaction(tenants) as connection:
                for table in (customers, customer_requests):
                    assert await connection.scalar(select(func.count()).select_from(table)) == rows


async def test_a_malformed_page_token_is_refused(process: Process) -> None:
    wrong = pb.ListCustomersRequest(page_token="acme'; --")
    assert (await refused(process.customers().ListCustomers(wrong))).field == "page_token"
