"""`idv receipt`: verifies and shows receipts offline, with nothing but the log's public key."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from idv import receipts
from idv.checkpoint import decode
from idv.errors import IdvError, Reason
from rich.text import Text

from services.cli.command import Json, command, group
from services.cli.failure import usage
from services.cli.messages import flat
from services.cli.output import Output, facts_table

app = group("Verify a deletion's receipt offline, with nothing but the file and the log's public key.")

ReceiptFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The receipt file; `-` reads standard input.")
]

_REMEDIES = {
    receipts.ReceiptFault.TRUNCATED: "get the whole file again",
    receipts.ReceiptFault.MALFORMED: "use the file exactly as it was issued",
    receipts.ReceiptFault.OPENING_MISSING: "give the opening that came with the first answer, with --opening",
    receipts.ReceiptFault.ENTRY_ALTERED: "get the receipt again from the service",
    receipts.ReceiptFault.PROOF_WRONG: "get the receipt again, and compare checkpoints if it persists",
    receipts.ReceiptFault.CHECKPOINT_ALTERED: "get the receipt again from the service",
    receipts.ReceiptFault.WRONG_KEY: "take the log's public key from a place you trust",
    receipts.ReceiptFault.OTHER_LOG: "give the public key of the log that issued the receipt",
}


@command(
    app,
    "verify",
    [
        ("With the key in a file", "idv receipt verify receipt.json --key-file log.pub"),
        ("With the key itself", "idv receipt verify receipt.json --key 'idv-log+9f2c…+AQ…'"),
        ("Was it really this subject that was deleted?", "idv receipt verify receipt.json --key-file log.pub "
         "--request-id 0b7c… --subject user-17"),
    ],
)  # fmt: skip
def verify(
    file: ReceiptFile,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="The log's public key (name+id+key).")
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", metavar="FILE", help="A file with the log's public keys, one a line."),
    ] = None,
    opening: Annotated[
        Path | None,
        typer.Option(
            "--opening", metavar="FILE", help="An earlier copy of this receipt that holds the entry."
        ),
    ] = None,
    request_id: Annotated[
        str | None,
        typer.Option(
            "--request-id", metavar="UUID", help="With --subject, --session or --record: check that too."
        ),
    ] = None,
    subject: Annotated[str | None, typer.Option(help="The subject that should have been deleted.")] = None,
    session: Annotated[
        str | None, typer.Option(help="The session, by name, that should have been deleted.")
    ] = None,
    record: Annotated[
        str | None, typer.Option(help="The record, by name, that should have been deleted.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check that the log with this key holds the deletion that the receipt speaks of.

    Exit code 1 when it does not.
    """
    keys = _key_text(key, key_file)
    given = _opening_of(opening) if opening else None
    proven = _verified(_read(file), keys, given)
    target = {
        name: value
        for name, value in (("subject", subject), ("session", session), ("record", record))
        if value
    }
    if target:
        _check_target(proven, request_id, target)
    facts = {
        "verified": True,
        "log": proven.key.name,
        "leaf_index": proven.leaf_index,
        "tree_size": proven.checkpoint.size,
        "entry": dict(proven.entry),
        "target_confirmed": bool(target),
    }
    seal = Text.assemble(
        ("✓ verified ", "bold green"), "offline: the log holds this entry, signed by its key"
    )
    people = {
        "log": str(facts["log"]),
        "leaf": f"{proven.leaf_index} of {proven.checkpoint.size}",
        **flat({"kind": proven.kind, **proven.entry}),
    }
    if target:
        people["target"] = f"the {next(iter(target))} you named"
    Output(as_json).answer(facts, seal, facts_table(people))


@command(app, "show", [("Read a receipt without checking it", "idv receipt show receipt.json")])
def show(file: ReceiptFile, as_json: Json = False) -> None:
    """Show what a receipt says, unchecked."""
    try:
        document: Any = json.loads(_read(file))
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


def _verified(text: bytes, keys: str, opening: receipts.Opening | None) -> receipts.VerifiedReceipt:
    try:
        return receipts.verify(text, keys, opening=opening)
    except receipts.ReceiptError as error:
        raise IdvError(
            Reason.ERROR_REASON_UNSPECIFIED,
            f"the receipt proves nothing, {error}",
            remedy=_REMEDIES[error.fault],
            field=error.field or None,
            metadata={"fault": error.fault.value},
        ) from error


def _check_target(proven: receipts.VerifiedReceipt, request_id: str | None, target: dict[str, str]) -> None:
    if request_id is None:
        raise usage("what was deleted can be checked only with the request's id", "give --request-id as well")
    if len(target) > 1:
        raise usage("more than one target was named", "give one of --subject, --session and --record")
    if not proven.covers(request_id, target):
        raise IdvError(
            Reason.ERROR_REASON_UNSPECIFIED,
            f"the receipt is genuine, but not for this {next(iter(target))} under this request id",
            remedy="check both values",
            metadata={"fault": "other-target"},
        )


def _key_text(key: str | None, key_file: Path | None) -> str:
    if (key is None) == (key_file is None):
        raise usage("no public key of the log was given, or two", "give one of --key and --key-file")
    return key_file.read_text() if key_file is not None else key or ""


def _opening_of(file: Path) -> receipts.Opening:
    try:
        opening = json.loads(file.read_text())["opening"]
        return receipts.Opening(decode(opening["salt"], "the salt"), receipts.canonical(opening["entry"]))
    except (ValueError, KeyError, TypeError):
        raise usage(f"{file} holds no opening", "name a receipt that still holds its entry") from None


def _read(file: Path) -> bytes:
    return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
