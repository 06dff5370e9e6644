"""The ready file: everything a client of the local stack needs, written once all of it serves.

`--ready-file FILE` writes it, `Ready.read(FILE)` reads it, and it is removed when the stack stops. It is
one JSON object:

```
version            1; grows when a field changes its meaning
directory          absolute path of the stack's directory
deployment         name of the deployment, part of what every record is bound to
trust_domain       trust domain of the certificates
supervisor_pid     process to signal (SIGTERM) to stop everything
services           {ingest|storage|retention|notice: Service}
    tls            host:port with server TLS, for bearer tokens; null where there is none
    mtls           host:port with mutual TLS, for client certificates
    health         host:port of the health service, plain
    pid            process id when the file was written; a restart changes it
    log            file with its output
    telemetry      folder with spans.jsonl and metrics.jsonl
postgres           {dsn: of the superuser, pid, log}
objects            {endpoint: S3, filer: its unauthenticated file interface, access_key, secret_key, pid,
log};
                   the keys are those of the account that may do everything
mail               {address: host:port of SMTP, directory: one .eml file per message}
ca                 PEM file of the authority that signed every certificate
certificates       {"service:NAME"|"customer:ID": {certificate, private_key, authority}}: PEM files
tokens             {customer id: bearer token with every scope}
scopes             the scopes in those tokens
log_public_key     the transparency log's verifier key, one line (C2SP signed note)
log_public_key_file  a file that holds it
log_files          URL below which the log is served as files (C2SP tlog-tiles)
witness_key        the key of the local witness of the log, one line (C2SP cosignature/v1)
public_page        URL of the public page of the notice in force; null where notice serves none
officer_page       URL of the officer's page, for a certificate of that role; null where notice serves none
time_file          file that moves the application's clock: {"offset_seconds": number}
```
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from services.local.errors import LocalError
from services.local.files import write_private


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ServiceAddress(_Part):
    """Where one service listens, see the module."""

    tls: str | None
    mtls: str | None
    health: str
    pid: int
    log: Path
    telemetry: Path


class PostgresAddress(_Part):
    """Where PostgreSQL listens, see the module."""

    dsn: str
    pid: int
    log: Path


class ObjectsAddress(_Part):
    """Where the object store listens, see the module."""

    endpoint: str
    filer: str
    access_key: str
    secret_key: str
    pid: int
    log: Path


class MailAddress(_Part):
    """Where the mail sink listens and delivers, see the module."""

    address: str
    directory: Path


class CertificateFiles(_Part):
    """PEM files of one identity, see the module."""

    certificate: Path
    private_key: Path
    authority: Path


class Ready(_Part):
    """The content of the ready file, see the module."""

    version: Literal[1] = 1
    directory: Path
    deployment: str
    trust_domain: str
    supervisor_pid: int
    services: dict[str, ServiceAddress]
    postgres: PostgresAddress
    objects: ObjectsAddress
    mail: MailAddress
    ca: Path
    certificates: dict[str, CertificateFiles]
    tokens: dict[str, str]
    scopes: tuple[str, ...]
    log_public_key: str
    log_public_key_file: Path
    log_files: str | None = None
    witness_key: str | None = None
    public_page: str | None
    officer_page: str | None = None
    time_file: Path

    @classmethod
    def read(cls, path: Path) -> Self:
        """The content of `path`.

        Raises:
            LocalError: there is no such file, or it is no ready file of this version.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError:
            raise LocalError(f"There is no ready file at {path}.", "Start the stack first: idv up.") from None
        except ValidationError:
            raise LocalError(
                f"{path} is no ready file of this version.", "Start the stack anew: idv up."
            ) from None

    def write(self, path: Path) -> None:
        """Write `path` in one step, readable by its owner alone: it holds tokens."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, self.model_dump_json(indent=2) + "\n")
