"""`idv clock`: the clocks that scheduled destruction depends on, and the word that a jump is meant."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from idv.errors import IdvError
from pydantic import SecretStr
from sqlalchemy import MetaData
from sqlalchemy.exc import SQLAlchemyError

from services.cli.command import Json, command, group
from services.cli.database_fault import DRIVER_ERRORS, database_fault
from services.cli.exit_codes import ExitCode
from services.cli.failure import end, unavailable
from services.cli.migrate import Schema, owner_login, owner_setting
from services.cli.output import Output, facts_table
from services.runtime import migrations
from services.runtime.both_clocks import BothClocks, Reading, ServerClock
from services.runtime.clock import SystemClock
from services.runtime.clock_guard import STEP, TOLERANCE, find_mark, mark_table, set_mark
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings

app = group("Look at the clocks that destruction depends on, and confirm a jump.")

_SCHEMA: Final = Schema.STORAGE


@command(
    app,
    "clock",
    [
        ("May storage destroy what is due? (exit code 3 when it waits)", "idv clock --config-dir /etc/idv"),
        ("The clocks are right: storage was away, or its database was restored",
         "idv clock --confirm --config-dir /etc/idv"),
    ],
)  # fmt: skip
def clock(
    config_dir: Annotated[
        Path | None,
        typer.Option("--config-dir", metavar="DIR", help="Folder with storage.yaml or storage.toml."),
    ] = None,
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="Both clocks are right: destroy for good what is due up to now."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show machine's and database's time, and up to when what is due may be destroyed."""
    reading, mark = asyncio.run(_look(owner_login(_SCHEMA, config_dir), confirm=confirm))
    apart, ahead = abs(reading.process - reading.database), reading.database - mark
    fault = None
    if apart > TOLERANCE:
        fault = f"machine and database are {apart.total_seconds():.0f} s apart"
    elif ahead > STEP:
        fault = f"the clocks are {ahead} ahead of what may be destroyed"
    answer = {
        "machine_time": reading.process.isoformat(),
        "database_time": reading.database.isoformat(),
        "destroy_until": mark.isoformat(),
        "waits": fault is not None,
    }
    shown = {
        "Machine": f"{reading.process:%Y-%m-%d %H:%M:%S} UTC",
        "Database": f"{reading.database:%Y-%m-%d %H:%M:%S} UTC",
        "What is due may be destroyed until": f"{mark:%Y-%m-%d %H:%M:%S} UTC",
    }
    Output(as_json).answer(answer, facts_table(dict(shown)))
    if fault:
        remedy = "set the wrong clock right" if apart > TOLERANCE else "is the time right? Then: --confirm"
        end(ExitCode.UNAVAILABLE, unavailable(fault, remedy))


async def _look(dsn: str, *, confirm: bool) -> tuple[Reading, datetime]:
    """What the clocks show, and the mark, moved up to now where that is confirmed and they agree."""
    settings = DatabaseSettings(dsn=SecretStr(dsn), owner_dsn=SecretStr(dsn))
    database = Database.open_owner(settings)
    clocks, table = BothClocks(SystemClock(), ServerClock()), mark_table(MetaData(schema=_SCHEMA))
    try:
        async with database.transaction() as connection:
            reading = await clocks.read(connection)
            mark = await find_mark(connection, table)
            now = min(reading.process, reading.database)
            if mark is not None and confirm and abs(reading.process - reading.database) <= TOLERANCE:
                await set_mark(connection, table, now)
                mark = max(mark, now)
    except (IdvError, *DRIVER_ERRORS) as error:
        cause = error.__cause__ if isinstance(error, IdvError) and error.__cause__ else error
        known = cause if isinstance(cause, SQLAlchemyError | OSError) else error
        owner = {"login": owner_setting(_SCHEMA), "role": migrations.owner_role(_SCHEMA)}
        raise database_fault(_SCHEMA, known, **owner) from error
    finally:
        await database.close()
    if mark is None:
        raise unavailable("storage has never looked at the clocks", "start it, and ask again")
    return reading, mark.astimezone(UTC)
