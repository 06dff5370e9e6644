"""`idv up`: starts the whole suite on this machine and shows its state until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli.command import command, group
from services.local.stack import CUSTOMERS
from services.local.up import up as run_until_told_to_stop

app = group("Start the whole suite on this machine and watch it.")


@command(
    app,
    "up",
    [
        ("Here, data kept in .idv", "idv up"),
        (
            "Elsewhere, and tell a script where everything listens",
            "idv up --dir /srv/idv --ready-file ready.json",
        ),
        ("With Customers of other names", "idv up --customer northwind --customer contoso"),
    ],
)
async def up(
    directory: Annotated[
        Path,
        typer.Option(
            "--dir", metavar="DIR", help="Everything it writes; the same folder has the same data again."
        ),
    ] = Path(".idv"),
    ready_file: Annotated[
        Path | None,
        typer.Option(
            "--ready-file",
            metavar="FILE",
            help="JSON with addresses, certificates and tokens, once all serves.",
        ),
    ] = None,
    customer: Annotated[
        list[str] | None,
        typer.Option("--customer", help=f"Id of a Customer. Default: {' and '.join(CUSTOMERS)}."),
    ] = None,
) -> None:
    """Start PostgreSQL, an object store, a mail sink and the four services on loopback.

    Ctrl-C stops everything.
    """
    await run_until_told_to_stop(directory, ready_file=ready_file, customers=customer or CUSTOMERS)
