"""`idv statement`: the daily statements of what is held, listed, shown, and verified offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from idv.errors import IdvError, Reason
from idv.receipts import VerifiedReceipt
from idv.retention.v1 import log_pb2
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceStub
from rich.text import Text

from services.cli import verifying
from services.cli.client import CALL_SECONDS, NOBODY, Suite
from services.cli.command import READY_FILE, Connect, Json, command, group
from services.cli.messages import flat, plain, shown_time
from services.cli.output import Output, facts_table, hint, rows_table
from services.cli.verifying import Key, KeyFile, Quorum, WitnessFile, WitnessKeys
from services.local.ready import Ready

if TYPE_CHECKING:
    from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceAsyncStub

app = group("What is held, and that nothing past its term can be read: stated and signed once each UTC day.")

_BROKEN = "SOMETHING PAST ITS TERM COULD BE READ"


@command(
    app,
    "show",
    [
        ("The newest", "idv statement show"),
        ("Of one day, kept to verify anywhere", "idv statement show 2026-11-24 --save 2026-11-24.json"),
    ],
)
async def show(
    day: Annotated[str, typer.Argument(metavar="DAY", help="UTC day, YYYY-MM-DD. Default: the newest.")] = "",
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Keep the signed document here.")
    ] = None,
    connect: Connect = READY_FILE,
    as_json: Json = False,
) -> None:
    """Fetch a statement, verify it here, and show its figures."""
    async with Suite(Ready.read(connect)) as suite:
        request = log_pb2.GetStatementRequest(day=day)
        statement = (await _log(suite).GetStatement(request, timeout=CALL_SECONDS)).statement
        key = suite.ready.log_public_key
    proven = _verified(statement.json.encode(), key)
    if save:
        save.write_text(statement.json)
        hint(f"verify it anywhere: idv statement verify {save} --key '{key.splitlines()[0]}'")
    _answer(proven, as_json=as_json)


@command(app, "list", [("Which days have one?", "idv statement list")])
async def list_statements(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 31,
    connect: Connect = READY_FILE,
    as_json: Json = False,
) -> None:
    """List statements, the newest first, unverified."""
    async with Suite(Ready.read(connect)) as suite:
        request = log_pb2.ListStatementsRequest(page_size=limit)
        answer = await _log(suite).ListStatements(request, timeout=CALL_SECONDS)
    rows = []
    for one in answer.statements:
        entry = json.loads(one.json)["opening"]["entry"]
        holds = entry["nothing_past_term_readable"] == "yes"
        rows.append(
            (
                one.day,
                shown_time(one.make_time),
                str(one.leaf_index),
                Text("nothing past its term readable") if holds else Text(_BROKEN, "bold red"),
                str(entry["readable_count"]),
                str(entry["missed_day_count"]),
            )
        )
    columns = ("Day", "Made", "Leaf", "Says", "Readable records", "Days missed before")
    Output(as_json).answer(plain(answer), rows_table(columns, rows))


@command(
    app,
    "verify",
    [("With the key in a file", "idv statement verify 2026-11-24.json --key-file log.pub")],
)
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The document; `-` reads standard input.")],
    key: Key = None,
    key_file: KeyFile = None,
    witness: WitnessKeys = None,
    witness_file: WitnessFile = None,
    quorum: Quorum = None,
    as_json: Json = False,
) -> None:
    """Check offline that the log with this key holds the statement. Exit code 1 when it does not."""
    witnesses = verifying.witnesses_of(witness, witness_file, quorum)
    proven = _verified(verifying.read(file), verifying.keys_of(key, key_file), witnesses, quorum)
    _answer(proven, as_json=as_json)


def _verified(text: bytes, keys: str, witnesses: str = "", quorum: int | None = None) -> VerifiedReceipt:
    proven = verifying.verified(text, keys, None, witnesses, quorum, what="statement")
    if proven.kind != "statement":
        raise IdvError(
            Reason.ERROR_REASON_UNSPECIFIED,
            f"the document is genuine, but of a {proven.kind.replace('_', ' ')} and no statement",
            remedy="use `idv receipt verify`",
            metadata={"fault": "other-kind"},
        )
    return proven


def _answer(proven: VerifiedReceipt, *, as_json: bool) -> None:
    entry = dict(proven.entry)
    holds = entry.get("nothing_past_term_readable") == "yes"
    seal = Text.assemble(("✓ verified ", "bold green"), "the log holds this statement, signed by its key")
    says = Text("nothing past its term could be read", "bold") if holds else Text(_BROKEN, "bold red")
    facts = {
        "verified": True,
        "log": proven.key.name,
        "leaf_index": proven.leaf_index,
        "tree_size": proven.checkpoint.size,
        "statement": entry,
    }
    hidden = {"kind", "nothing_past_term_readable"}
    people = {"leaf": f"{proven.leaf_index} of {proven.checkpoint.size}"}
    figures = flat({name: value for name, value in entry.items() if name not in hidden})
    Output(as_json).answer(facts, seal, says, facts_table({**people, **figures}))


def _log(suite: Suite) -> TransparencyLogServiceAsyncStub:
    return suite.stub(TransparencyLogServiceStub, "retention", NOBODY)
