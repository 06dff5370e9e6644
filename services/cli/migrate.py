"""`idv migrate`: makes the schemas and roles of the services, and brings them to this release."""

from __future__ import annotations

import asyncio
import enum
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import unquote, urlsplit

import typer
import yaml

from services.cli.command import Json, command, group
from services.cli.database_fault import DRIVER_ERRORS, database_fault
from services.cli.exit_codes import ExitCode
from services.cli.failure import end, unavailable, usage
from services.cli.output import Output, rows_table
from services.runtime import migrations

app = group("Create or upgrade the services' database schemas.")


class Schema(enum.StrEnum):
    """A service that keeps state in PostgreSQL."""

    STORAGE = "storage"
    RETENTION = "retention"
    NOTICE = "notice"


class Logins(NamedTuple):
    """How one service's schema is reached: as its owner, and as the running service."""

    owner_dsn: str
    runtime_dsn: str | None


class Standing(NamedTuple):
    """The revision a schema is at, and the newest of this release."""

    service: str
    current: str | None
    newest: str | None

    @property
    def state(self) -> str:
        """In a word or two."""
        if self.current is None:
            return "no schema"
        return "up to date" if self.current == self.newest else "behind"


@command(
    app,
    "migrate",
    [
        ("Upgrade, with the settings files of the services", "idv migrate --config-dir /etc/idv"),
        ("First make schema and roles, as the database's administrator",
         "IDV_ADMIN_DSN=postgresql://… idv migrate storage --config-dir /etc/idv"),
        ("Logins from the environment, as the services themselves take them",
         "IDV_STORAGE_DATABASE__OWNER_DSN=postgresql://… idv migrate storage"),
        ("Is everything up to date? (exit code 3 when not)", "idv migrate --status --config-dir /etc/idv"),
    ],
)  # fmt: skip
def migrate(
    services: Annotated[
        list[Schema] | None, typer.Argument(help="Which; default: all that keep state.")
    ] = None,
    config_dir: Annotated[
        Path | None,
        typer.Option("--config-dir", metavar="DIR", help="Folder with SERVICE.yaml or SERVICE.toml."),
    ] = None,
    admin_dsn: Annotated[
        str | None,
        typer.Option(
            envvar="IDV_ADMIN_DSN", metavar="DSN", help="Make schema and roles first, with this login."
        ),
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Only say where each schema stands.")] = False,
    as_json: Json = False,
) -> None:
    """Bring each schema to the newest revision; repeating it changes nothing."""
    if admin_dsn:
        _check_address(admin_dsn, "the administrator's login")
    chosen = {service: _logins(service, config_dir) for service in services or list(Schema)}
    if not status:
        for service, logins in chosen.items():
            if admin_dsn:
                asyncio.run(_provision(admin_dsn, service, logins))
            _reached(service, migrations.upgrade, logins.owner_dsn, service.value)
    standings = [
        Standing(
            service.value,
            _reached(service, migrations.current, logins.owner_dsn, service.value),
            migrations.head(service),
        )
        for service, logins in chosen.items()
    ]
    rows = [(one.service, one.current or "–", one.newest or "–", one.state) for one in standings]
    answer = [{**one._asdict(), "state": one.state} for one in standings]
    Output(as_json).answer({"schemas": answer}, rows_table(("Service", "Revision", "Newest", "State"), rows))
    behind = [one.service for one in standings if one.state != "up to date"]
    if behind:
        fault = f"the schema of {' and '.join(behind)} is not up to date"
        end(ExitCode.UNAVAILABLE, unavailable(fault, "run `idv migrate`"))


async def _provision(admin_dsn: str, service: Schema, logins: Logins) -> None:
    if logins.runtime_dsn is None:
        raise usage(
            f"the role that runs {service} has no login here",
            f"set database.dsn in its settings, or IDV_{service.upper()}_DATABASE__DSN",
        )
    passwords = (_password(logins.owner_dsn), _password(logins.runtime_dsn))
    try:
        await migrations.provision(admin_dsn, service.value, *passwords)
    except DRIVER_ERRORS as error:
        administrator = {"login": "--admin-dsn or IDV_ADMIN_DSN", "role": "the administrator"}
        raise database_fault(service, error, **administrator) from error


def _reached(service: Schema, work: Any, *arguments: str) -> Any:
    try:
        return work(*arguments)
    except DRIVER_ERRORS as error:
        owner = {"login": owner_setting(service), "role": migrations.owner_role(service)}
        raise database_fault(service, error, **owner) from error


def _check_address(dsn: str, what: str) -> None:
    try:
        parts = urlsplit(dsn)
        good = parts.scheme in {"postgresql", "postgres"} and parts.port != 0
    except ValueError:  # a port that is no number
        good = False
    if not good:
        raise usage(f"{what} is no address", "write it as postgresql://user:password@host:port/name")


def owner_setting(service: Schema) -> str:
    """Where the login of a schema's owner is set."""
    return f"database.owner_dsn in --config-dir, or IDV_{service.upper()}_DATABASE__OWNER_DSN"


def owner_login(service: Schema, folder: Path | None) -> str:
    """The address at which the owner of a service's schema logs in."""
    return _logins(service, folder).owner_dsn


def _logins(service: Schema, folder: Path | None) -> Logins:
    """The service's own settings, of which only the database counts here; the environment wins over the
    file.
    """
    settings = _database(service, folder)
    owner, runtime = (
        os.environ.get(f"IDV_{service.upper()}_DATABASE__{name.upper()}") or settings.get(name)
        for name in ("owner_dsn", "dsn")
    )
    if not isinstance(owner, str):
        raise usage(
            f"the owner of {service}'s schema has no login here",
            f"set {owner_setting(service)}",
        )
    for dsn in (owner, runtime):
        if isinstance(dsn, str):
            _check_address(dsn, f"a login of {service}")
    return Logins(owner, runtime if isinstance(runtime, str) else None)


def _database(service: Schema, folder: Path | None) -> dict[str, Any]:
    for suffix in (".yaml", ".yml", ".toml") if folder else ():
        file = Path(folder or ".") / f"{service}{suffix}"
        if file.exists():
            text = file.read_text()
            try:
                settings = tomllib.loads(text) if suffix == ".toml" else yaml.safe_load(text)
            except (ValueError, yaml.YAMLError):
                raise usage(f"{file} cannot be read", "correct its syntax") from None
            database = settings.get("database") if isinstance(settings, dict) else None
            return database if isinstance(database, dict) else {}
    return {}


def _password(dsn: str) -> str:
    return unquote(urlsplit(dsn).password or "")
