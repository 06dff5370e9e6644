"""Public keys that verify tokens: a JWKS in a file or behind a URL, renewed without a restart."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import time
import urllib.request
from pathlib import Path
from typing import Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

_FILE_INTERVAL: Final = 1.0
"""Seconds between two looks at the file's time stamp."""
_URL_INTERVAL: Final = 10.0
"""Seconds between two fetches that unknown key ids cause: an attacker must not make us hammer the issuer."""
_URL_TIMEOUT: Final = 5.0
_MAX_BYTES: Final = 1 << 20


class KeysUnavailableError(Exception):
    """The key set cannot be read; the message names the source and the fault, never a key."""


class JwksKeys:
    """The keys of one issuer; `source` is a path or an https URL.

    A file is read again when its time stamp changes, at most once a second. A URL is fetched by `refresh`,
    which the runtime calls at the start, every few minutes, and when a token names a key id that is not
    known yet. A failed renewal keeps the keys that are known. `generation` grows with every change.
    """

    def __init__(self, source: Path | str) -> None:
        self._path = source if isinstance(source, Path) else None
        self._url = None if isinstance(source, Path) else source
        self._keys: KeySet | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._looked = float("-inf")
        self._renewal = asyncio.Lock()
        self.generation = 0

    def current(self) -> KeySet | None:
        """The keys that are known now; None while none could ever be read."""
        if self._path is not None and time.monotonic() - self._looked >= _FILE_INTERVAL:
            self._look(self._path)
        return self._keys

    async def refresh(self, *, force: bool = False) -> None:
        """Reads the source again, a URL at most every ten seconds unless `force`.

        Raises KeysUnavailableError.
        """
        async with self._renewal:
            if self._path is not None:
                self._looked = float("-inf")
                if self.current() is None:
                    raise KeysUnavailableError(f"{self._path} holds no readable JWKS")
                return
            if not force and time.monotonic() - self._looked < _URL_INTERVAL:
                return
            self._looked = time.monotonic()
            self._adopt(await asyncio.to_thread(_fetch, str(self._url)))

    def look_again(self) -> bool:
        """Looks at the file at once, for a key id that is not known; true when the keys changed."""
        before = self.generation
        if self._path is not None:
            self._look(self._path)
        return self.generation != before

    def _look(self, path: Path) -> None:
        self._looked = time.monotonic()
        try:
            status = path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._adopt(path.read_bytes())
                self._stamp = stamp
        except (OSError, KeysUnavailableError):
            return  # replaced under our hands or unreadable: the known keys stand, the next look tries again

    def _adopt(self, document: bytes) -> None:
        self._keys = parse_jwks(document)
        self.generation += 1


def parse_jwks(document: bytes) -> KeySet:
    """The public keys of a JWKS; raises KeysUnavailableError when it is none, or holds a secret key."""
    try:
        keys = KeySet.import_key_set(json.loads(document))
    except (ValueError, KeyError, TypeError, AttributeError, JoseError) as error:
        raise KeysUnavailableError("the document is no JWKS") from error
    if not all(isinstance(key, OKPKey | ECKey | RSAKey) for key in keys):
        raise KeysUnavailableError("the JWKS holds a symmetric key")
    return keys


def _fetch(url: str) -> bytes:
    if not url.startswith(("https://", "http://")):  # settings allow http:// only in a local environment
        raise KeysUnavailableError("the JWKS address is no https URL")
    try:
        with urllib.request.urlopen(  # noqa: S310 - the scheme is checked above
            url,
            timeout=_URL_TIMEOUT,
            context=ssl.create_default_context() if url.startswith("https") else None,
        ) as response:
            return bytes(response.read(_MAX_BYTES))
    except (OSError, http.client.HTTPException) as error:
        raise KeysUnavailableError(f"the JWKS cannot be fetched: {type(error).__name__}") from error
