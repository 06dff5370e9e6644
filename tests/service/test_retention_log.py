"""The transparency log on a real PostgreSQL: contiguous under concurrency, consistent, cheap to prove."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from idv import merkle, receipts
from idv.checkpoint import open_checkpoint
from idv.errors import IdvError
from idv.types.v1 import receipt_pb2
from sqlalchemy import event

from services.local.databases import ServiceDatabase
from services.retention.entries import Entry, entry
from services.retention.log import ForeignLogError, LogDamagedError, TransparencyLog
from services.retention.signing import LogSigner
from services.runtime.database import Database
from tests.retention_parts import ORIGIN, SIGNER, SIGNING_KEY, replica
from tests.set_clock import SetClock

NOWHERE = "127.0.0.1:1"


def entries(name: str, count: int) -> list[Entry]:
    kind = receipt_pb2.ENTRY_KIND_KEY_DESTRUCTION
    return [entry(kind, f"{name}/{number}", {"sequence": number}, public=True) for number in range(count)]


async def append(log: TransparencyLog, database: Database, made: list[Entry]) -> int:
    async with database.transaction() as connection:
        return (await log.append(connection, made)).leaves


async def all_heads(database: ServiceDatabase) -> list[tuple[int, bytes, str]]:
    connection = await asyncpg.connect(database.admin_dsn)
    try:
        rows = await connection.fetch("SELECT size, root, note FROM retention.log_checkpoints ORDER BY size")
    finally:
        await connection.close()
    return [tuple(row) for row in rows]


async def test_a_new_log_is_empty_and_signed(service_database: ServiceDatabase) -> None:
    async with replica(service_database, NOWHERE) as one:
        head = await one.log.head()
        assert (head.size, head.root) == (0, merkle.EMPTY_ROOT)
        assert open_checkpoint(head.note, SIGNER.keys)[0].size == 0


async def test_concurrent_appends_from_several_replicas_leave_one_contiguous_log(
    service_database: ServiceDatabase,
) -> None:
    async with (
        replica(service_database, NOWHERE) as one,
        replica(service_database, NOWHERE) as two,
        replica(service_database, NOWHERE) as three,
    ):
        replicas = (one, two, three)
        counts = await asyncio.gather(
            *(
                append(part.log, part.database, entries(f"{number}-{batch}", 1 + batch % 4))
                for number, part in enumerate(replicas)
                for batch in range(12)
            )
        )
        rows, size = await one.log.leaves(0, 1000)
        assert size == sum(counts) == len(rows)
        assert [row.leaf_index for row in rows] == list(range(size))
        hashes = [merkle.leaf_hash(row.leaf_data) for row in rows]
        for older, root, note in await all_heads(service_database):
            assert root == merkle.root(hashes[:older])
            assert open_checkpoint(note, SIGNER.keys)[0].root == root
            proof = await two.log.consistency_proof(older) if older else None
            if proof is not None:
                merkle.verify_consistency(older, size, root, merkle.root(hashes), proof.hashes)
        for index in range(size):
            inclusion = await three.log.inclusion_proof(index)
            merkle.verify_inclusion(index, size, hashes[index], inclusion.hashes, inclusion.root)


async def test_an_entry_is_logged_once_however_often_it_is_brought(service_database: ServiceDatabase) -> None:
    async with replica(service_database, NOWHERE) as one, replica(service_database, NOWHERE) as two:
        counts = await asyncio.gather(
            *(append(part.log, part.database, entries("same", 5)) for part in (one, two) for _ in range(4))
        )
        assert sum(counts) == 5
        assert (await one.log.head()).size == 5


async def test_a_transaction_that_fails_leaves_no_leaf_and_no_gap(service_database: ServiceDatabase) -> None:
    async with replica(service_database, NOWHERE) as one:

        async def fail() -> None:
            async with one.database.transaction() as connection:
                await one.log.append(connection, entries("lost", 3))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert await append(one.log, one.database, entries("kept", 2)) == 2
        rows, size = await one.log.leaves(0, 10)
        assert [(row.leaf_index, row.source) for row in rows] == [(0, "kept/0"), (1, "kept/1")]
        assert size == 2


async def test_a_proof_reads_few_rows_of_a_long_log(service_database: ServiceDatabase) -> None:
    async with replica(service_database, NOWHERE) as one:
        await append(one.log, one.database, entries("long", 3000))
        statements = 0

        def count(*_: object) -> None:
            nonlocal statements
            statements += 1

        event.listen(one.database.engine.sync_engine, "before_cursor_execute", count)
        proof = await one.log.inclusion_proof(1234)
        assert statements <= 2, "one read of the head and one of the nodes"
        assert len(proof.hashes) == 12


async def test_proofs_of_older_trees_are_those_trees_own(service_database: ServiceDatabase) -> None:
    async with replica(service_database, NOWHERE) as one:
        await append(one.log, one.database, entries("grow", 13))
        rows, _ = await one.log.leaves(0, 100)
        hashes = [merkle.leaf_hash(row.leaf_data) for row in rows]
        for size in range(1, 14):
            proof = await one.log.inclusion_proof(size // 2, size)
            assert (proof.size, proof.root) == (size, merkle.root(hashes[:size]))
            for older in range(1, size + 1):
                between = await one.log.consistency_proof(older, size)
                older_root, root = merkle.root(hashes[:older]), merkle.root(hashes[:size])
                merkle.verify_consistency(older, size, older_root, root, between.hashes)


@pytest.mark.parametrize(("index", "size"), [(3, None), (0, 4), (3, 3), (2, 2)])
async def test_what_lies_outside_of_the_log_is_refused(
    service_database: ServiceDatabase, index: int, size: int | None
) -> None:
    async with replica(service_database, NOWHERE) as one:
        await append(one.log, one.database, entries("few", 3))
        with pytest.raises(IdvError) as refusal:
            await one.log.inclusion_proof(index, size)
        assert refusal.value.reason_name == "INVALID_ARGUMENT"
        assert refusal.value.field in {"leaf_index", "tree_size"}
        with pytest.raises(IdvError):
            await one.log.consistency_proof(4)


@pytest.mark.parametrize("table", ["log_leaves", "log_nodes", "log_checkpoints"])
@pytest.mark.parametrize(
    "statement", ["DELETE FROM {}", "UPDATE {} SET {} = {}", "TRUNCATE {}", "DROP TABLE {}"]
)
async def test_the_login_of_the_running_service_cannot_change_what_was_logged(
    service_database: ServiceDatabase, table: str, statement: str
) -> None:
    column = {"log_leaves": "leaf_data", "log_nodes": "hash", "log_checkpoints": "note"}[table]
    connection = await asyncpg.connect(service_database.dsn)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement.format(f"retention.{table}", column, column))
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE retention.log_nodes SET hash = sha256('other') WHERE level = 2",
        "DELETE FROM retention.log_nodes WHERE level = 0",
        "UPDATE retention.log_checkpoints SET size = 8 WHERE size = 7",
    ],
)
async def test_a_log_that_was_tampered_with_in_the_database_is_not_signed_on(
    service_database: ServiceDatabase, damage: str
) -> None:
    async with replica(service_database, NOWHERE) as one:
        await append(one.log, one.database, entries("true", 7))
        connection = await asyncpg.connect(service_database.admin_dsn)
        try:
            await connection.execute(damage)
        finally:
            await connection.close()
        with pytest.raises(LogDamagedError):
            await append(one.log, one.database, entries("next", 1))


async def test_a_log_is_not_signed_on_with_another_key_or_name(service_database: ServiceDatabase) -> None:
    async with replica(service_database, NOWHERE):
        pass
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    for wrong in (LogSigner(ORIGIN, other), LogSigner("other.example/log", SIGNING_KEY)):
        with pytest.raises(ForeignLogError, match="former_keys"):
            async with replica(service_database, NOWHERE, signer=wrong):
                pass


async def test_after_a_change_of_the_key_old_and_new_checkpoints_verify(
    service_database: ServiceDatabase,
) -> None:
    async with replica(service_database, NOWHERE) as before, before.database.transaction() as connection:
        _, old_receipt = await before.log.append_with_receipt(connection, entries("old", 1)[0])
    renewed = LogSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)), SIGNER.keys)
    async with replica(service_database, NOWHERE, SetClock(), signer=renewed) as after:
        async with after.database.transaction() as connection:
            _, new_receipt = await after.log.append_with_receipt(connection, entries("new", 1)[0])
        published = after.log.verifier_keys
        assert receipts.verify(old_receipt, published).key == SIGNER.keys[0]
        assert receipts.verify(new_receipt, published).key == renewed.keys[0]
