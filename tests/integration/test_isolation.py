"""One Customer never sees another's: through no service, and past none of the walls that stand in turn."""

from __future__ import annotations

import uuid

import asyncpg
import pytest
import pytest_asyncio
from idv.errors import IdvError
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.retention.v1 import deletions_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.types.v1 import data_pb2

from services.local.stack import LocalStack
from tests.integration import insides
from tests.integration.callers import Callers
from tests.integration.verification import Opened, Verification

SUBJECT = "isolated-subject"
TENANT_TABLES = ("sessions", "records", "accesses", "erasures")


class Kept:
    """A record of Acme's that nobody else may reach, and what it holds."""

    def __init__(self, opened: Opened, record: str, items: data_pb2.ItemSet) -> None:
        self.opened = opened
        self.record = record
        self.body = items.device_hardware.SerializeToString(deterministic=True)


async def keep(verification: Verification, customer: str, model: str) -> Kept:
    items = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model=model))
    opened = await verification.open(customer, SUBJECT)
    records = await verification.submit(opened, items)
    return Kept(opened, records[0].name, items)


@pytest_asyncio.fixture(scope="module")
async def acme(verification: Verification) -> Kept:
    return await keep(verification, "acme", "the model of Acme's end user")


@pytest_asyncio.fixture(scope="module")
async def globex(verification: Verification) -> Kept:
    return await keep(verification, "globex", "the model of Globex's end user")


async def test_the_same_subject_reference_of_two_customers_is_two_subjects(
    callers: Callers, acme: Kept, globex: Kept
) -> None:
    retention = callers.stub(DeletionServiceStub, "retention", callers.customer("globex"))
    answer = await retention.ListRecords(
        deletions_pb2.ListRecordsRequest(parent="customers/globex", subject=SUBJECT)
    )
    names = [record.name for record in answer.records]
    assert globex.record in names
    assert all(name.startswith("customers/globex/") for name in names)


async def test_another_customers_session_cannot_be_described_listed_or_written(
    callers: Callers, verification: Verification, acme: Kept, globex: Kept
) -> None:
    other = callers.customer("globex")
    ingest = callers.stub(IngestServiceStub, "ingest", other)
    with pytest.raises(IdvError) as refused:
        await ingest.GetSession(ingest_pb2.GetSessionRequest(name=acme.opened.name))
    assert refused.value.reason_name == "WRONG_TENANT"

    retention = callers.stub(DeletionServiceStub, "retention", other)
    with pytest.raises(IdvError) as refused:
        await retention.ListRecords(
            deletions_pb2.ListRecordsRequest(parent="customers/globex", session=acme.opened.name)
        )
    assert refused.value.reason_name in {"WRONG_TENANT", "INVALID_ARGUMENT", "NOT_FOUND"}

    stolen = Opened("globex", globex.opened.name, acme.opened.token)
    log = data_pb2.ItemSet(device_network=data_pb2.DeviceNetwork(carrier="carrier"))
    with pytest.raises(IdvError) as refused:
        await verification.submit(stolen, log, caller=other)
    assert refused.value.reason_name in {"WRONG_SESSION", "WRONG_TENANT"}


@pytest.mark.parametrize("whole_session", [False, True])
async def test_another_customers_data_cannot_be_deleted(
    verification: Verification, acme: Kept, globex: Kept, whole_session: bool
) -> None:
    by_record = deletions_pb2.DeletionTarget(record=acme.record)
    target = deletions_pb2.DeletionTarget(session=acme.opened.name) if whole_session else by_record
    with pytest.raises(IdvError) as refused:
        await verification.delete("globex", target)
    assert refused.value.reason_name in {"WRONG_TENANT", "INVALID_ARGUMENT", "NOT_FOUND"}
    assert await verification.read(acme.record) == acme.body


async def test_a_batch_takes_nothing_into_another_customers_session(
    callers: Callers, verification: Verification, acme: Kept
) -> None:
    """Not even with the session's own token, which the other Customer must have stolen."""
    ingest = callers.stub(IngestServiceStub, "ingest", callers.customer("globex"))
    stolen = ingest_pb2.SubmitItemsRequest(
        session=acme.opened.name,
        session_token=acme.opened.token,
        request_id=str(uuid.uuid4()),
        items=data_pb2.ItemSet(log_data=data_pb2.LogData()),
    )
    request = ingest_pb2.BatchSubmitItemsRequest(parent="customers/globex", submissions=[stolen])
    outcome = (await ingest.BatchSubmitItems(request)).outcomes[0]
    assert IdvError.from_status(outcome.error).reason_name == "WRONG_TENANT"
    listed = await verification.records("acme", session=acme.opened.name)
    assert [record.name for record in listed] == [acme.record]


async def test_deleting_a_subject_leaves_another_customers_subject_of_the_same_name(
    verification: Verification, acme: Kept
) -> None:
    doomed = await keep(verification, "globex", "another model")
    await verification.delete("globex", deletions_pb2.DeletionTarget(subject=SUBJECT))
    with pytest.raises(IdvError):
        await verification.read(doomed.record)
    assert await verification.read(acme.record) == acme.body


async def test_a_record_is_not_found_under_another_customers_or_sessions_name(
    verification: Verification, acme: Kept
) -> None:
    globex = await keep(verification, "globex", "a third model")
    record_id = acme.record.rpartition("/")[2]
    for session in (globex.opened.name, acme.opened.name.replace("acme", "globex")):
        with pytest.raises(IdvError) as refused:
            await verification.read(f"{session}/records/{record_id}")
        assert refused.value.reason_name == "NOT_FOUND"


async def test_reads_are_listed_to_the_customer_who_owns_the_data_and_to_no_other(
    callers: Callers, verification: Verification, acme: Kept
) -> None:
    await verification.read(acme.record)

    async def listed(customer: str) -> list[str]:
        retention = callers.stub(DeletionServiceStub, "retention", callers.customer(customer))
        request = deletions_pb2.ListAccessesRequest(parent=f"customers/{customer}", page_size=1000)
        accesses = (await retention.ListAccesses(request)).accesses
        return [access.record or access.session for access in accesses]  # a list names its session alone

    assert acme.record in await listed("acme")
    assert all(name.startswith("customers/globex/") for name in await listed("globex"))


@pytest.mark.parametrize("table", TENANT_TABLES)
@pytest.mark.parametrize("tenants", [None, "", "globex", "globex,initech"])
async def test_the_database_shows_the_service_only_rows_of_the_tenants_it_names(
    stack: LocalStack, acme: Kept, globex: Kept, table: str, tenants: str | None
) -> None:
    """Row-level security alone: the login of the running service, and any query at all."""
    connection = await asyncpg.connect(stack.databases["storage"].dsn)
    try:
        async with connection.transaction():
            if tenants is not None:
                await connection.execute("SELECT set_config('idv.tenants', $1, true)", tenants)
            seen = await connection.fetch(f"SELECT DISTINCT customer FROM storage.{table}")  # noqa: S608 - fixed names
    finally:
        await connection.close()
    assert {row["customer"] for row in seen} <= ({"globex"} if tenants else set())


async def test_a_sealed_body_put_into_another_customers_row_does_not_open(
    stack: LocalStack, verification: Verification, acme: Kept
) -> None:
    """The associated data alone: who can write rows still cannot move a body to another Customer."""
    victim = await keep(verification, "globex", "a fourth model")
    async with insides.superuser(stack) as connection:
        await connection.execute(
            "UPDATE storage.records AS target"
            " SET body = source.body, commitment = source.commitment, details = source.details"
            " FROM storage.records AS source WHERE target.record = $1 AND source.record = $2",
            *(uuid.UUID(kept.record.rpartition("/")[2]) for kept in (victim, acme)),
        )
    with pytest.raises(IdvError) as refused:
        await verification.read(victim.record)
    assert refused.value.reason_name == "INTERNAL"
