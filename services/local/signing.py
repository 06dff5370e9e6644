"""The secrets that an operator provides: signing keys, the log's key, passwords of the database roles."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from idv.checkpoint import VerifierKey

from services.local.files import write_private
from services.local.layout import SERVICES, Layout
from services.local.tokens import SigningKey
from services.retention.signing import LogSigner, generate

LOG_ORIGIN = "idv.local/log"


@dataclass(frozen=True)
class Secrets:
    """Every key of a stack; `open` makes what is absent and keeps what is there.

    `customers` signs as the Customers' identity provider, `sessions` as ingest, `log` (PEM) as retention;
    `request` is retention's key for what a deletion is of, `links` notice's for the links in its mails.
    `passwords` are by database role.
    """

    customers: SigningKey
    sessions: SigningKey
    log: Path
    log_public: Path
    request: Path
    links: Path
    passwords: dict[str, str]

    @classmethod
    def open(cls, layout: Layout) -> Secrets:
        """The secrets of this directory."""
        log, log_public, request = (layout.keys / name for name in ("log.pem", "log.pub", "request.key"))
        if not log.exists():
            generate(log)
        write_private(log_public, LogSigner.load(LOG_ORIGIN, log).published() + "\n")
        links = layout.keys / "links.key"
        for secret in (request, links):
            if not secret.exists():
                write_private(secret, base64.b64encode(secrets.token_bytes(32)))
        return cls(
            customers=SigningKey.open(layout.keys, "customers"),
            sessions=SigningKey.open(layout.keys, "sessions"),
            log=log,
            log_public=log_public,
            request=request,
            links=links,
            passwords=_passwords(layout.secrets),
        )

    def log_keys(self) -> list[VerifierKey]:
        """The verifier keys of the log: those in `log_public`."""
        return [VerifierKey.parse(line) for line in self.log_public.read_text().splitlines()]


def _passwords(path: Path) -> dict[str, str]:
    roles = [role for service in SERVICES for role in (f"idv_{service}", f"idv_{service}_owner")]
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = {role: secrets.token_urlsafe(24) for role in roles if role not in known}
    if missing:
        write_private(path, json.dumps(known | missing, indent=2))
    return known | missing
