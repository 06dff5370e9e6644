"""One attempt to post a message: to a checked address, over TLS, without following anything.

The host is resolved once and every address is checked; the connection goes to one of those, whatever the
name leads to a moment later. What is answered is its status: headers are bounded and the body is not read.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from services.notice.mail.schedule import Attempt, Outcome
from services.notice.webhooks.addresses import Address, Addresses, AddressRefusedError

_AGENT: Final = "idv-webhooks/1"


class Poster:
    """Posts messages. `authority`: PEM of who may sign certificates, beside those that the system trusts."""

    def __init__(self, addresses: Addresses, timeout_seconds: float, authority: Path | None = None) -> None:
        self._addresses = addresses
        self._timeout_seconds = timeout_seconds
        self._tls = ssl.create_default_context()
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        if authority is not None:
            self._tls.load_verify_locations(authority)

    async def post(self, uri: str, headers: dict[str, str], body: bytes) -> Attempt:
        """Posts once and says how that ended; raises nothing that the receiver can cause."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return of_status(await self._status(URL(uri), headers, body))
        except TimeoutError:
            return _put_off("no answer in time")
        except AddressRefusedError:
            return _put_off("the host leads to an address that is not allowed")
        except aiohttp.ClientConnectorCertificateError:
            return _put_off("the certificate is not trusted")
        except aiohttp.ClientSSLError:
            return _put_off("no TLS session")
        except aiohttp.ClientResponseError:
            return _put_off("the answer is no HTTP")
        except (aiohttp.ClientError, OSError, ValueError):
            return _put_off("no connection")

    async def _status(self, url: URL, headers: dict[str, str], body: bytes) -> int:
        if url.scheme != "https" or not url.host or not url.port:
            raise ValueError("a webhook is posted by https")
        checked = await self._addresses.of(url.host, url.port)
        connector = aiohttp.TCPConnector(
            resolver=_Checked(checked), use_dns_cache=False, ssl=self._tls, force_close=True, limit=1
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": _AGENT, "Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=self._timeout_seconds),
                trust_env=False,
            ) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            return response.status


def of_status(status: int) -> Attempt:
    """What a status means: 2xx took it, 410 never will, and after anything else it is tried again."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Attempt(Outcome.ACCEPTED, str(status))
    if status == HTTPStatus.GONE:
        return Attempt(Outcome.REFUSED, str(status))
    return _put_off(str(status))


class _Checked(AbstractResolver):
    """Answers with what was resolved and checked before, and asks nobody."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _put_off(reply: str) -> Attempt:
    return Attempt(Outcome.PUT_OFF, reply)
