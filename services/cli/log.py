"""`idv log`: reads the transparency log and verifies its proofs with its public key."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from idv import checkpoint as notes
from idv import merkle
from idv.cosignature import WitnessKey, cosignatures
from idv.retention.v1 import log_pb2
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceStub
from idv.types.v1 import receipt_pb2
from rich.text import Text

from services.cli.client import CALL_SECONDS, NOBODY, Suite
from services.cli.command import READY_FILE, Connect, Json, command, group
from services.cli.failure import NotAsPromisedError, usage
from services.cli.messages import name_of, plain, shown_time
from services.cli.output import Output, facts_table, hint, rows_table
from services.cli.records import counted
from services.local.ready import Ready

if TYPE_CHECKING:
    from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceAsyncStub

app = group("Read the transparency log and verify its proofs. It holds salted hashes: anyone may read it.")

_USES = {
    log_pb2.LOG_KEY_USE_SIGNS: "signs",
    log_pb2.LOG_KEY_USE_SIGNS_TOO: "signs too",
    log_pb2.LOG_KEY_USE_FORMER: "signed before",
}
_KINDS = receipt_pb2.EntryKind.DESCRIPTOR


@command(
    app,
    "checkpoint",
    [
        ("The newest signed head", "idv log checkpoint"),
        ("Keep it, to compare later", "idv log checkpoint --save monday.checkpoint"),
        ("The newest that witnesses cosigned", "idv log checkpoint --witnessed"),
    ],
)
async def checkpoint(
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Keep the signed note here.")
    ] = None,
    witnessed: Annotated[
        bool, typer.Option("--witnessed", help="Only one that enough witnesses cosigned.")
    ] = False,
    connect: Connect = READY_FILE,
    as_json: Json = False,
) -> None:
    """Fetch the newest checkpoint and check its signature, and its witnesses'."""
    async with Suite(Ready.read(connect)) as suite:
        asked = log_pb2.GetCheckpointRequest(witnessed=witnessed)
        answer = await _log(suite).GetCheckpoint(asked, timeout=CALL_SECONDS)
        note = answer.checkpoint
    head = opened(note.note, suite.ready.log_public_key)
    if save:
        save.write_text(note.note)
        hint(f"kept in {save}: `idv log verify {save}` shows later that nothing was taken back")
    facts = {
        "log": head.origin,
        "leaves": str(head.size),
        "root": head.root.hex(),
        "signed": shown_time(note.sign_time),
        "cosigned": _cosigned(note.note, answer.witness_keys),
    }
    Output(as_json).answer(plain(note), _seal("signed by the log's key"), facts_table(facts))


@command(
    app,
    "list",
    [
        ("The newest entries", "idv log list"),
        ("From the beginning", "idv log list --start 0 --limit 1000 --json"),
    ],
)
async def list_entries(
    start: Annotated[int | None, typer.Option(min=0, help="From this leaf on. Default: the newest.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 20,
    connect: Connect = READY_FILE,
    as_json: Json = False,
) -> None:
    """List entries: what each stands for, and its salted hash."""
    async with Suite(Ready.read(connect)) as suite:
        begin = start if start is not None else max(0, (await newest(suite)).tree_size - limit)
        request = log_pb2.ListLogEntriesRequest(start_index=begin, page_size=limit)
        answer = await _log(suite).ListLogEntries(request, timeout=CALL_SECONDS)
    rows = [
        (
            str(entry.index),
            name_of(_KINDS, entry.kind),
            shown_time(entry.append_time),
            entry.leaf_data.hex()[:24] + "…",
        )
        for entry in answer.entries
    ]
    table = rows_table(("Leaf", "Stands for", "Appended", "Salted hash"), rows)
    Output(as_json).answer(
        plain(answer), table, Text(f"{counted(answer.tree_size, 'leaf', 'leaves')} in all", "dim")
    )


@command(app, "proof", [("Is leaf 12 in the log?", "idv log proof 12")])
async def proof(
    leaf: Annotated[int, typer.Argument(min=0, help="Index of the leaf.")],
    connect: Connect = READY_FILE,
    as_json: Json = False,
) -> None:
    """Fetch the proof that a leaf is in the log, and verify it here against the signed head."""
    async with Suite(Ready.read(connect)) as suite:
        entry, answer, note = await proven(suite, leaf)
    facts = {
        "leaf": f"{leaf} of {answer.tree_size}",
        "stands for": name_of(_KINDS, entry.kind),
        "appended": shown_time(entry.append_time),
        "proof": counted(len(answer.hashes), "hash", "hashes"),
        "root": answer.root_hash.hex(),
    }
    value = {"entry": plain(entry), "proof": plain(answer), "checkpoint": note.note, "verified": True}
    Output(as_json).answer(value, _seal("the leaf is under the signed root"), facts_table(facts))


@command(
    app,
    "verify",
    [("Was anything taken back since Monday?", "idv log verify monday.checkpoint")],
)
async def verify(
    earlier: Annotated[Path, typer.Argument(help="A checkpoint kept with `idv log checkpoint --save`.")],
    connect: Connect = READY_FILE,
    as_json: Json = False,
) -> None:
    """Verify that the log of an earlier checkpoint is the beginning of today's.

    Exit code 4 when it is not.
    """
    async with Suite(Ready.read(connect)) as suite:
        key = suite.ready.log_public_key
        old, new = opened(earlier.read_text(), key), opened((await newest(suite)).note, key)
        if old.size > new.size:
            raise NotAsPromisedError(
                f"the log had {old.size} leaves then and {new.size} now: leaves were taken back"
            )
        request = log_pb2.GetConsistencyProofRequest(first_size=max(old.size, 1), second_size=new.size)
        answer = await _log(suite).GetConsistencyProof(request, timeout=CALL_SECONDS) if new.size else None
    hashes = list(answer.hashes) if answer and old.size else []
    try:
        merkle.verify_consistency(old.size, new.size, old.root, new.root, hashes)
    except merkle.ProofError as error:
        raise NotAsPromisedError(f"the log does not continue the one of {earlier}: {error}") from error
    facts = {
        "then": counted(old.size, "leaf", "leaves"),
        "now": counted(new.size, "leaf", "leaves"),
        "proof": counted(len(hashes), "hash", "hashes"),
    }
    value = {
        "verified": True,
        "first_size": old.size,
        "second_size": new.size,
        "hashes": [h.hex() for h in hashes],
    }
    Output(as_json).answer(value, _seal("nothing was taken back or changed"), facts_table(facts))


@command(app, "keys", [("Which keys are the log's, and which signs?", "idv log keys")])
async def keys(connect: Connect = READY_FILE, as_json: Json = False) -> None:
    """Show the log's public keys, each with its use, and those of the witnesses it asks.

    To verify with, take keys from a place you trust and compare: the log itself cannot vouch for them.
    """
    async with Suite(Ready.read(connect)) as suite:
        answer = await _log(suite).GetCheckpoint(log_pb2.GetCheckpointRequest(), timeout=CALL_SECONDS)
    rows = [(_USES.get(key.use, str(key.use)), key.verifier_key) for key in answer.keys]
    rows += [("witness", key) for key in answer.witness_keys]
    value = {"keys": [plain(key) for key in answer.keys], "witness_keys": list(answer.witness_keys)}
    Output(as_json).answer(value, rows_table(("Use", "Public key"), rows))


async def newest(suite: Suite) -> receipt_pb2.Checkpoint:
    """The newest checkpoint, unchecked."""
    answer = await _log(suite).GetCheckpoint(log_pb2.GetCheckpointRequest(), timeout=CALL_SECONDS)
    return answer.checkpoint


async def proven(
    suite: Suite, leaf: int
) -> tuple[receipt_pb2.LogEntry, log_pb2.GetInclusionProofResponse, receipt_pb2.Checkpoint]:
    """A leaf's entry, its inclusion proof and the checkpoint, verified. Raises NotAsPromisedError."""
    note = await newest(suite)
    head = opened(note.note, suite.ready.log_public_key)
    if leaf >= head.size:
        raise usage(f"the log has {head.size} leaves, and the first is 0", "name a leaf that exists")
    listed = log_pb2.ListLogEntriesRequest(start_index=leaf, page_size=1)
    entries = await _log(suite).ListLogEntries(listed, timeout=CALL_SECONDS)
    request = log_pb2.GetInclusionProofRequest(leaf_index=leaf, tree_size=head.size)
    answer = await _log(suite).GetInclusionProof(request, timeout=CALL_SECONDS)
    entry = entries.entries[0]
    try:
        merkle.verify_inclusion(
            leaf, head.size, merkle.leaf_hash(entry.leaf_data), list(answer.hashes), head.root
        )
    except merkle.ProofError as error:
        raise NotAsPromisedError(f"leaf {leaf} is not shown to be in the log: {error}") from error
    return entry, answer, note


def opened(note: str, key: str) -> notes.Checkpoint:
    """The checkpoint in a signed note. Raises NotAsPromisedError unless the log's key signed it."""
    keys = [notes.VerifierKey.parse(line) for line in key.splitlines() if line.strip()]
    try:
        return notes.open_checkpoint(note, keys)[0]
    except notes.NoteError as error:
        raise NotAsPromisedError(f"the checkpoint cannot be trusted: {error}") from error


def _cosigned(note: str, keys: Iterable[str]) -> str | None:
    """Who cosigned the checkpoint, and when, by the keys that the log names. Raises NotAsPromisedError."""
    try:
        found = cosignatures(note, map(WitnessKey.parse, keys))
    except notes.NoteError as error:
        raise NotAsPromisedError(f"a witness did not sign what it should have signed: {error}") from error
    return "\n".join(f"{one.witness.name}, {one.time:%Y-%m-%dT%H:%M:%SZ}" for one in found) or None


def _log(suite: Suite) -> TransparencyLogServiceAsyncStub:
    return suite.stub(TransparencyLogServiceStub, "retention", NOBODY)


def _seal(what: str) -> Text:
    return Text.assemble(("✓ verified ", "bold green"), what)
