"""The whole suite on one machine: `async with LocalStack(directory) as stack:`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from idv import channel
from idv.channel import AioChannel, Credentials

from services.local import configuration, startup
from services.local.authority import Certificate
from services.local.component import Component, Supervised
from services.local.configuration import Addresses, Differing, Parts
from services.local.databases import ServiceDatabase
from services.local.errors import LocalError
from services.local.first_notice import announce_first_notice
from services.local.layout import CALLEES, CALLERS, SERVICES, Layout
from services.local.locking import DirectoryLock
from services.local.mail import MailSink
from services.local.objects import ObjectStore
from services.local.ports import LOOPBACK, PortBook
from services.local.postgres import Postgres
from services.local.service import ServiceProcess
from services.local.tokens import SCOPES, CustomerTokens
from services.local.witness import Witness
from services.runtime import clock

CUSTOMERS = ("acme", "globex")
SERVERS = ("postgres", "objects")


class LocalStack:
    """PostgreSQL, object store, mail sink, certificates, tokens and the four services below one directory.

    Entering starts everything and returns when all of it serves; leaving stops everything. The same directory
    can be entered again and has the same data, addresses, certificates and keys. A process that dies is
    started again. Enter it in a thread that lives as long as the stack: the kernel ends the processes
    with it.

    Args:
        directory: made if absent; nothing that stays is written elsewhere.
        customers: ids that get a certificate and tokens.
        announce_notice: bring the shipped notice into force where none was ever announced; without one in
            force, ingest takes nothing.
        settings: by service, what is to differ in its settings: `{"ingest": {"session_seconds": 60}}`.
        changed: called after each change of a process's state.

    Raises:
        LocalError: on entering, when the directory is in use or something does not start.
    """

    def __init__(
        self,
        directory: Path,
        *,
        customers: Sequence[str] = CUSTOMERS,
        announce_notice: bool = True,
        settings: Differing | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.layout = Layout(directory.resolve())
        self.customers = tuple(customers)
        self.clock = clock.TravelClock(self.layout.time_file)
        self.processes: dict[str, Supervised] = {}
        self._announce_notice = announce_notice
        self._settings = settings or {}
        self._changed = changed
        self._parts: Parts | None = None
        self._servers: startup.Servers | None = None
        self._lock: DirectoryLock | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException as error:
            await self._stop()
            cause = _only_cause(error)
            raise cause from cause.__cause__
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    def claim(self) -> None:
        """Take the directory for this process. Entering does it too; leaving releases it.

        Raises:
            LocalError: another process has it.
        """
        if self._lock is None:
            self.layout.make()
            self._lock = DirectoryLock(self.layout.lock)

    @property
    def postgres(self) -> Postgres:
        """The database server."""
        return self._running_servers.postgres

    @property
    def objects(self) -> ObjectStore:
        """The object store."""
        return self._running_servers.objects

    @property
    def mail(self) -> MailSink:
        """The mail sink: `stack.mail.messages()`."""
        return self._running_servers.mail

    @property
    def databases(self) -> dict[str, ServiceDatabase]:
        """Addresses of each service's schema, by service."""
        return dict(self._running.databases)

    @property
    def addresses(self) -> dict[str, Addresses]:
        """Where each service listens, by service."""
        return {service: self._running.addresses(service) for service in SERVICES}

    @property
    def public_page(self) -> str:
        """URL of the public page of the notice in force."""
        return configuration.public_page(self._running)

    @property
    def officer_page(self) -> str:
        """URL of the officer's page, by mutual TLS."""
        return configuration.officer_page(self._running)

    @property
    def log_public_key(self) -> str:
        """The verifier key of the transparency log, one line."""
        return self._running.secrets.log_public.read_text().strip()

    @property
    def log_files(self) -> str:
        """URL below which the log is served as files (C2SP tlog-tiles)."""
        return configuration.log_files(self._running)

    @property
    def witness(self) -> Witness:
        """The witness of the transparency log."""
        return self._running_servers.witness

    @property
    def certificates(self) -> dict[str, Certificate]:
        """The PEM files of every identity: `service:NAME` and `customer:ID`."""
        return dict(self._running.certificates)

    def certificate(self, identity: str) -> Certificate:
        """The PEM files of `service:NAME` or `customer:ID`."""
        return self._running.certificates[identity]

    def token(
        self, customer: str, scopes: Sequence[str] = SCOPES, *, lifetime: timedelta = timedelta(hours=1)
    ) -> str:
        """A bearer token of a Customer, by the application's clock."""
        tokens = CustomerTokens(self._running.secrets.customers, self.clock)
        return tokens.issue(customer, scopes, lifetime=lifetime)

    def channel(self, service: str, *, identity: str | None = None, token: str | None = None) -> AioChannel:
        """A channel to `service`, with the certificate of `identity`, else over TLS with `token` or nothing.

        The caller closes it, or uses it as an asynchronous context manager.
        """
        address = self.addresses[service]
        if identity is not None:
            files = self.certificate(identity)
            own = Credentials.read(files.authority, files.certificate, files.private_key)
            return channel.aio(address.mtls, own)
        if address.tls is None:
            raise LocalError(f"The service {service} takes no bearer tokens.", "Give an identity.")
        authority = self.certificate(f"service:{service}").authority
        return channel.aio(address.tls, Credentials.read(authority), token=token)

    def travel(self, *, to: datetime | None = None, by: timedelta = timedelta()) -> datetime:
        """Move the application's clock everywhere to an instant, or by a span; returns its new present."""
        target = self.clock.now() + by if to is None else to
        clock.travel(self.layout.time_file, target - datetime.now(UTC))
        return self.clock.now()

    async def kill(self, process: str, *, restart: bool = True) -> None:
        """kill -9 `postgres`, `objects` or a service.

        It is started again (`await stack.ready(process)`), or held down until `restart(process)`.
        """
        await self.processes[process].kill(restart=restart)

    async def restart(self, process: str) -> None:
        """Stop `process` in good order if it runs, start it, and return when it is ready."""
        await self.processes[process].restart()

    async def ready(self, *processes: str) -> None:
        """Return when these processes are ready; without names, all of them."""
        for name in processes or tuple(self.processes):
            await self.processes[name].ready()

    @property
    def _running(self) -> Parts:
        if self._parts is None:
            raise LocalError("The stack does not run.", "Use it inside of `async with`.")
        return self._parts

    @property
    def _running_servers(self) -> startup.Servers:
        if self._servers is None:
            raise LocalError("The stack does not run.", "Use it inside of `async with`.")
        return self._servers

    async def _start(self) -> None:
        self.claim()
        await startup.end_leftovers(self.layout)
        startup.empty_temporary(self.layout)
        ports = PortBook(self.layout.ports)
        servers = self._servers = startup.Servers.of(self.layout, ports, self.clock)
        postgres = self._supervise("postgres", servers.postgres, servers.postgres.port)
        objects = self._supervise("objects", servers.objects, servers.objects.ports.s3)
        services = [self._service(name, Addresses.of(name, ports)) for name in SERVICES]
        async with asyncio.TaskGroup() as group:
            for service in services:
                group.create_task(service.prepare())
            up = startup.bring_up(
                self.layout, ports, servers, postgres=postgres, objects=objects, customers=self.customers
            )
            parts = group.create_task(up)
        self._parts = parts.result()
        configuration.write_settings(self._parts, self._settings)
        async with asyncio.TaskGroup() as group:
            for name in CALLEES:
                group.create_task(self.processes[name].start())
        async with asyncio.TaskGroup() as group:
            for name in CALLERS:
                group.create_task(self.processes[name].start())
            if self._announce_notice:
                group.create_task(self._announce_first_notice())

    async def _announce_first_notice(self) -> None:
        async with self.channel("notice", identity="service:officer") as officer:
            await announce_first_notice(officer)

    def _service(self, name: str, addresses: Addresses) -> ServiceProcess:
        process = ServiceProcess(name, self.layout, addresses.health)
        self._supervise(name, process, int((addresses.tls or addresses.mtls).rpartition(":")[2]))
        return process

    def _supervise(self, name: str, component: Component, port: int) -> Supervised:
        self.processes[name] = Supervised(name, component, f"{LOOPBACK}:{port}", self._changed)
        return self.processes[name]

    async def _stop(self) -> None:
        """Callers before callees; everything is stopped even if one of them cannot be."""
        faults = [fault for names in (CALLERS, CALLEES, SERVERS) for fault in await self._stop_all(names)]
        if self._servers:
            await self._servers.mail.stop()
            await self._servers.witness.stop()
        if self._lock:
            self._lock.release()
            self._lock = None
        if faults:
            raise faults[0]

    async def _stop_all(self, names: Iterable[str]) -> list[BaseException]:
        running = [self.processes[name].stop() for name in names if name in self.processes]
        results = await asyncio.gather(*running, return_exceptions=True)
        return [result for result in results if isinstance(result, BaseException)]


def _only_cause(error: BaseException) -> BaseException:
    """The first of several failures that happened at once: the others follow from stopping."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
