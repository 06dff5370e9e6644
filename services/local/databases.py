"""Databases with a service's schema in it, for the stack and for tests."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from urllib.parse import urlsplit

import asyncpg

from services.local.addresses import with_database, with_login

_TEMPLATE = "idv_template_"


@dataclass(frozen=True)
class ServiceDatabase:
    """Addresses of a database that holds one service's schema, migrated.

    `dsn` logs in as the service at run time, `owner_dsn` as the owner of its schema, `admin_dsn` as the
    superuser.
    """

    service: str
    name: str
    dsn: str
    owner_dsn: str
    admin_dsn: str


def load_migrations() -> ModuleType:
    """The migrations of the runtime; their import takes a second, so it happens while servers start."""
    return import_module("services.runtime.migrations")


async def prepare(
    admin_dsn: str, service: str, owner_password: str, runtime_password: str
) -> ServiceDatabase:
    """Provision `service` in the database of `admin_dsn` and migrate it to the newest schema; idempotent."""
    migrations = await asyncio.to_thread(load_migrations)
    await migrations.provision(admin_dsn, service, owner_password, runtime_password)
    owner_dsn = with_login(admin_dsn, f"idv_{service}_owner", owner_password)
    await asyncio.to_thread(migrations.upgrade, owner_dsn, service)
    return ServiceDatabase(
        service=service,
        name=admin_dsn.rpartition("/")[2],
        dsn=with_login(admin_dsn, f"idv_{service}", runtime_password),
        owner_dsn=owner_dsn,
        admin_dsn=admin_dsn,
    )


def role_password(admin_dsn: str, service: str) -> str:
    """The password of both roles of `service` in every database of one server, which roles belong to."""
    return f"{service}-{urlsplit(admin_dsn).password}"


class DatabaseFactory:
    """Makes fresh databases. The first for a service runs its migrations; later ones are copies of that one.

    Roles belong to the whole server, so every factory of a server uses the same passwords: its own are
    derived from the administrator's.
    """

    def __init__(self, admin_dsn: str) -> None:
        self._admin_dsn = admin_dsn
        self._made: list[str] = []

    async def __call__(self, service: str) -> ServiceDatabase:
        """A fresh database with the schema of `service`."""
        password = role_password(self._admin_dsn, service)
        template = _TEMPLATE + service
        admin = await asyncpg.connect(self._admin_dsn)
        try:
            known = await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", template)
            if not known:
                # Named only when it is whole: a failed migration must not be copied.
                draft = f"{template}_{secrets.token_hex(4)}"
                await admin.execute(f'CREATE DATABASE "{draft}"')
                await prepare(with_database(self._admin_dsn, draft), service, password, password)
                await admin.execute(f'ALTER DATABASE "{draft}" RENAME TO "{template}"')
            name = f"idv_{service}_{secrets.token_hex(6)}"
            await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        finally:
            await admin.close()
        self._made.append(name)
        dsn = with_database(self._admin_dsn, name)
        return ServiceDatabase(
            service=service,
            name=name,
            dsn=with_login(dsn, f"idv_{service}", password),
            owner_dsn=with_login(dsn, f"idv_{service}_owner", password),
            admin_dsn=dsn,
        )

    async def drop_all(self) -> None:
        """Drop every database this factory made, with the connections into it."""
        if not self._made:
            return
        admin = await asyncpg.connect(self._admin_dsn)
        try:
            while self._made:
                await admin.execute(f'DROP DATABASE IF EXISTS "{self._made.pop()}" WITH (FORCE)')
        finally:
            await admin.close()
