"""Why a command cannot use a database: each error of the driver as one sentence with its remedy."""

from __future__ import annotations

from typing import Final

import asyncpg
from idv.errors import IdvError
from sqlalchemy.exc import SQLAlchemyError

from services.cli.failure import unavailable
from services.runtime.database import sqlstate

DRIVER_ERRORS: Final = (OSError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What connecting and migrating may raise."""

_BY_STATE: Final = {
    "28": ("refuses the login", "correct user and password in {login}"),
    "3D": ("does not exist on that server", "correct its name in {login}, or create it"),
    "3F": ("has no schema for it yet", "run `idv migrate` with --admin-dsn, which makes schema and roles"),
    "42501": ("does not let this login do that", "log in through {login} as {role}"),
    "55P03": ("is held by somebody's open transaction", "end that transaction, and try again"),
    "53": ("is out of connections or space", "make room on the server, and try again"),
    "57P": ("is starting or stopping", "try again when it runs"),
}
"""By the beginning of SQLSTATE: what the database does, and what to do."""


def database_fault(service: str, error: Exception, *, login: str, role: str) -> IdvError:
    """The one sentence about an error of the driver, without any of its text: that may quote values.

    `login` names the setting that holds the address, `role` whom it must log in as.
    """
    state = sqlstate(error)
    for beginning, (what, remedy) in _BY_STATE.items():
        if state.startswith(beginning):
            message = f"the database of {service} {what}"
            return unavailable(message, remedy.format(login=login, role=role))
    if state:
        return unavailable(
            f"the database of {service} refused a step (SQLSTATE {state})", "look into the server's log"
        )
    if isinstance(error, OSError):
        cause = error.strerror or type(error).__name__
        return unavailable(
            f"the database of {service} cannot be reached ({cause})", "check its address and whether it runs"
        )
    return unavailable(
        f"the connection to the database of {service} failed ({type(error).__name__})",
        f"check the address in {login}, and TLS where the server wants it",
    )
