"""Schema and roles of a service, and its Alembic migrations in `services/<service>/migrations/*.py`.

Each service has a schema of its name, the role `idv_<service>_owner` that owns it, and the role
`idv_<service>` that runs the service and owns nothing. A migration says itself what the runtime role may do
(`grant_runtime`) and which tables hold Customers' rows (`tenant_policy`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from alembic import op
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from services.runtime.database import sqlalchemy_url
from services.runtime.scram import scram_verifier

_VERSIONS = "alembic_version"
_NAME = re.compile(r"[a-z][a-z_]{0,30}")
_LOCK_TIMEOUT = "5s"
_T = TypeVar("_T")


def owner_role(service: str) -> str:
    """The role that owns the service's schema and runs its migrations."""
    return f"idv_{service}_owner"


def runtime_role(service: str) -> str:
    """The role that the running service logs in as."""
    return f"idv_{service}"


async def provision(admin_dsn: str, service: str, owner_password: str, runtime_password: str) -> None:
    """Makes the schema and both roles, or brings existing ones to this state; passwords are set anew.

    The server sees SCRAM verifiers, never the passwords, so none reaches its log.
    """
    if not _NAME.fullmatch(service):
        raise ValueError(f"{service!r} is no name of a service")
    connection = await asyncpg.connect(admin_dsn)
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('idv.provision'))")
            for statement in await _statements(connection, service, owner_password, runtime_password):
                await connection.execute(statement)
    finally:
        await connection.close()


async def _statements(connection: Any, service: str, owner_password: str, runtime_password: str) -> list[str]:
    owner, runtime = owner_role(service), runtime_role(service)
    limits = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT"
    statements = []
    for role, password in ((owner, owner_password), (runtime, runtime_password)):
        exists = await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role)
        verb = "ALTER" if exists else "CREATE"
        statements.append(f"{verb} ROLE {role} {limits} PASSWORD '{scram_verifier(password)}'")
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    return [
        *statements,
        f"REVOKE CREATE ON DATABASE {database} FROM PUBLIC",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {database} TO {owner}, {runtime}",
        f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {owner}",
        f"GRANT USAGE ON SCHEMA {service} TO {runtime}",
        f"ALTER ROLE {owner} SET search_path = {service}",
        f"ALTER ROLE {runtime} SET search_path = {service}",
    ]


def upgrade(owner_dsn: str, service: str, folder: Path | None = None) -> None:
    """Brings the schema to the newest revision, in one transaction; a second process waits for the first.

    `folder` holds the migrations when it is not the service's own. Not to be called from a running event
    loop: use `asyncio.to_thread`.
    """
    script = _script(service, folder)

    def steps(revision: Any, _context: MigrationContext) -> Any:
        return script._upgrade_revs("head", revision)

    def run(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('idv.migrate'))"))
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
        with EnvironmentContext(Config(), script, fn=steps) as environment:
            environment.configure(
                connection=connection, version_table=_VERSIONS, version_table_schema=service, service=service
            )
            environment.run_migrations()

    asyncio.run(_with_connection(owner_dsn, run))


def current(owner_dsn: str, service: str) -> str | None:
    """The revision that the schema is at; None before the first. Not for a running event loop."""

    def read(connection: Connection) -> str | None:
        options = {"version_table": _VERSIONS, "version_table_schema": service}
        return MigrationContext.configure(connection, opts=options).get_current_revision()

    return asyncio.run(_with_connection(owner_dsn, read))


def head(service: str, folder: Path | None = None) -> str | None:
    """The newest revision that this release brings."""
    return _script(service, folder).get_current_head()


def grant_runtime(table: str, privileges: Sequence[str], columns: Sequence[str] = ()) -> None:
    """In a migration: grants the service's runtime role `privileges` ("SELECT", "INSERT", …) on `table`, or
    on `columns` of it.
    """
    for privilege in privileges:
        if not re.fullmatch(r"SELECT|INSERT|UPDATE|DELETE", privilege):
            raise ValueError(f"{privilege!r} is nothing that a runtime role is granted")
    listed = f" ({', '.join(columns)})" if columns else ""
    what = ", ".join(f"{privilege}{listed}" for privilege in privileges)
    op.execute(f"GRANT {what} ON {_qualified(table)} TO {runtime_role(_service())}")


def tenant_policy(table: str, column: str = "tenant") -> None:
    """In a migration: shows and takes only rows whose `column` is among the transaction's tenants.

    The owner is bound too. `Database.transaction(tenants=…)` sets them; without, no row passes.
    """
    name = _qualified(table)
    listed = f"{column} = ANY (string_to_array(current_setting('idv.tenants', true), ','))"
    op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {name} USING ({listed}) WITH CHECK ({listed})")


def _service() -> str:
    return str(op.get_context().opts["service"])


def _qualified(table: str) -> str:
    return table if "." in table else f"{_service()}.{table}"


def _script(service: str, folder: Path | None) -> ScriptDirectory:
    """The migrations of a service: files of its package, named by their number."""
    path = str(folder or resources.files("services") / service / "migrations")
    return ScriptDirectory(path, version_locations=[path])


async def _with_connection(dsn: str, work: Callable[[Connection], _T]) -> _T:
    engine = create_async_engine(sqlalchemy_url(dsn), poolclass=pool.NullPool, hide_parameters=True)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()
