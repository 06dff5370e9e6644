"""`idv receipt`: verifies and shows receipts offline, with nothing but the log's public key."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from idv import receipts
from idv.retention.v1 import log_pb2
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceStub
from rich.text import Text

from services.cli import deleted, verifying
from services.cli.certificate import Language, certificate
from services.cli.client import CALL_SECONDS, NOBODY, Suite
from services.cli.command import READY_FILE, Connect, Json, command, group
from services.cli.failure import usage
from services.cli.messages import flat
from services.cli.output import Output, facts_table, hint
from services.cli.verifying import Key, KeyFile, OpeningFile, Quorum, WitnessFile, WitnessKeys
from services.local.ready import Ready

if TYPE_CHECKING:
    from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceAsyncStub

app = group("Verify a deletion's receipt offline, with nothing but the file and the log's public key.")

ReceiptFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The receipt file; `-` reads standard input.")
]
_Names = list[str] | None
_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


@command(
    app,
    "verify",
    [
        ("With the key in a file", "idv receipt verify receipt.json --key-file log.pub"),
        ("Cosigned by two of the witnesses you trust", "idv receipt verify receipt.json --key-file log.pub "
         "--witness-file witnesses.pub --quorum 2"),
        ("Was it really this subject that was deleted?", "idv receipt verify receipt.json --key-file log.pub "
         "--request-id 0b7c… --subject user-17"),
    ],
)  # fmt: skip
def verify(
    file: ReceiptFile,
    key: Key = None,
    key_file: KeyFile = None,
    opening: OpeningFile = None,
    witness: WitnessKeys = None,
    witness_file: WitnessFile = None,
    quorum: Quorum = None,
    request_id: Annotated[
        str | None,
        typer.Option(
            "--request-id", metavar="UUID", help="With one of the next: was it this that was deleted?"
        ),
    ] = None,
    subject: Annotated[_Names, typer.Option(help="A subject; like the next three, repeatable.")] = None,
    session: Annotated[_Names, typer.Option(help="A session, by name.")] = None,
    record: Annotated[_Names, typer.Option(help="A record, by name.")] = None,
    category: Annotated[_Names, typer.Option(help="A category, such as `face_image`.")] = None,
    start: Annotated[
        datetime | None,
        typer.Option("--from", formats=_TIMES, help="Received from here on, in UTC."),
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--until", formats=_TIMES, help="Up to here, in UTC.")
    ] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All that the Customer had.")] = False,
    as_json: Json = False,
) -> None:
    """Check that the log with this key holds the deletion that the receipt speaks of.

    Exit code 1 when it does not.
    """
    witnesses = verifying.witnesses_of(witness, witness_file, quorum)
    keys = verifying.keys_of(key, key_file)
    proven = verifying.verified(verifying.read(file), keys, opening, witnesses, quorum)
    named = deleted.Deleted(
        *(record or [], session or [], subject or [], category or []),
        *(start, end, everything),
    )
    confirmed = deleted.check(proven, request_id, named)
    facts = {
        "verified": True,
        "log": proven.key.name,
        "leaf_index": proven.leaf_index,
        "tree_size": proven.checkpoint.size,
        "entry": dict(proven.entry),
        "target_confirmed": confirmed is not None,
        "cosigned": {str(one.witness): one.time.isoformat() for one in proven.cosignatures},
    }
    seal = Text.assemble(
        ("✓ verified ", "bold green"), "offline: the log holds this entry, signed by its key"
    )
    Output(as_json).answer(facts, seal, facts_table(told(proven, confirmed)))


def told(proven: receipts.VerifiedReceipt, confirmed: str | None = None) -> dict[str, str | None]:
    """What a verified receipt says, for people."""
    return {
        "log": proven.key.name,
        "leaf": f"{proven.leaf_index} of {proven.checkpoint.size}",
        "cosigned": "\n".join(
            f"{one.witness.name}, {one.time:%Y-%m-%dT%H:%M:%SZ}" for one in proven.cosignatures
        )
        or None,
        **flat({"kind": proven.kind, **proven.entry}),
        "target": f"the {confirmed} you named" if confirmed else None,
    }


@command(app, "show", [("Read a receipt without checking it", "idv receipt show receipt.json")])
def show(file: ReceiptFile, as_json: Json = False) -> None:
    """Show what a receipt says, unchecked."""
    try:
        document: Any = json.loads(verifying.read(file))
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise usage(f"{file} is no receipt", "name a file that `idv delete` or the service gave out")
    opening = document.get("opening")
    entry = opening.get("entry") if isinstance(opening, dict) else None
    checkpoint = str(document.get("checkpoint", "")).split("\n")
    people = {
        "format": str(document.get("format")),
        "leaf": str(document.get("leaf_index")),
        "log": checkpoint[0],
        **(flat(entry) if isinstance(entry, dict) else {"entry": "not in this copy"}),
    }
    unchecked = Text("not verified: use `idv receipt verify`", "yellow")
    Output(as_json).answer(document, facts_table(people), unchecked)


@command(
    app,
    "witness",
    [("Put it under a checkpoint that witnesses cosigned", "idv receipt witness receipt.json")],
)
async def witness(
    file: ReceiptFile,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: FILE with .witnessed.json.")
    ] = None,
    connect: Connect = READY_FILE,
    as_json: Json = False,
) -> None:
    """Fetch the proof of the receipt's leaf under the newest witnessed checkpoint: as a receipt again.

    The log is asked for its public part alone; what the receipt is of is not told.
    """
    text = verifying.read(file).decode()
    async with Suite(Ready.read(connect)) as suite:
        log: TransparencyLogServiceAsyncStub = suite.stub(TransparencyLogServiceStub, "retention", NOBODY)
        asked = log_pb2.GetCheckpointRequest(witnessed=True)
        head = (await log.GetCheckpoint(asked, timeout=CALL_SECONDS)).checkpoint
        index = _index(text)
        if index >= head.tree_size:
            raise usage(f"no checkpoint with leaf {index} is witnessed yet", "try again in a minute")
        request = log_pb2.GetInclusionProofRequest(leaf_index=index, tree_size=head.tree_size)
        proof = await log.GetInclusionProof(request, timeout=CALL_SECONDS)
        key, by = suite.ready.log_public_key, suite.ready.witness_key
    renewed = receipts.renew(text, proof.hashes, head.note)
    target = out or _beside(file, ".witnessed.json")
    target.write_text(renewed)
    Output(as_json).answer(
        {"receipt_file": str(target), "leaf_index": index, "tree_size": head.tree_size},
        facts_table({"receipt": str(target), "leaf": f"{index} of {head.tree_size}"}),
    )
    hint(f"verify it anywhere: idv receipt verify {target} --key '{key.splitlines()[0]}' --witness '{by}'")


@command(
    app,
    "certificate",
    [
        ("To print or to attach to a file", "idv receipt certificate receipt.json --key-file log.pub"),
        ("In Chinese", "idv receipt certificate receipt.json --key-file log.pub --language zh -o r.html"),
    ],
)
def print_certificate(
    file: ReceiptFile,
    key: Key = None,
    key_file: KeyFile = None,
    opening: OpeningFile = None,
    witness: WitnessKeys = None,
    witness_file: WitnessFile = None,
    quorum: Quorum = None,
    language: Annotated[Language, typer.Option(help="Of the certificate.")] = Language.ENGLISH,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: FILE with .html.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify a receipt offline, and write it as a page to print: one HTML file that needs nothing else."""
    text = verifying.read(file)
    witnesses = verifying.witnesses_of(witness, witness_file, quorum)
    proven = verifying.verified(text, verifying.keys_of(key, key_file), opening, witnesses, quorum)
    target = out or _beside(file, ".html")
    target.write_text(certificate(text.decode(), proven, language), encoding="utf-8")
    Output(as_json).answer(
        {"certificate_file": str(target), "verified": True},
        facts_table({"certificate": str(target), "leaf": f"{proven.leaf_index} of {proven.checkpoint.size}"}),
    )


def _beside(file: Path, suffix: str) -> Path:
    return Path("receipt" if str(file) == "-" else file).with_suffix(suffix)


def _index(text: str) -> int:
    try:
        return receipts.leaf_index(text)
    except receipts.ReceiptError as error:
        raise usage(f"this is no receipt: {error}", "name a file that the service gave out") from error
