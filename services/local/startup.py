"""Bringing up what the services stand on: servers, database schemas, certificates and keys, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from services.local.addresses import with_database
from services.local.authority import Certificate, DevelopmentAuthority
from services.local.component import Supervised
from services.local.configuration import WITH_DATABASE, Parts
from services.local.databases import ServiceDatabase, load_migrations, prepare
from services.local.layout import SERVICES, Layout
from services.local.leftovers import end_leftover_postgres, end_recorded
from services.local.mail import MailSink
from services.local.objects import ObjectStore
from services.local.ports import PortBook
from services.local.postgres import Postgres
from services.local.signing import Secrets
from services.local.witness import Witness
from services.runtime.clock import Clock

TOOLS = ("verification", "support", "officer", "approver")
"""Internal callers that are no service of the suite: they get certificates too."""

_DATABASE = "idv"


@dataclass(frozen=True)
class Servers:
    """The servers of a stack, not started."""

    postgres: Postgres
    objects: ObjectStore
    mail: MailSink
    witness: Witness

    @classmethod
    def of(cls, layout: Layout, ports: PortBook, clock: Clock) -> Servers:
        """The servers below `layout`, on the ports that the book names."""
        return cls(
            postgres=Postgres(layout.postgres, port=ports.port("postgres"), log=layout.log("postgres")),
            objects=ObjectStore(layout.objects, log=layout.log("objects")),
            mail=MailSink(layout.mail, port=ports.port("mail")),
            witness=Witness(layout.witness, (), clock, port=ports.port("witness")),
        )


async def end_leftovers(layout: Layout) -> None:
    """End the processes of an earlier supervisor that was killed, so that their ports and files are free."""
    records = [*layout.root.glob("run/*.pid"), layout.objects / "pid"]
    await asyncio.gather(end_leftover_postgres(layout.postgres / "data"), *map(end_recorded, records))


def empty_temporary(layout: Layout) -> None:
    """Remove what killed services left in their temporary folder."""
    for path in layout.temporary.iterdir():
        if not path.is_dir():
            path.unlink()


def _issue_certificates(layout: Layout, customers: Sequence[str]) -> dict[str, Certificate]:
    """Certificates by identity, `service:NAME` and `customer:ID`."""
    authority = DevelopmentAuthority(layout.tls)
    services = {f"service:{name}": authority.service(name) for name in (*SERVICES, *TOOLS)}
    return services | {f"customer:{each}": authority.customer(each) for each in customers}


async def bring_up(
    layout: Layout,
    ports: PortBook,
    servers: Servers,
    *,
    postgres: Supervised,
    objects: Supervised,
    customers: Sequence[str],
) -> Parts:
    """Start the servers and make everything that the services are configured with, side by side."""
    secrets = Secrets.open(layout)
    servers.witness.logs = secrets.log_keys()
    async with asyncio.TaskGroup() as group:
        databases = group.create_task(_start_databases(postgres, servers.postgres, secrets))
        group.create_task(objects.start())
        group.create_task(servers.mail.start())
        group.create_task(servers.witness.start())
        certificates = group.create_task(asyncio.to_thread(_issue_certificates, layout, customers))
        group.create_task(asyncio.to_thread(load_migrations))
    return Parts(
        layout=layout,
        ports=ports,
        certificates=certificates.result(),
        secrets=secrets,
        databases=databases.result(),
        objects=servers.objects,
        mail=servers.mail,
        witness=servers.witness,
    )


async def _start_databases(
    postgres: Supervised, server: Postgres, secrets: Secrets
) -> dict[str, ServiceDatabase]:
    """Start PostgreSQL, then make every schema and bring it to the newest revision."""
    await postgres.start()
    await _create_database(server.admin_dsn)
    dsn = with_database(server.admin_dsn, _DATABASE)
    passwords = secrets.passwords
    databases = [
        await prepare(dsn, service, passwords[f"idv_{service}_owner"], passwords[f"idv_{service}"])
        for service in WITH_DATABASE
    ]
    return {database.service: database for database in databases}


async def _create_database(admin_dsn: str) -> None:
    connection = await asyncpg.connect(admin_dsn)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", _DATABASE):
            await connection.execute(f'CREATE DATABASE "{_DATABASE}"')
    finally:
        await connection.close()
