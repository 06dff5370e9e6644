"""The SeaweedFS program: how it is called, when it can be written to, and what it leaves behind."""

from __future__ import annotations

import http.client
import json
import shutil
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.local.errors import LocalError
from services.local.ports import GRPC_OFFSET, LOOPBACK, is_free

_SOCKETS = Path("/tmp")  # noqa: S108  compiled into weed: no option and no variable moves its gRPC sockets


@dataclass(frozen=True)
class Ports:
    """One port per part of SeaweedFS; each also listens for gRPC on `ports.GRPC_OFFSET` more."""

    master: int
    volume: int
    filer: int
    s3: int
    admin: int


def command(ports: Ports) -> list[str]:
    """The command line of a server whose working directory holds `data` and `identities.json`."""
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


def remove_sockets(ports: Mapping[str, int]) -> None:
    """Remove the socket files that a killed weed left: those of these ports that nobody listens on."""
    for part, port in ports.items():
        if is_free(port + GRPC_OFFSET):
            (_SOCKETS / f"seaweedfs-{part}-grpc-{port + GRPC_OFFSET}.sock").unlink(missing_ok=True)


def weed_program() -> str:
    """Path of the SeaweedFS binary.

    Raises:
        LocalError: it is not installed.
    """
    program = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    if program is None:
        raise LocalError("The SeaweedFS binary is not installed.", "Install the extra: idv-suite[local].")
    return program


def writable(ports: Ports) -> bool:
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
