"""Verifying a receipt or a statement offline: the keys given, the reason where it proves nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from idv import receipts
from idv.checkpoint import decode
from idv.errors import IdvError, Reason

from services.cli.failure import usage

Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help="The log's public key (name+id+key).")]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key-file", metavar="FILE", help="A file with the log's public keys, one a line."),
]
WitnessKeys = Annotated[
    list[str] | None,
    typer.Option("--witness", metavar="KEY", help="A witness that must have cosigned; repeatable."),
]
WitnessFile = Annotated[
    Path | None,
    typer.Option("--witness-file", metavar="FILE", help="Witnesses' keys, one a line."),
]
Quorum = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="So many of the witnesses must have cosigned. Default: all."),
]
OpeningFile = Annotated[
    Path | None,
    typer.Option("--opening", metavar="FILE", help="An earlier copy of this receipt that holds the entry."),
]

_Fault = receipts.ReceiptFault
_REMEDIES = {
    _Fault.TRUNCATED: "get the whole file again",
    _Fault.MALFORMED: "use the file exactly as it was issued",
    _Fault.OPENING_MISSING: "give the opening that came with the first answer, with --opening",
    _Fault.ENTRY_ALTERED: "get the receipt again from the service",
    _Fault.PROOF_WRONG: "get the receipt again, and compare checkpoints if it persists",
    _Fault.CHECKPOINT_ALTERED: "get the receipt again from the service",
    _Fault.WRONG_KEY: "take the keys from a place you trust",
    _Fault.OTHER_LOG: "give the public key of the log that issued the receipt",
    _Fault.COSIGNATURE_ALTERED: "get the receipt again from the service",
    _Fault.NOT_WITNESSED: "get it witnessed with `idv receipt witness`, or lower --quorum",
}


def read(file: Path) -> bytes:
    """The bytes of a file; `-` is standard input."""
    return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()


def keys_of(key: str | None, key_file: Path | None) -> str:
    """The log's keys, one a line, given in one of two ways. Raises INVALID_ARGUMENT."""
    if (key is None) == (key_file is None):
        raise usage("no public key of the log was given, or two", "give one of --key and --key-file")
    return key_file.read_text() if key_file is not None else key or ""


def witnesses_of(keys: list[str] | None, file: Path | None, quorum: int | None) -> str:
    """The witnesses' keys, one a line. Raises INVALID_ARGUMENT where the quorum is above their number."""
    lines = [*(keys or []), *(file.read_text().splitlines() if file else [])]
    given = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if quorum is not None and quorum > len(given):
        raise usage(
            f"a quorum of {quorum} cannot be had of {len(given)}", "give more keys with --witness", "--quorum"
        )
    return "\n".join(given)


def verified(
    text: bytes,
    keys: str,
    opening: Path | None = None,
    witnesses: str = "",
    quorum: int | None = None,
    what: str = "receipt",
) -> receipts.VerifiedReceipt:
    """What a receipt or statement proves. Raises IdvError with the reason, and the remedy for it."""
    given = _opening_of(opening) if opening else None
    try:
        return receipts.verify(text, keys, opening=given, witnesses=witnesses, quorum=quorum)
    except receipts.ReceiptError as error:
        raise IdvError(
            Reason.ERROR_REASON_UNSPECIFIED,
            f"the {what} proves nothing, {error}",
            remedy=_REMEDIES[error.fault],
            field=error.field or None,
            metadata={"fault": error.fault.value},
        ) from error


def _opening_of(file: Path) -> receipts.Opening:
    try:
        opening = json.loads(file.read_text())["opening"]
        return receipts.Opening(decode(opening["salt"], "the salt"), receipts.canonical(opening["entry"]))
    except (ValueError, KeyError, TypeError):
        raise usage(f"{file} holds no opening", "name a receipt that still holds its entry") from None
