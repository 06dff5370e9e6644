"""Chapter: what outsiders need not take on trust. A witness, the daily statement, a page to print."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import aiohttp
from idv import receipts
from idv.checkpoint import open_checkpoint
from idv.receipts import VerifiedReceipt
from idv.retention.v1 import log_pb2
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceStub
from idv.types.v1 import receipt_pb2

from services.cli.certificate import Language, certificate
from services.cli.client import CALL_SECONDS, NOBODY
from services.cli.demo.stage import Chapter, Stage, Step, eventually, promised
from services.cli.records import counted
from services.retention.signing import LogSigner

if TYPE_CHECKING:
    from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceAsyncStub

_WITNESSED = "receipt.witnessed.json"


async def witnessed(stage: Stage) -> str:
    """The receipt under a checkpoint that a witness cosigned: verified with the keys of both."""
    leaf = receipts.leaf_index(_receipt(stage))

    async def look() -> receipt_pb2.Checkpoint | None:
        asked = log_pb2.GetCheckpointRequest(witnessed=True)
        found = (await _log(stage).GetCheckpoint(asked, timeout=CALL_SECONDS)).checkpoint
        return found if found.tree_size > leaf else None

    head = await eventually(look, "no checkpoint with the receipt's leaf is cosigned")
    request = log_pb2.GetInclusionProofRequest(leaf_index=leaf, tree_size=head.tree_size)
    proof = await _log(stage).GetInclusionProof(request, timeout=CALL_SECONDS)
    (stage.folder / _WITNESSED).write_text(receipts.renew(_receipt(stage), proof.hashes, head.note))
    proven = _proven(stage)
    by = ", ".join(cosignature.witness.name for cosignature in proven.cosignatures)
    return f"leaf {leaf} of {proven.checkpoint.size}, cosigned by {by}"


async def fork_refused(stage: Stage) -> str:
    """Even who holds the log's key gets no cosignature for another history of the same size."""
    size, origin = _proven(stage).checkpoint.size, _proven(stage).checkpoint.origin
    signer = LogSigner.load(origin, stage.stack.layout.keys / "log.pem")
    forged = signer.sign(size, hashlib.sha256(b"another history").digest())
    open_checkpoint(forged, signer.keys)  # its signature is good: only the history is another
    address = f"{stage.stack.witness.url}/add-checkpoint"
    async with (
        aiohttp.ClientSession() as session,
        session.post(address, data=f"old {size}\n\n{forged}".encode()) as answer,
    ):
        promised(answer.status == 409, f"the witness answers {answer.status}")
    return f"another root of {size} leaves, under the log's own signature: refused with 409"


async def stated(stage: Stage) -> str:
    """The statement of the day says that nothing past its term can be read, and what was tried."""
    today = stage.stack.clock.now().date().isoformat()

    async def look() -> log_pb2.Statement | None:
        request = log_pb2.ListStatementsRequest(page_size=1)
        found = (await _log(stage).ListStatements(request, timeout=CALL_SECONDS)).statements
        return found[0] if found and found[0].day >= today else None

    statement = await eventually(look, f"there is no statement of {today}")
    (stage.folder / "statement.json").write_text(statement.json)
    proven = receipts.verify(statement.json, stage.stack.log_public_key)
    promised(proven.kind == "statement", f"its document is of a {proven.kind}")
    promised(
        proven.entry["nothing_past_term_readable"] == "yes",
        "something past its term can be read",
    )
    deletions = counted(proven.entry["deletion_count"], "deletion")
    return (
        f"{statement.day}: {proven.entry['readable_count']} readable, {deletions}; "
        f"leaf {proven.leaf_index}, verified offline"
    )


async def printed(stage: Stage) -> str:
    """A certificate of the deletion for people, in both languages, made from the verified receipt alone."""
    proven, text = _proven(stage), (stage.folder / _WITNESSED).read_text()
    files = []
    for language in Language:
        file = stage.folder / f"certificate.{language.value}.html"
        file.write_text(certificate(text, proven, language), encoding="utf-8")
        promised(stage.person("A").canary not in file.read_text(), "the certificate holds personal data")
        files.append(f"{file.name} ({file.stat().st_size:,} bytes)")
    return ", ".join(files)


def _receipt(stage: Stage) -> str:
    return stage.deletion.receipt.json


def _proven(stage: Stage) -> VerifiedReceipt:
    text, witness = (stage.folder / _WITNESSED).read_text(), str(stage.stack.witness.key)
    return receipts.verify(text, stage.stack.log_public_key, witnesses=witness)


def _log(stage: Stage) -> TransparencyLogServiceAsyncStub:
    return stage.suite.stub(TransparencyLogServiceStub, "retention", NOBODY)


CHAPTER = Chapter(
    "Nothing to take on trust",
    "A log could show different histories to different people. A witness that saw one cosigns no other; and "
    "each day the suite signs what it holds, and what it could still read.",
    (
        Step("P9", "A witness vouches for the receipt's log", witnessed),
        Step("P9", "The witness refuses a fork", fork_refused),
        Step("P9", "The day's statement is signed", stated),
        Step("P9", "A certificate to print", printed),
    ),
)
