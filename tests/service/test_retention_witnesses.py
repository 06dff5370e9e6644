"""Witnesses over real HTTP: they cosign what extends what they saw, and refuse a fork."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.web
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from idv import receipts
from idv.checkpoint import encode
from idv.cosignature import WitnessKey, cosignatures
from structlog.testing import capture_logs

from services.local.databases import DatabaseFactory, ServiceDatabase
from services.local.witness import Witness as RealWitness
from services.retention.signing import LogSigner
from services.retention.witnesses import Witness, Witnesses
from tests.retention_parts import ORIGIN, SIGNER, Retention, replica
from tests.service.test_retention_log import NOWHERE, append, entries
from tests.set_clock import SetClock


@asynccontextmanager
async def standing(folder: Path, name: str = "one", signer: LogSigner = SIGNER) -> AsyncIterator[RealWitness]:
    (folder / name).mkdir(exist_ok=True)
    async with RealWitness(folder / name, signer.keys, SetClock()) as witness:
        yield witness


def asking(
    part: Retention, *witnesses: RealWitness, quorum: int = 1, outcomes: Counter[str] | None = None
) -> Witnesses:
    counted: Counter[str] = Counter() if outcomes is None else outcomes
    asked = [Witness(one.url, one.key) for one in witnesses]
    return Witnesses(
        part.database,
        part.log,
        asked,
        quorum,
        structlog.get_logger(),
        lambda outcome: counted.update([outcome]),
    )


async def test_the_newest_checkpoint_is_cosigned_and_told_with_its_cosignature(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    async with replica(service_database, NOWHERE) as one, standing(tmp_path) as witness:
        witnesses = asking(one, witness)
        assert await witnesses.newest() is None
        for batch in range(3):
            await append(one.log, one.database, entries(f"batch-{batch}", 1 + 3 * batch))
            await witnesses.run()
            head = await witnesses.newest()
            assert head is not None
            assert head.size == (await one.log.head()).size
            (seen,) = cosignatures(head.note, [witness.key])
            assert seen.time == SetClock().time
            assert witness.seen(ORIGIN) is not None
        told = await witnesses.cosigned(await one.log.head())
        assert len(cosignatures(told.note, [witness.key])) == 1


async def test_a_receipt_under_a_witnessed_checkpoint_verifies_with_a_quorum(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    async with (
        replica(service_database, NOWHERE) as one,
        standing(tmp_path, "one") as first,
        standing(tmp_path, "two") as second,
    ):
        async with one.database.transaction() as connection:
            index, receipt = await one.log.append_with_receipt(connection, entries("kept", 1)[0])
        await append(one.log, one.database, entries("later", 4))
        witnesses = asking(one, first, second, quorum=2)
        await witnesses.run()
        head = await witnesses.newest()
        assert head is not None
        proof = await one.log.inclusion_proof(index, head.size)
        renewed = receipts.renew(receipt, proof.hashes, head.note)
        keys = (first.key, second.key)
        proven = receipts.verify(renewed, SIGNER.keys[0], witnesses=keys)
        assert {one.witness for one in proven.cosignatures} == set(keys)
        stranger = WitnessKey("stranger.example", bytes(32))
        with pytest.raises(receipts.ReceiptError) as refused:
            receipts.verify(renewed, SIGNER.keys[0], witnesses=[*keys, stranger])
        assert refused.value.fault is receipts.ReceiptFault.NOT_WITNESSED
        assert receipts.verify(renewed, SIGNER.keys[0], witnesses=[*keys, stranger], quorum=2)


async def test_a_quorum_waits_for_the_witness_that_is_away_and_the_log_does_not(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    outcomes: Counter[str] = Counter()
    async with replica(service_database, NOWHERE) as one, standing(tmp_path, "one") as first:
        async with standing(tmp_path, "two") as second:
            witnesses = asking(one, first, second, quorum=2, outcomes=outcomes)
            await append(one.log, one.database, entries("both", 2))
            await witnesses.run()
        await append(one.log, one.database, entries("away", 3))
        with capture_logs() as lines:
            await witnesses.run()
        assert [line["event"] for line in lines] == ["a witness is away"]
        assert (await one.log.head()).size == 5
        head = await witnesses.newest()
        assert head is not None
        assert head.size == 2, "one of two is no quorum"
        async with RealWitness(tmp_path / "two", SIGNER.keys, SetClock(), port=second.port):
            await witnesses.run()
        head = await witnesses.newest()
        assert head is not None
        assert head.size == 5
    assert outcomes == {"cosigned": 4, "away": 1}


async def test_a_fork_is_refused_and_told(
    service_database: ServiceDatabase, database_factory: DatabaseFactory, tmp_path: Path
) -> None:
    """Two databases signed with one key, as after a restore: the witness saw the first."""
    outcomes: Counter[str] = Counter()
    other = await database_factory("retention")
    async with (
        standing(tmp_path) as witness,
        replica(service_database, NOWHERE) as true,
        replica(other, NOWHERE) as forked,
    ):
        await append(true.log, true.database, entries("true", 5))
        await asking(true, witness, outcomes=outcomes).run()
        seen = witness.seen(ORIGIN)
        for grown, state in ((3, "it knows 5 leaves, this log has 3"), (2, "status 409"), (4, "status 422")):
            await append(forked.log, forked.database, entries(f"forked-{grown}", grown))
            with capture_logs() as lines:
                await asking(forked, witness, outcomes=outcomes).run()
            (line,) = lines
            assert (line["event"], line["log_level"]) == ("a witness refuses the log", "error")
            assert line["state"] == state
            assert await asking(forked, witness).newest() is None
        assert witness.seen(ORIGIN) == seen
        await append(true.log, true.database, entries("on", 1))
        await asking(true, witness, outcomes=outcomes).run()
    assert outcomes == {"cosigned": 2, "refused": 3}


async def test_a_witness_remembers_over_its_own_restart(
    service_database: ServiceDatabase, database_factory: DatabaseFactory, tmp_path: Path
) -> None:
    other = await database_factory("retention")
    async with standing(tmp_path) as witness, replica(service_database, NOWHERE) as true:
        await append(true.log, true.database, entries("true", 5))
        await asking(true, witness).run()
        key = witness.key
    async with standing(tmp_path) as again, replica(other, NOWHERE) as forked:
        assert again.key == key
        await append(forked.log, forked.database, entries("forked", 9))
        await asking(forked, again).run()
        assert await asking(forked, again).newest() is None


async def test_a_new_key_of_the_log_is_refused_until_the_witness_was_told_it(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    renewed = LogSigner(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)), SIGNER.keys)
    async with replica(service_database, NOWHERE) as before, standing(tmp_path) as witness:
        await append(before.log, before.database, entries("old", 2))
        await asking(before, witness).run()
        async with replica(service_database, NOWHERE, signer=renewed) as after:
            await append(after.log, after.database, entries("new", 2))
            with capture_logs() as lines:
                await asking(after, witness).run()
            assert [line["state"] for line in lines] == ["status 403"]
            witness.logs = renewed.keys
            await asking(after, witness).run()
            head = await asking(after, witness).newest()
            assert head is not None
            assert head.size == 4


async def test_each_bad_submission_has_the_status_that_the_protocol_names(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    other = LogSigner("other.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    async with (
        standing(tmp_path) as witness,
        replica(service_database, NOWHERE) as one,
        aiohttp.ClientSession() as session,
    ):
        await append(one.log, one.database, entries("true", 5))
        await asking(one, witness).run()
        await append(one.log, one.database, entries("more", 3))
        note = (await one.log.head()).note
        proof = "".join(f"{encode(part)}\n" for part in (await one.log.consistency_proof(5)).hashes)
        foreign = other.sign(8, bytes(32))

        async def status(body: str) -> int:
            async with session.post(f"{witness.url}/add-checkpoint", data=body.encode()) as answer:
                if answer.status == 409:
                    assert answer.content_type == "text/x.tlog.size"
                    assert await answer.text() == "5\n"
                return answer.status

        assert await status(f"old 5\n{proof}\n{foreign}") == 404
        assert await status(f"old 5\n{proof}\n{foreign.replace('other.example', 'idv.example')}") == 403
        assert await status(f"old 9\n{proof}\n{note}") == 400
        assert await status(f"old 05\n{proof}\n{note}") == 400
        assert await status("no submission") == 400
        assert await status(f"old 4\n{proof}\n{note}") == 409
        assert await status(f"old 5\n\n{note}") == 422
        assert await status("x" * (1 << 18)) == 413
        assert await status(f"old 5\n{proof}\n{note}") == 200
        async with session.get(f"{witness.url}/add-checkpoint") as answer:
            assert answer.status == 405


@pytest.mark.parametrize(
    ("status", "body", "event"),
    [
        (500, b"", "a witness is away"),
        (302, b"", "a witness refuses the log"),
        (200, b"", "a witness refuses the log"),
        (200, b"\xff" * 200_000, "a witness refuses the log"),
        (200, "— witness.example AAAA\n".encode(), "a witness refuses the log"),
        (409, b"none", "a witness refuses the log"),
    ],
)
async def test_an_answer_that_is_no_cosignature_is_kept_nowhere(
    service_database: ServiceDatabase, status: int, body: bytes, event: str
) -> None:
    async def answer(request: aiohttp.web.BaseRequest) -> aiohttp.web.Response:
        return aiohttp.web.Response(status=status, body=body, headers={"Location": "http://127.0.0.1:1/"})

    async with replica(service_database, NOWHERE) as one, listening(answer) as url:
        await append(one.log, one.database, entries("true", 2))
        asked = [Witness(url, WitnessKey("witness.example", bytes(32)))]
        witnesses = Witnesses(one.database, one.log, asked, 1, structlog.get_logger())
        with capture_logs() as lines:
            await witnesses.run()
        assert [line["event"] for line in lines] == [event]
        assert await witnesses.newest() is None


@asynccontextmanager
async def listening(answer: Any) -> AsyncIterator[str]:
    runner = aiohttp.web.ServerRunner(aiohttp.web.Server(answer))
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
