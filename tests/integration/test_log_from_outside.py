"""The log on the running suite as outsiders use it: witnessed receipts, files, the day's statement."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp
from idv import merkle, receipts
from idv.checkpoint import VerifierKey, open_checkpoint
from idv.cosignature import cosignatures
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2, log_pb2
from idv.retention.v1.deletions_pb2 import DeletionTarget
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceStub

from services.local.describe import describe
from services.local.stack import LocalStack
from tests.integration.callers import NOBODY, Callers
from tests.integration.verification import Verification
from tests.waiting import until


async def idv(*arguments: str) -> Any:
    """What the command answers, from a process of its own: it has a loop, and signals, of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services", *arguments, "--json"), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return json.loads(out)


async def witnessed(callers: Callers, name: str) -> deletions_pb2.Deletion:
    """The deletion, once its receipt is witnessed."""
    stub = callers.stub(DeletionServiceStub, "retention", callers.customer("acme"))

    async def look() -> deletions_pb2.Deletion | None:
        answer = await stub.GetDeletion(deletions_pb2.GetDeletionRequest(name=name))
        return answer.deletion if answer.deletion.receipt.witnessed_json else None

    return await until("the receipt is witnessed", look)


async def test_a_deletions_receipt_is_witnessed_soon_and_itself_stays_as_it_was(
    stack: LocalStack, callers: Callers, verification: Verification, tmp_path: Path
) -> None:
    await verification.open("acme", "witnessed")
    first = await verification.delete("acme", DeletionTarget(subject="witnessed"))
    told = await witnessed(callers, first.name)
    assert told.receipt.json == first.receipt.json
    log, witness = stack.log_public_key, stack.witness.key
    proven = receipts.verify(told.receipt.witnessed_json, log, witnesses=[witness])
    assert proven.entry == receipts.verify(first.receipt.json, log).entry
    assert [one.witness for one in proven.cosignatures] == [witness]
    seen = stack.witness.seen(proven.checkpoint.origin)
    assert seen is not None
    assert seen.size >= proven.checkpoint.size

    describe(stack).write(tmp_path / "ready.json")
    (tmp_path / "receipt.json").write_text(first.receipt.json)
    asked = ("receipt", "witness", str(tmp_path / "receipt.json"), "--connect", str(tmp_path / "ready.json"))
    await idv(*asked)
    renewed = (tmp_path / "receipt.witnessed.json").read_text()
    assert receipts.verify(renewed, log, witnesses=[witness]).entry == proven.entry


async def test_the_files_are_those_of_the_log_that_the_contract_tells(
    stack: LocalStack, callers: Callers
) -> None:
    stub = callers.stub(TransparencyLogServiceStub, "retention", NOBODY)
    async with aiohttp.ClientSession(stack.log_files) as session:
        async with session.get("checkpoint") as answer:
            head, _ = open_checkpoint(await answer.text(), [VerifierKey.parse(stack.log_public_key)])
        entries = (await stub.ListLogEntries(log_pb2.ListLogEntriesRequest(page_size=1))).entries
        suffix = "" if head.size >= 256 else f".p/{head.size}"
        async with session.get(f"tile/0/000{suffix}") as answer:
            assert (await answer.read())[:32] == merkle.leaf_hash(entries[0].leaf_data)


async def test_today_has_one_statement_that_holds_and_everybody_can_verify(
    stack: LocalStack, callers: Callers, tmp_path: Path
) -> None:
    stub = callers.stub(TransparencyLogServiceStub, "retention", NOBODY)

    async def look() -> log_pb2.Statement | None:
        try:
            return (await stub.GetStatement(log_pb2.GetStatementRequest())).statement
        except IdvError:
            return None

    statement = await until("a statement is made", look)
    entry = receipts.verify(statement.json, stack.log_public_key).entry
    assert entry["nothing_past_term_readable"] == "yes"
    assert entry["day"] == statement.day
    ready, kept = tmp_path / "ready.json", tmp_path / "statement.json"
    describe(stack).write(ready)
    await idv("statement", "show", statement.day, "--save", str(kept), "--connect", str(ready))
    ended = await idv("statement", "verify", str(kept), "--key", stack.log_public_key)
    assert ended["statement"] == json.loads(statement.json)["opening"]["entry"]
    listed = await idv("statement", "list", "--connect", str(ready))
    assert statement.day in [one["day"] for one in listed["statements"]]


async def test_checkpoint_and_keys_are_shown_with_the_witness(
    stack: LocalStack, callers: Callers, verification: Verification, tmp_path: Path
) -> None:
    await verification.open("acme", "shown")
    deletion = await verification.delete("acme", DeletionTarget(subject="shown"))
    await witnessed(callers, deletion.name)
    ready = tmp_path / "ready.json"
    describe(stack).write(ready)
    head = await idv("log", "checkpoint", "--witnessed", "--connect", str(ready))
    assert cosignatures(head["note"], [stack.witness.key])
    keys = await idv("log", "keys", "--connect", str(ready))
    assert [key["verifier_key"] for key in keys["keys"]] == [stack.log_public_key]
    assert keys["witness_keys"] == [str(stack.witness.key)]
