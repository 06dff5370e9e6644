"""What lies where below the directory of a local stack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CALLEES = ("storage", "notice")
"""The services that call no other service."""
CALLERS = ("ingest", "retention")
"""The services that call those."""
SERVICES = CALLEES + CALLERS

_FOLDERS = ("tls", "keys", "config", "logs", "telemetry", "run", "tmp", "mail", "authority", "witness")


@dataclass(frozen=True)
class Layout:
    """Paths of a stack; nothing outside `root` is written.

    | path | holds |
    |---|---|
    | `lock` | the running supervisor's pid, locked while it lives |
    | `time.json` | the offset of the application's clock (time travel) |
    | `ports.json` | the ports of this directory |
    | `secrets.json` | passwords of the database roles |
    | `postgres/`, `objects/` | the data of PostgreSQL and of the object store |
    | `authority/` | the sealing keys of storage: destroying them is what makes records undecryptable |
    | `tls/`, `keys/` | development CA and certificates; signing keys and the JWKS that verify them |
    | `config/SERVICE.yaml` | settings of each service |
    | `logs/`, `telemetry/SERVICE/` | one log per process; spans and metrics as JSON lines |
    | `mail/` | every message the suite sent |
    | `witness/` | the key of the log's witness, and the newest checkpoint that it saw |
    | `run/`, `tmp/` | pids for the clean-up after a crash; temporary files of the services |
    """

    root: Path

    def make(self) -> None:
        """Create the folders that are missing, closed to other users."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in _FOLDERS:
            (self.root / name).mkdir(mode=0o700, exist_ok=True)
        for service in SERVICES:
            self.telemetry(service).mkdir(mode=0o700, exist_ok=True)

    @property
    def lock(self) -> Path:
        """Locked by the supervisor while it lives."""
        return self.root / "lock"

    @property
    def time_file(self) -> Path:
        """`{"offset_seconds": float}`, read by every service."""
        return self.root / "time.json"

    @property
    def ports(self) -> Path:
        """Ports by name, so that a later run has the same addresses."""
        return self.root / "ports.json"

    @property
    def secrets(self) -> Path:
        """Passwords of the database roles."""
        return self.root / "secrets.json"

    @property
    def postgres(self) -> Path:
        """Directory of the `Postgres` server."""
        return self.root / "postgres"

    @property
    def objects(self) -> Path:
        """Directory of the `ObjectStore`."""
        return self.root / "objects"

    @property
    def authority(self) -> Path:
        """Directory of the key authority of storage."""
        return self.root / "authority"

    @property
    def mail(self) -> Path:
        """Messages the suite sent, one file each."""
        return self.root / "mail"

    @property
    def witness(self) -> Path:
        """Directory of the log's witness."""
        return self.root / "witness"

    @property
    def tls(self) -> Path:
        """Development CA and what it issued."""
        return self.root / "tls"

    @property
    def keys(self) -> Path:
        """Signing keys and JWKS files."""
        return self.root / "keys"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.root / "logs"

    @property
    def temporary(self) -> Path:
        """Temporary folder of the services; emptied at each start."""
        return self.root / "tmp"

    def config(self, service: str) -> Path:
        """Settings file of a service."""
        return self.root / "config" / f"{service}.yaml"

    def log(self, process: str) -> Path:
        """Log file of a process."""
        return self.logs / f"{process}.log"

    def telemetry(self, service: str) -> Path:
        """Folder of a service's spans and metrics."""
        return self.root / "telemetry" / service

    def pid(self, process: str) -> Path:
        """Record of a running process, see `leftovers`."""
        return self.root / "run" / f"{process}.pid"
