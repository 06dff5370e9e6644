"""TLS of servers: certificates are read again when their files change, for each new connection."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path
from typing import Any, Final

import grpc

from services.runtime import setting_checks
from services.runtime.logs import Log
from services.runtime.settings import TlsFiles

Stamp = tuple[tuple[int, int, int], ...]


def stamp(files: TlsFiles) -> Stamp:
    """Changes whenever one of the files is replaced or written; raises OSError when one is missing."""
    return tuple(_stamp(path) for path in (files.certificate, files.private_key, files.authority))


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def server_credentials(files: TlsFiles, log: Log, *, mutual: bool) -> grpc.ServerCredentials:
    """Credentials that follow the files. `mutual`: every client must show a certificate of the authority."""
    source = _Certificates(files, log, mutual=mutual)
    return grpc.dynamic_ssl_server_credentials(
        source.load(), source.fetch, require_client_authentication=mutual
    )


def mutual_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS for a server whose clients must each show a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.private_key)
    context.load_verify_locations(files.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def follow(context: ssl.SSLContext, files: TlsFiles, log: Log | None) -> None:
    """Lets each new connection of a mutual context use the files as they are then."""
    current, seen = context, stamp(files)

    def renew(connection: ssl.SSLObject, _name: str | None, _of: ssl.SSLContext) -> None:
        nonlocal current, seen
        try:
            if (now := stamp(files)) != seen:
                seen = now  # a bad set of files is reported once
                setting_checks.certificate_pair(files.certificate, files.private_key, files.authority)
                current = mutual_context(files)
                if log:
                    log.info("the certificate was renewed")
        except Exception as error:  # whoever connects is served by the files that were good
            if log:
                log.error("the renewed certificate cannot be used", exc_info=error)
        connection.context = current

    context.sni_callback = renew  # called at the start of each handshake, with or without a name


class _Certificates:
    """The certificate configuration of one port; gRPC asks `fetch` from its own threads."""

    def __init__(self, files: TlsFiles, log: Log, *, mutual: bool) -> None:
        self._files = files
        self._log = log
        self._mutual = mutual
        self._lock: Final = threading.Lock()
        self._stamp: Stamp | None = None
        self._refused: Stamp | None = None

    def load(self) -> Any:
        """The configuration as the files are now."""
        self._stamp = stamp(self._files)
        authority = self._files.authority.read_bytes() if self._mutual else None
        pair = (self._files.private_key.read_bytes(), self._files.certificate.read_bytes())
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=authority)

    def fetch(self) -> Any:
        """A new configuration when the files changed and belong together, else None.

        Never raises, as gRPC requires.
        """
        try:
            with self._lock:
                return self._renew()
        except Exception as error:
            self._log.error("the renewed certificate cannot be used", exc_info=error)
            return None

    def _renew(self) -> Any:
        now = stamp(self._files)
        if now in (self._stamp, self._refused):
            return None
        self._refused = now  # until it has proved good: a bad set of files is reported once
        setting_checks.certificate_pair(
            self._files.certificate, self._files.private_key, self._files.authority
        )
        renewed = self.load()
        self._log.info("the certificate was renewed")
        return renewed
