"""`idv customer`: registers, shows, changes, suspends, imports and exports Customers, as the officer."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from idv.notice.v1 import customers_pb2 as pb
from idv.notice.v1.customers_pb2_grpc import CustomerServiceStub

from services.cli.account_options import (
    Email,
    Id,
    Items,
    Language,
    Name,
    Region,
    Webhook,
    Zone,
    account_as_written,
)
from services.cli.client import CALL_SECONDS, Suite
from services.cli.command import READY_FILE, As, Connect, Json, RequestId, command, group
from services.cli.failure import usage
from services.cli.import_table import read_table, told_by_line
from services.cli.messages import flat, last, name_of, plain
from services.cli.output import Output, facts_table, hint, rows_table
from services.cli.requests import request_id_or_derived, request_id_or_new
from services.local.ready import Ready
from services.notice.accounts import messages, table
from services.runtime.resources import customer_name

if TYPE_CHECKING:
    from idv.notice.v1.customers_pb2_grpc import CustomerServiceAsyncStub

app = group("Register, show, change, suspend, import and export Customers.")

_STATES = pb.CustomerState.DESCRIPTOR
_PAGE = 500


@command(
    app,
    "create",
    [("Register a Customer", "idv customer create acme --name 'Acme Bank' --email privacy@acme.example")],
)
async def create(
    customer: Id,
    name: Name = None,
    email: Email = None,
    language: Language = None,
    region: Region = None,
    time_zone: Zone = None,
    item: Items = None,
    webhook: Webhook = None,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Register a Customer."""
    message, _ = account_as_written(customer, name, email, language, region, time_zone, item, webhook)
    request = pb.CreateCustomerRequest(customer=message, request_id=request_id_or_new(request_id))
    async with Suite(Ready.read(connect)) as suite:
        answer = await _stub(suite, identity).CreateCustomer(request, timeout=CALL_SECONDS)
    _show(answer.customer, as_json)


@command(app, "list", [("All Customers", "idv customer list")])
async def list_customers(connect: Connect = READY_FILE, identity: As = None, as_json: Json = False) -> None:
    """List Customers by id."""
    async with Suite(Ready.read(connect)) as suite:
        customers = [one async for one in _all(_stub(suite, identity))]
    rows = [
        (last(one.name), one.display_name, one.email, one.language, name_of(_STATES, one.state))
        for one in customers
    ]
    value = {"customers": [plain(one) for one in customers]}
    Output(as_json).answer(value, rows_table(("Id", "Name", "E-mail", "Language", "State"), rows))


@command(app, "show", [("One Customer", "idv customer show acme")])
async def show(
    customer: Id, connect: Connect = READY_FILE, identity: As = None, as_json: Json = False
) -> None:
    """Show a Customer."""
    request = pb.GetCustomerRequest(name=customer_name(customer))
    async with Suite(Ready.read(connect)) as suite:
        answer = await _stub(suite, identity).GetCustomer(request, timeout=CALL_SECONDS)
    _show(answer.customer, as_json)


@command(
    app,
    "update",
    [
        ("A new address", "idv customer update acme --email dpo@acme.example"),
        ("Allow one optional item alone", "idv customer update acme --item device.network.dns_ip"),
    ],
)
async def update(
    customer: Id,
    name: Name = None,
    email: Email = None,
    language: Language = None,
    region: Region = None,
    time_zone: Zone = None,
    item: Items = None,
    webhook: Webhook = None,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Change what is given, and nothing else."""
    message, fields = account_as_written(customer, name, email, language, region, time_zone, item, webhook)
    if not fields:
        raise usage("nothing is given to change", "give for example --email")
    request = pb.UpdateCustomerRequest(
        customer_name=message.name,
        customer=message,
        update_fields=fields,
        request_id=request_id_or_new(request_id),
    )
    async with Suite(Ready.read(connect)) as suite:
        answer = await _stub(suite, identity).UpdateCustomer(request, timeout=CALL_SECONDS)
    _show(answer.customer, as_json)


@command(app, "suspend", [("Take nothing in for it; rights are served", "idv customer suspend acme")])
async def suspend(
    customer: Id,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Suspend a Customer: nothing more is taken in for it, rights and deletion are served."""
    await _set_state(customer, pb.CUSTOMER_STATE_SUSPENDED, request_id, connect, identity, as_json)


@command(app, "activate", [("Serve a suspended Customer again", "idv customer activate acme")])
async def activate(
    customer: Id,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Activate a suspended Customer."""
    await _set_state(customer, pb.CUSTOMER_STATE_ACTIVE, request_id, connect, identity, as_json)


@command(
    app,
    "import",
    [
        ("Register all of a table, or with any fault none", "idv customer import customers.csv"),
        ("Only look for faults, without any service", "idv customer import customers.csv --check"),
    ],
)
async def import_customers(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8; the first line names the columns.")],
    check: Annotated[bool, typer.Option("--check", help="Register nothing.")] = False,
    request_id: RequestId = None,
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Register the Customers of a CSV table. The same table twice is one import."""
    rows, content = read_table(file)
    facts = {"file": str(file), "customers": str(len(rows))}
    if check:
        Output(as_json).answer({"good": True, "customers": len(rows)}, facts_table(facts))
        return
    request = pb.ImportCustomersRequest(
        customers=[messages.customer(row.account) for row in rows],
        request_id=request_id_or_derived(request_id, content),
    )
    async with Suite(Ready.read(connect)) as suite:
        with told_by_line(file, rows):
            answer = await _stub(suite, identity).ImportCustomers(request, timeout=CALL_SECONDS)
    value = {"request_id": request.request_id, **plain(answer)}
    Output(as_json).answer(value, facts_table(facts | {"registered": str(answer.customer_count)}))


@command(
    app,
    "export",
    [
        ("All Customers as CSV", "idv customer export customers.csv"),
        ("To another program", "idv customer export -"),
    ],
)
async def export(
    file: Annotated[Path, typer.Argument(help="Where the table goes; - is standard output.")],
    connect: Connect = READY_FILE,
    identity: As = None,
    as_json: Json = False,
) -> None:
    """Write all Customers as a CSV table, which `idv customer import` reads."""
    async with Suite(Ready.read(connect)) as suite:
        stub = _stub(suite, identity)
        accounts = [messages.shown(one) async for one in _all(stub)]
    text = table.write(accounts)
    if str(file) == "-":
        sys.stdout.write(text)
        return
    file.write_text(text, encoding="utf-8", newline="")
    hint("it holds contacts: keep it as you keep those")
    facts = {"file": str(file), "customers": str(len(accounts))}
    Output(as_json).answer({"file": str(file), "customers": len(accounts)}, facts_table(facts))


async def _set_state(
    customer: str,
    state: pb.CustomerState.ValueType,
    request_id: str | None,
    connect: Path,
    identity: str | None,
    as_json: bool,
) -> None:
    request = pb.SetCustomerStateRequest(
        name=customer_name(customer), state=state, request_id=request_id_or_new(request_id)
    )
    async with Suite(Ready.read(connect)) as suite:
        answer = await _stub(suite, identity).SetCustomerState(request, timeout=CALL_SECONDS)
    _show(answer.customer, as_json)


async def _all(stub: CustomerServiceAsyncStub) -> AsyncIterator[pb.Customer]:
    token = ""
    while True:
        request = pb.ListCustomersRequest(page_size=_PAGE, page_token=token)
        answer = await stub.ListCustomers(request, timeout=CALL_SECONDS)
        for customer in answer.customers:
            yield customer
        token = answer.next_page_token
        if not token:
            return


def _show(customer: pb.Customer, as_json: bool) -> None:
    Output(as_json).answer(plain(customer), facts_table(flat(plain(customer))))


def _stub(suite: Suite, given: str | None) -> CustomerServiceAsyncStub:
    return suite.stub(CustomerServiceStub, "notice", suite.service(given, "officer"))
