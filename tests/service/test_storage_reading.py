"""Reads: with a purpose, within the term, never across Customers, each logged before its first byte."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from idv.errors import IdvError
from idv.storage.v1 import storage_pb2 as pb
from idv.types.v1 import processing_pb2

from services.runtime.resources import parse_record
from services.storage import ids
from services.storage.access_details import Reading
from services.storage.authority import EVERY_VERSION
from services.storage.keys import key_name
from services.storage.store.records import RecordRow
from services.storage.stream import BodyRefusedError
from tests.storage_parts import Replica, reason

VERIFICATION = processing_pb2.PURPOSE_VERIFICATION
TROUBLESHOOTING = processing_pb2.PURPOSE_TROUBLESHOOTING
RIGHTS = processing_pb2.PURPOSE_RIGHTS_SUPPORT


async def accesses(
    storage: Replica, customer: str = "acme", resource: str = ""
) -> list[processing_pb2.Access]:
    request = pb.ListAccessesRequest(parent=f"customers/{customer}", resource=resource)
    return list((await storage.storage.servicer.ListAccesses(request, None)).accesses)


async def test_a_record_is_readable_until_the_last_microsecond_of_its_term(storage: Replica) -> None:
    session = await storage.session()
    records = [(await storage.write(session, b"body")).name, (await storage.upload(session, b"body")).name]
    storage.servers.clock.time += timedelta(days=30) - timedelta(microseconds=1)
    for name in records:
        assert await storage.read(name) == b"body"
    storage.servers.clock.time += timedelta(microseconds=1)
    for name in records:
        assert await reason(storage.read(name)) == "EXPIRED"
        assert await reason(storage.describe(name)) == "EXPIRED"
    assert not (await storage.list_records(session=session.name)).records


@pytest.mark.parametrize(
    ("service", "fields", "refusal"),
    [
        ("verification", {"purpose": 0}, "PURPOSE_REQUIRED"),
        ("support", {"purpose": VERIFICATION}, "PURPOSE_NOT_ALLOWED"),
        ("verification", {"purpose": RIGHTS}, "PURPOSE_NOT_ALLOWED"),
        ("retention", {"purpose": RIGHTS}, "PURPOSE_NOT_ALLOWED"),  # the notice does not list it
        ("support", {"purpose": TROUBLESHOOTING, "ticket": "T-1"}, "PURPOSE_REQUIRED"),
        ("support", {"purpose": TROUBLESHOOTING, "person": "p-1"}, "PURPOSE_REQUIRED"),
    ],
)
async def test_a_read_without_a_good_purpose_is_refused_and_not_logged(
    storage: Replica, service: str, fields: dict[str, object], refusal: str
) -> None:
    record = await storage.write(await storage.session())
    assert await reason(storage.read(record.name, service, **fields)) == refusal
    assert await accesses(storage) == []


async def test_every_read_is_listed_to_the_customer_with_who_and_why(storage: Replica) -> None:
    session = await storage.session()
    small, large = await storage.write(session), await storage.upload(session, os.urandom(600_000))
    await storage.read(small.name)
    storage.advance(seconds=1)
    fields = {"purpose": TROUBLESHOOTING, "person": "staff-7", "ticket": "T-42"}
    await storage.read(large.name, "support", **fields)
    newest, oldest = await accesses(storage)
    assert (newest.record, newest.service, newest.person, newest.ticket) == (
        large.name,
        "support",
        "staff-7",
        "T-42",
    )
    assert (oldest.record, oldest.service, oldest.purpose) == (small.name, "verification", VERIFICATION)
    assert newest.complete
    assert oldest.complete
    assert await accesses(storage, resource=small.name) == [oldest]
    assert await accesses(storage, resource=session.name) == [newest, oldest]
    assert await accesses(storage, "other") == []
    assert await reason(accesses(storage, "other", small.name)) == "WRONG_TENANT"


async def test_the_access_is_durable_before_the_first_byte(storage: Replica) -> None:
    record = await storage.upload(await storage.session(), os.urandom(600_000))
    reading = Reading("verification", VERIFICATION)
    opened = await storage.storage.parts.reader.open(parse_record(record.name, field="name"), reading)
    (listed,) = await accesses(storage)
    assert not listed.complete
    async for _ in opened.chunks:
        assert not (await accesses(storage))[0].complete
    assert (await accesses(storage))[0].complete


async def test_a_long_read_stops_when_its_record_ends(storage: Replica) -> None:
    record = await storage.upload(await storage.session(), os.urandom(3_000_000))
    reading = Reading("verification", VERIFICATION)
    opened = await storage.storage.parts.reader.open(parse_record(record.name, field="name"), reading)
    await anext(opened.chunks)
    storage.advance(days=30)
    with pytest.raises(IdvError, match="term has ended"):
        await anext(opened.chunks)


async def test_another_customers_record_is_not_there(storage: Replica) -> None:
    record = await storage.write(await storage.session("acme"))
    other = record.name.replace("customers/acme", "customers/evil")
    assert await reason(storage.read(other)) == "NOT_FOUND"
    session = other.rpartition("/records/")[0]
    assert not (await storage.list_records(customer="evil", session=session)).records


async def test_row_level_security_alone_stops_a_read_across_customers(storage: Replica) -> None:
    record = await storage.write(await storage.session("acme"))
    session = UUID(parse_record(record.name, field="name").session)
    for table in ("sessions", "records", "accesses", "erasures"):
        await storage.read(record.name)
        for tenants, visible in ((["evil"], 0), (["acm"], 0), ([], 0), (["acme"], None)):
            async with storage.around.database.transaction(tenants) as connection:
                rows = (await connection.exec_driver_sql(f"SELECT 1 FROM {table}")).all()  # noqa: S608 - constants
            assert visible is None or len(rows) == visible
    owner = await asyncpg.connect(storage.servers.database.owner_dsn)
    try:
        assert await owner.fetchval("SELECT count(*) FROM records WHERE session = $1", session) == 0
    finally:
        await owner.close()


async def test_partitions_cannot_be_reached_past_their_parent(storage: Replica) -> None:
    await storage.write(await storage.session("acme"))
    runtime = await asyncpg.connect(storage.servers.database.dsn)
    try:
        day = f"{storage.servers.clock.now():%Y%m%d}"
        for table in ("sessions", "records", "accesses", "erasures"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await runtime.fetch(f"SELECT 1 FROM storage.{table}_{day}")  # noqa: S608 - constants
    finally:
        await runtime.close()


async def stored_row(storage: Replica, name: str) -> RecordRow:
    """The row as the superuser sees it, past row-level security."""
    named = parse_record(name, field="name")
    admin = await asyncpg.connect(storage.servers.database.admin_dsn)
    try:
        columns = ", ".join(name for name in RecordRow.__dataclass_fields__ if name != "asked")
        query = f"SELECT {columns} FROM storage.records WHERE record = $1"  # noqa: S608 - constants
        return RecordRow(*await admin.fetchrow(query, UUID(named.record)))
    finally:
        await admin.close()


async def open_body(storage: Replica, row: RecordRow) -> bytes:
    keys, associated = await storage.storage.parts.opener.keys(row)
    return keys.unseal(row.body or b"", associated)


async def test_the_binding_alone_stops_a_read_across_customers(storage: Replica) -> None:
    record = await storage.write(await storage.session("acme"))
    row = await stored_row(storage, record.name)
    keys, associated = await storage.storage.parts.opener.keys(row)
    assert keys.unseal(row.body or b"", associated) == b"canary-body"
    with pytest.raises(BodyRefusedError):
        keys.unseal(row.body or b"", associated.replace(b"acme", b"evil"))


async def test_a_row_moved_to_another_customer_session_or_category_does_not_open(storage: Replica) -> None:
    record = await storage.write(await storage.session("acme"))
    session = UUID(parse_record(record.name, field="name").session)
    other = ids.new_session_id(storage.servers.clock.now())
    admin = await asyncpg.connect(storage.servers.database.admin_dsn)
    try:
        for column, value, put_back in (
            ("customer", "evil", "acme"),
            ("category", "log", "device.hardware"),
            ("notice_version", 2, 1),
            ("session", other, session),
        ):
            update = f"UPDATE storage.records SET {column} = $1"  # noqa: S608 - constants
            await admin.execute(update, value)
            row = await stored_row(storage, record.name)
            with pytest.raises(BodyRefusedError):
                await open_body(storage, row)
            await admin.execute(update, put_back)
    finally:
        await admin.close()
    assert await storage.read(record.name) == b"canary-body"


async def test_rows_objects_and_key_file_hold_nothing_readable(storage: Replica) -> None:
    canaries = [b"canary-body", b"canary-face", b"canary-subject", b"canary-attestation", b"canary-person"]
    session = await storage.session(subject="canary-subject")
    small = await storage.write(session, b"canary-body", description=b"canary-body")
    large = await storage.upload(session, b"canary-face" * 30_000)
    fields = {"purpose": TROUBLESHOOTING, "person": "canary-person", "ticket": "T-1"}
    assert await storage.read(small.name, "support", **fields) == b"canary-body"
    name = (await stored_row(storage, large.name)).object or ""
    day = storage.servers.clock.now().date()
    held = [piece async for piece in storage.around.objects.get(day, name, 1 << 20)]
    held.append(storage.servers.slot_file.read_bytes())
    admin = await asyncpg.connect(storage.servers.database.admin_dsn)
    try:
        for table in ("sessions", "records", "accesses", "root_keys"):
            for row in await admin.fetch(f"SELECT * FROM storage.{table}"):  # noqa: S608 - constants
                held += [bytes(value) if isinstance(value, bytes) else str(value).encode() for value in row]
    finally:
        await admin.close()
    for canary in canaries:
        assert not any(canary in piece for piece in held)


async def test_without_its_authority_key_a_record_is_dead(storage: Replica) -> None:
    record = await storage.write(await storage.session())
    epoch = ids.record_epoch(UUID(parse_record(record.name, field="name").record))
    async with storage.servers.replica() as restarted:
        await storage.around.authority.destroy_below({key_name(epoch): EVERY_VERSION})
        assert await reason(restarted.read(record.name)) == "EXPIRED"


async def test_a_fresh_replica_serves_more_reads_at_once_than_it_has_connections(storage: Replica) -> None:
    session = await storage.session()
    records = []
    for _ in range(4):
        records += [await storage.write(session) for _ in range(10)]
        storage.advance(minutes=14)
    async with storage.servers.replica() as fresh:
        bodies = await asyncio.gather(*(fresh.read(record.name) for record in records))
    assert bodies == [b"canary-body"] * 40
