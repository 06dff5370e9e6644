"""The one way to start, run and stop a service.

async with Runtime.start(settings, service="ingest") as runtime:
    runtime.add(add_IngestServiceServicer_to_server, servicer, service_descriptor)
    runtime.every(PeriodicJob("sweep", timedelta(minutes=1), sweep))
    await runtime.serve()
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

from google.protobuf.descriptor import ServiceDescriptor
from idv.channel import AioChannel

from services.runtime.access import MissingRuleError, rules_of
from services.runtime.both_clocks import BothClocks, ServerClock, TravelledServerClock
from services.runtime.clock import Clock, SystemClock, TravelClock
from services.runtime.clock_guard import ClockGuard
from services.runtime.database import Database
from services.runtime.identity import Authenticator, TokenVerifier
from services.runtime.interceptors import Core
from services.runtime.jobs import JobRunner, Leases, PeriodicJob
from services.runtime.logs import Log, configure
from services.runtime.peers import Peers
from services.runtime.server import GuardedService, Server
from services.runtime.settings import ServiceSettings, TokenTrust
from services.runtime.telemetry import Telemetry

_KEY_REFRESH_SECONDS = 300.0
_KEY_RETRY_SECONDS = 10.0


class Runtime:
    """A service's process: its clock, log, telemetry, database, ports and periodic jobs.

    `addresses` holds the bound ports by kind ("tls", "mtls", "health") once `serving` is set.
    """

    def __init__(
        self, settings: ServiceSettings, service: str, clock: Clock, log: Log, telemetry: Telemetry
    ) -> None:
        self.settings = settings
        self.service = service
        self.clock = clock
        of_database = TravelledServerClock(clock) if isinstance(clock, TravelClock) else ServerClock()
        self.clocks = BothClocks(clock, of_database)
        self.log = log
        self.telemetry = telemetry
        self.customer_tokens = self._verifier(settings.customer_tokens)
        self.session_tokens = self._verifier(settings.session_tokens, session_tokens=True)
        self.serving = asyncio.Event()
        self.addresses: dict[str, str] = {}
        self._database: Database | None = Database.open(settings.database) if settings.database else None
        self._verifiers = [verifier for verifier in (self.customer_tokens, self.session_tokens) if verifier]
        authenticator = Authenticator(settings.trust_domain, self._verifiers)
        self._core = Core(authenticator, telemetry, log, settings.server)
        self._peers = Peers(settings.tls, log)
        self._services: list[GuardedService] = []
        self._jobs: list[PeriodicJob] = []
        self._faults: list[str] = []
        self._stopping = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def start(cls, settings: ServiceSettings, service: str) -> AsyncIterator[Self]:
        """A runtime that has checked its database and read its callers' keys; closes everything at the end.

        Raises StartError, or IdvError UNAVAILABLE when the database is away.
        """
        log = configure(service=service, deployment=settings.deployment, level=settings.telemetry.log_level)
        telemetry = Telemetry(settings.telemetry, service=service, deployment=settings.deployment)
        clock: Clock = TravelClock(settings.time_file) if settings.time_file else SystemClock()
        runtime = cls(settings, service, clock, log, telemetry)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, telemetry.close)
            if runtime._database is not None:
                await stack.enter_async_context(runtime._database)
            await runtime._read_keys()
            await stack.enter_async_context(runtime._peers)
            yield runtime

    @property
    def database(self) -> Database:
        """The database of the runtime role; raises ValueError when the settings name none."""
        if self._database is None:
            raise ValueError("the setting database is missing")
        return self._database

    def clock_guard(self) -> ClockGuard:
        """The guard of the service's scheduled destruction; a time file confirms its own jumps."""
        return ClockGuard(
            self.database,
            self.clocks,
            self.log,
            self.telemetry,
            schema=self.service,
            confirms_itself=self.settings.time_file is not None,
        )

    def channel(self, target: str, retried: Sequence[str] = ()) -> AioChannel:
        """A channel to another service of the suite, by mutual TLS with this service's certificate.

        Calls inherit the remaining time and the trace of the running call, and raise IdvError. `retried`:
        full names of services whose unary calls are repeated while the target is unavailable. Channels to
        one target are shared and closed with the runtime.
        """
        return self._peers.channel(target, retried)

    def add(
        self, add_to_server: Callable[[Any, Any], None], servicer: Any, service: ServiceDescriptor
    ) -> None:
        """Serves `servicer`, registered by the generated `add_to_server`, behind the interceptor core.

        A method without an access rule is remembered, and `serve` refuses to start naming all of them.
        """
        try:
            rules = rules_of(service)
        except MissingRuleError as error:
            self._faults += error.faults
            return
        self._services.append(GuardedService(self._core, add_to_server, servicer, service.full_name, rules))

    def every(self, job: PeriodicJob) -> None:
        """Runs `job` while the service serves, under a lease unless it says otherwise.

        Raises ValueError when a lease is needed and the settings name no database.
        """
        if job.leased and self._database is None:
            raise ValueError(f"the job {job.name} needs a lease, and the settings name no database")
        self._jobs.append(job)

    def stop(self) -> None:
        """Begins the graceful end, as SIGTERM does."""
        self._stopping.set()

    async def serve(self) -> None:
        """Opens the ports and serves until SIGTERM, SIGINT or `stop`; then drains. Raises StartError.

        A second signal ends the process at once.
        """
        if self._faults:
            raise MissingRuleError(self._faults)
        server = Server(self.settings, self.log)
        self.addresses = await server.start(self._services)
        background = [asyncio.create_task(runner.forever()) for runner in self._runners()]
        background.append(asyncio.create_task(self._refresh_keys()))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        # What the start made lives as long as the process: later collections need not walk it.
        gc.collect()
        gc.freeze()
        try:
            await server.report_serving()
            self.serving.set()
            self.log.info("serving")
            await self._stopping.wait()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            self.serving.clear()
            await asyncio.gather(_end(background), server.drain(self._core))
            self.log.info("stopped")

    def _runners(self) -> list[JobRunner]:
        leases = Leases(self._database, self.clock, schema=self.service) if self._database else None
        return [
            JobRunner(job, self.clock, self.log, self.telemetry, leases if job.leased else None)
            for job in self._jobs
        ]

    async def _refresh_keys(self) -> None:
        while True:
            complete = all(verifier.keys.current() for verifier in self._verifiers)
            await asyncio.sleep(_KEY_REFRESH_SECONDS if complete else _KEY_RETRY_SECONDS)
            await self._read_keys()

    async def _read_keys(self) -> None:
        for failure in await self._core.authenticator.refresh():
            self.log.warning("keys that verify tokens were not read", state=str(failure))

    def _verifier(self, trust: TokenTrust | None, *, session_tokens: bool = False) -> TokenVerifier | None:
        if trust is None:
            return None
        return TokenVerifier(
            trust.source,
            issuer=trust.issuer,
            audience=trust.audience,
            clock=self.clock,
            session_tokens=session_tokens,
        )


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
