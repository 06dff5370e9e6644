"""Deletions on a real PostgreSQL: one leaf and one receipt, whatever is repeated, refused or away."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from idv import merkle, receipts
from idv.checkpoint import decode
from idv.errors import IdvError, Reason
from idv.retention.v1 import deletions_pb2 as pb
from idv.storage.v1 import storage_pb2

from services.local.databases import ServiceDatabase
from services.runtime import calls
from tests.retention_parts import FINAL_TIME, SIGNER, HeldStorage, Retention, replica, serving, unavailable
from tests.set_clock import START

ACME, GLOBEX = "acme", "globex"
SUBJECT = {"subject": "passport-holder-4711"}
SESSION = {"session": "customers/acme/sessions/0197f0a0-0000-7000-8000-000000000001"}
RECORD = {"record": f"{SESSION['session']}/records/0197f0a0-0000-8000-8000-000000000002"}


async def leaf_sources(part: Retention) -> list[str]:
    rows, _ = await part.log.leaves(0, 1000)
    return [row.source for row in rows]


async def refused(
    part: Retention, request_id: UUID, target: dict[str, str], customer: str = ACME
) -> IdvError:
    with pytest.raises(IdvError) as caught:
        await part.deletions.create(customer, request_id, target)
    return caught.value


@pytest.mark.parametrize("target", [RECORD, SESSION, SUBJECT])
async def test_a_deletion_ends_with_a_receipt_that_verifies_offline(
    service_database: ServiceDatabase, target: dict[str, str]
) -> None:
    storage, request_id = HeldStorage(), uuid4()
    async with serving(storage) as address, replica(service_database, address) as part:
        done = await part.deletions.create(ACME, request_id, target)
    assert done.state == pb.DELETION_STATE_DONE
    verified = receipts.verify(done.receipt or "", SIGNER.published())
    assert verified.kind == "deletion"
    assert verified.final_time == FINAL_TIME == done.final_time
    assert verified.entry["deletion"] == f"customers/acme/deletions/{done.deletion}"
    assert (verified.entry["record_count"], verified.entry["session_count"]) == (9, 2)
    assert verified.entry["scope"] == next(iter(target))
    assert verified.covers(str(request_id), target)
    asked = storage.erasures[str(done.deletion)]
    assert asked.parent == "customers/acme"
    assert {asked.target.WhichOneof("target"): next(iter(target.values()))} == target


async def test_a_receipt_holds_no_personal_data(service_database: ServiceDatabase) -> None:
    request_id = uuid4()
    async with serving(HeldStorage()) as address, replica(service_database, address) as part:
        for target in (SUBJECT, SESSION, RECORD):
            done = await part.deletions.create(ACME, uuid4() if target is not SUBJECT else request_id, target)
            receipt = done.receipt or ""
            assert next(iter(target.values())) not in receipt
            assert str(done.request_id) not in receipt
            assert set(json.loads(receipt)["opening"]["entry"]) == {
                *(
                    "kind",
                    "deletion",
                    "scope",
                    "request",
                    "claim",
                    "record_count",
                    "session_count",
                    "object_count",
                ),
                *("receive_time", "erase_time", "complete_time", "final_time"),
            }


async def test_at_rest_nothing_lets_a_thief_guess_what_was_deleted(service_database: ServiceDatabase) -> None:
    """The entry's `request` is keyed by the request's id, which rests beside it, so the entry is sealed."""
    request_id = uuid4()
    async with serving(HeldStorage()) as address, replica(service_database, address) as part:
        done = await part.deletions.create(ACME, request_id, SUBJECT)
    thief = await asyncpg.connect(service_database.admin_dsn)
    try:
        rows = await thief.fetch("SELECT d::text FROM retention.deletions d")
        rows += await thief.fetch("SELECT l::text FROM retention.log_leaves l")
    finally:
        await thief.close()
    opening = json.loads(done.receipt or "")["opening"]
    at_rest = "".join(row[0] for row in rows)
    assert str(request_id) in at_rest
    for told in (receipts.commitment(str(request_id), SUBJECT), opening["salt"], SUBJECT["subject"]):
        assert told not in at_rest


async def test_a_repeat_returns_the_same_receipt_byte_for_byte(service_database: ServiceDatabase) -> None:
    storage, request_id = HeldStorage(), uuid4()
    async with serving(storage) as address, replica(service_database, address) as part:
        first = await part.deletions.create(ACME, request_id, SUBJECT)
        part.clock.advance(days=2)
        assert await part.deletions.create(ACME, request_id, SUBJECT) == first
        assert storage.calls == 1
        assert await leaf_sources(part) == [f"deletion/{first.deletion}"]


async def test_a_request_id_used_for_another_target_is_refused(service_database: ServiceDatabase) -> None:
    storage, request_id = HeldStorage(), uuid4()
    async with serving(storage) as address, replica(service_database, address) as part:
        first = await part.deletions.create(ACME, request_id, SUBJECT)
        for other in ({"subject": "somebody else"}, SESSION, {"record": SUBJECT["subject"]}):
            refusal = await refused(part, request_id, other)
            assert (refusal.reason_name, refusal.field) == ("REQUEST_ID_REUSED", "request_id")
        assert storage.calls == 1
        theirs = await part.deletions.create(GLOBEX, request_id, SUBJECT)  # ids are each Customer's own
        assert theirs.deletion != first.deletion


async def test_concurrent_repeats_on_several_replicas_get_one_receipt(
    service_database: ServiceDatabase,
) -> None:
    storage, request_id = HeldStorage(), uuid4()
    async with (
        serving(storage) as address,
        replica(service_database, address) as one,
        replica(service_database, address) as two,
    ):
        answers = await asyncio.gather(
            *(part.deletions.create(ACME, request_id, SUBJECT) for part in (one, two) for _ in range(6))
        )
        assert len({answer.receipt for answer in answers}) == 1
        assert len(storage.erasures) == 1
        assert len(await leaf_sources(one)) == 1


async def test_many_deletions_at_once_each_get_their_own_proof(service_database: ServiceDatabase) -> None:
    async with serving(HeldStorage()) as address, replica(service_database, address) as part:
        answers = await asyncio.gather(
            *(part.deletions.create(ACME, uuid4(), {"subject": f"person-{number}"}) for number in range(20))
        )
        verified = [receipts.verify(answer.receipt or "", SIGNER.published()) for answer in answers]
        assert sorted(one.leaf_index for one in verified) == list(range(20))
        newest = await part.log.head()
        for one in verified:
            proof = await part.log.consistency_proof(one.checkpoint.size)
            merkle.verify_consistency(
                one.checkpoint.size, newest.size, one.checkpoint.root, newest.root, proof.hashes
            )


async def test_while_storage_is_away_a_deletion_is_recorded_and_later_done_by_itself(
    service_database: ServiceDatabase,
) -> None:
    storage, request_id = HeldStorage(refusal=unavailable()), uuid4()
    async with serving(storage) as address, replica(service_database, address) as part:
        refusal = await refused(part, request_id, SUBJECT)
        assert refusal.reason_name == "UNAVAILABLE"
        assert refusal.retry_after
        name = UUID(refusal.metadata["deletion"].rpartition("/")[2])
        assert (await part.deletions.get(ACME, name)).state == pb.DELETION_STATE_RUNNING

        part.clock.advance(minutes=2)
        await part.resumption.run()  # still away: put off
        assert storage.calls == 2
        await part.resumption.run()  # not due yet
        assert storage.calls == 2

        storage.refusal = None
        part.clock.advance(minutes=2)
        await part.resumption.run()
        done = await part.deletions.get(ACME, name)
        assert done.state == pb.DELETION_STATE_DONE
        assert (await part.deletions.create(ACME, request_id, SUBJECT)).receipt == done.receipt
        assert len(await leaf_sources(part)) == 1


async def test_the_name_of_an_unfinished_deletion_comes_before_its_caller_gives_up(
    service_database: ServiceDatabase,
) -> None:
    held = asyncio.Event()

    async def hold(_request: storage_pb2.EraseRecordsRequest) -> None:
        await held.wait()

    storage = HeldStorage(before=hold)
    async with serving(storage) as address, replica(service_database, address) as part:
        gives_up = asyncio.get_running_loop().time() + 5
        calls.enter(calls.RunningCall(gives_up))
        refusal = await refused(part, uuid4(), SUBJECT)
        assert asyncio.get_running_loop().time() < gives_up
        held.set()
    assert refusal.reason_name == "UNAVAILABLE"
    assert refusal.metadata["deletion"].startswith(f"customers/{ACME}/deletions/")
    assert refusal.tried


@pytest.mark.parametrize("reason", [Reason.ERROR_REASON_NOT_FOUND, Reason.ERROR_REASON_INVALID_ARGUMENT])
async def test_what_storage_refuses_for_good_fails_for_good(
    service_database: ServiceDatabase, reason: Reason.ValueType
) -> None:
    storage, request_id = HeldStorage(refusal=IdvError(reason, "no such record")), uuid4()
    async with serving(storage) as address, replica(service_database, address) as part:
        for _ in range(2):
            refusal = await refused(part, request_id, RECORD)
            assert refusal.reason == reason
        assert storage.calls == 1
        name = UUID(refusal.metadata["deletion"].rpartition("/")[2])
        failed = await part.deletions.get(ACME, name)
        assert (failed.state, failed.receipt, failed.sealed_target) == (pb.DELETION_STATE_FAILED, None, None)
        assert await leaf_sources(part) == []


async def test_no_reference_to_a_person_rests_in_the_database(service_database: ServiceDatabase) -> None:
    storage = HeldStorage(refusal=unavailable())
    async with serving(storage) as address, replica(service_database, address) as part:
        await refused(part, uuid4(), SUBJECT)  # while it is pending
        assert SUBJECT["subject"] not in await everything_in(service_database)
        storage.refusal = None
        done = await part.deletions.create(ACME, uuid4(), SUBJECT)  # and when it is done
        assert done.sealed_target is None
        text = await everything_in(service_database)
        assert SUBJECT["subject"] not in text
        assert SUBJECT["subject"].encode().hex() not in text


async def everything_in(database: ServiceDatabase) -> str:
    """Every row of every table of the schema, as the superuser sees it."""
    connection = await asyncpg.connect(database.admin_dsn)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'retention'")
        assert len(tables) >= 6
        rows = [await connection.fetch(f"SELECT t::text FROM retention.{name} t") for (name,) in tables]  # noqa: S608
    finally:
        await connection.close()
    return "\n".join(str(row) for table in rows for row in table)


async def test_a_customer_sees_only_its_own_deletions(service_database: ServiceDatabase) -> None:
    async with serving(HeldStorage()) as address, replica(service_database, address) as part:
        mine = [await part.deletions.create(ACME, uuid4(), SUBJECT) for _ in range(3)]
        theirs = await part.deletions.create(GLOBEX, uuid4(), SUBJECT)
        with pytest.raises(IdvError) as refusal:
            await part.deletions.get(ACME, theirs.deletion)
        assert refusal.value.reason_name == "NOT_FOUND"
        assert {one.deletion for one in await part.deletions.list(ACME, 10, None)} == {
            one.deletion for one in mine
        }


async def test_rows_of_another_customer_are_walled_off_by_the_database_itself(
    service_database: ServiceDatabase,
) -> None:
    async with serving(HeldStorage()) as address, replica(service_database, address) as part:
        await part.deletions.create(ACME, uuid4(), SUBJECT)
    for dsn in (service_database.dsn, service_database.owner_dsn):
        connection = await asyncpg.connect(dsn)
        try:
            assert await connection.fetchval("SELECT count(*) FROM retention.deletions") == 0
            await connection.execute("SELECT set_config('idv.tenants', 'globex', false)")
            assert await connection.fetchval("SELECT count(*) FROM retention.deletions") == 0
            await connection.execute("SELECT set_config('idv.tenants', 'acme', false)")
            assert await connection.fetchval("SELECT count(*) FROM retention.deletions") == 1
        finally:
            await connection.close()


async def test_deletions_are_listed_the_newest_first_page_by_page(service_database: ServiceDatabase) -> None:
    async with serving(HeldStorage()) as address, replica(service_database, address) as part:
        made = []
        for _ in range(5):
            part.clock.advance(seconds=1)
            made.append((await part.deletions.create(ACME, uuid4(), SUBJECT)).deletion)
        first = await part.deletions.list(ACME, 3, None)
        rest = await part.deletions.list(ACME, 3, first[-1].deletion)
        assert [one.deletion for one in first + rest] == made[::-1]


async def test_after_its_term_the_opening_is_forgotten_and_the_customers_copy_still_verifies(
    service_database: ServiceDatabase,
) -> None:
    request_id = uuid4()
    async with serving(HeldStorage()) as address, replica(service_database, address) as part:
        done = await part.deletions.create(ACME, request_id, SUBJECT)
        part.clock.time = START + timedelta(days=30) - timedelta(seconds=1)
        await part.resumption.run()
        assert (await part.deletions.create(ACME, request_id, SUBJECT)).receipt == done.receipt

        part.clock.time = START + timedelta(days=30)
        await part.resumption.run()
        later = await part.deletions.create(ACME, request_id, SUBJECT)
        assert later.request_digest is None
        assert "opening" not in json.loads(later.receipt or "")
        with pytest.raises(receipts.ReceiptError) as refusal:
            receipts.verify(later.receipt or "", SIGNER.published())
        assert refusal.value.fault is receipts.ReceiptFault.OPENING_MISSING

        kept = json.loads(done.receipt or "")["opening"]
        opening = receipts.Opening(decode(kept["salt"], "salt"), receipts.canonical(kept["entry"]))
        verified = receipts.verify(later.receipt or "", SIGNER.published(), opening=opening)
        assert verified == receipts.verify(done.receipt or "", SIGNER.published())
        assert kept["entry"]["request"] not in await everything_in(service_database)


async def test_storage_is_asked_to_erase_before_anything_is_logged(service_database: ServiceDatabase) -> None:
    seen: list[list[str]] = []
    storage = HeldStorage()
    async with serving(storage) as address, replica(service_database, address) as part:

        async def look(request: storage_pb2.EraseRecordsRequest) -> None:
            recorded = await part.deletions.get(ACME, UUID(request.request_id))
            assert recorded.state == pb.DELETION_STATE_RUNNING
            seen.append(await leaf_sources(part))

        storage.after = look
        await part.deletions.create(ACME, uuid4(), SUBJECT)
        assert seen == [[]]
