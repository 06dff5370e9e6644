"""The log over changes of its key, and over replicas that are killed while they append."""

from __future__ import annotations

import asyncio
import sys

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from idv import merkle, receipts
from idv.checkpoint import open_checkpoint
from idv.retention.v1 import log_pb2

from services.local.databases import ServiceDatabase
from services.retention.log_api import TransparencyLogApi
from services.retention.signing import LogSigner
from tests.documents import ROOT
from tests.retention_parts import ORIGIN, SIGNER, SIGNING_KEY, Retention, replica
from tests.service.test_retention_log import NOWHERE, all_heads, append, entries
from tests.service.test_retention_statements import CountingStorage, statements
from tests.service.test_retention_witnesses import asking

NEW_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ANNOUNCED = LogSigner(ORIGIN, SIGNING_KEY, also=[NEW_KEY])
SWAPPED = LogSigner(ORIGIN, NEW_KEY, also=[SIGNING_KEY])
RENEWED = LogSigner(ORIGIN, NEW_KEY, SIGNER.keys)


async def receipt(part: Retention, name: str) -> str:
    async with part.database.transaction() as connection:
        return (await part.log.append_with_receipt(connection, entries(name, 1)[0]))[1]


async def test_at_each_step_of_a_change_of_keys_who_knows_the_old_or_the_new_key_verifies(
    service_database: ServiceDatabase,
) -> None:
    """The steps of docs/operations.md, and at each one replicas of the step before still append."""
    old, new = SIGNER.signing[0], RENEWED.signing[0]
    made: dict[str, str] = {}
    steps = {"before": SIGNER, "announced": ANNOUNCED, "swapped": SWAPPED, "renewed": RENEWED}
    previous = SIGNER
    for step, signer in steps.items():
        async with (
            replica(service_database, NOWHERE, signer=previous) as late,
            replica(service_database, NOWHERE, signer=signer) as early,
        ):
            for turn in range(3):
                made[f"{step}-{turn}"] = await receipt(early, f"{step}-{turn}")
                await append(late.log, late.database, entries(f"{step}-late-{turn}", 2))
        previous = signer
    for name, text in made.items():
        step = name.split("-")[0]
        expected = {"before": {old}, "announced": {old, new}, "swapped": {old, new}, "renewed": {new}}[step]
        for key in (old, new):
            if key in expected:
                assert receipts.verify(text, key).key == key
        assert receipts.verify(text, RENEWED.published()), "with what is published in the end, all verify"


async def test_the_keys_are_told_each_with_its_use(service_database: ServiceDatabase) -> None:
    uses = log_pb2.LOG_KEY_USE_SIGNS, log_pb2.LOG_KEY_USE_SIGNS_TOO, log_pb2.LOG_KEY_USE_FORMER
    for signer, expected in ((SIGNER, [0]), (ANNOUNCED, [0, 1]), (SWAPPED, [0, 1]), (RENEWED, [0, 2])):
        async with replica(service_database, NOWHERE, signer=signer) as one:
            api = TransparencyLogApi(one.log, asking(one), statements(one, CountingStorage()))
            answer = await api.GetCheckpoint(log_pb2.GetCheckpointRequest(), None)
        assert [key.use for key in answer.keys] == [uses[place] for place in expected]
        assert [key.verifier_key for key in answer.keys] == answer.verifier_key.splitlines()
        assert answer.keys[0].verifier_key == str(signer.signing[0])


async def _appender(database: ServiceDatabase, name: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.log_appender", database.dsn, name),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )


async def test_replicas_killed_while_they_append_leave_one_contiguous_log(
    service_database: ServiceDatabase,
) -> None:
    """Three at a time, nine in all, each kill -9'd in the middle of its work."""
    acknowledged: set[tuple[str, int]] = set()

    async def run(name: str, batches: int) -> None:
        process = await _appender(service_database, name)
        assert process.stdout is not None
        for _ in range(batches):
            acknowledged.add((name, int(await process.stdout.readline())))
        process.kill()
        rest = await process.stdout.read()  # what it told before the signal came
        acknowledged.update((name, int(line)) for line in rest.split(b"\n")[:-1])
        await process.wait()

    async def one_after_the_other(replica: int) -> None:
        for life in range(3):
            await run(f"{replica}-{life}", 5 + 7 * replica + 3 * life)

    await asyncio.gather(*map(one_after_the_other, range(3)))
    async with replica(service_database, NOWHERE) as one:
        head = await one.log.head()
        admin = await asyncpg.connect(service_database.admin_dsn)
        try:
            leaves = await admin.fetch(
                "SELECT leaf_index, leaf_data, source FROM retention.log_leaves ORDER BY 1"
            )
        finally:
            await admin.close()
        assert [row["leaf_index"] for row in leaves] == list(range(head.size))
        logged = {row["source"] for row in leaves}
        for name, batch in acknowledged:
            assert {f"{name}/{batch}/{place}" for place in range(1 + batch % 3)} <= logged
        batches = {tuple(source.split("/")[:2]) for source in logged}
        assert len(batches - {(name, str(batch)) for name, batch in acknowledged}) <= 9, "one a kill at most"
        hashes = [merkle.leaf_hash(row["leaf_data"]) for row in leaves]
        for size, root, note in await all_heads(service_database):
            assert root == merkle.root(hashes[:size])
            assert open_checkpoint(note, SIGNER.keys)[0].root == root
        assert await append(one.log, one.database, entries("after", 2)) == 2
