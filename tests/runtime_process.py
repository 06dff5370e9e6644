"""A service of the runtime inside the test: real TLS on loopback, real certificates, real tokens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from idv import channel
from joserfc import jwt
from joserfc.jwk import OKPKey

from services.local.authority import DevelopmentAuthority
from services.runtime.bootstrap import Runtime
from services.runtime.settings import ServiceSettings
from tests.echo_service import ECHO_SERVICE, Behavior, EchoServicer, add_echo

TENANT = "customers/acme"
SESSION = f"{TENANT}/sessions/0197f0a0-0000-7000-8000-000000000001"
ISSUER = "https://id.example.com"
SESSION_ISSUER = "idv-ingest"


class Signer:
    """An issuer of tokens with its JWKS file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rotate("first")

    def rotate(self, kid: str) -> None:
        """Signs with a new key from now on; the file holds only that one."""
        self.key = OKPKey.generate_key("Ed25519", {"kid": kid})
        self.path.write_text(json.dumps({"keys": [self.key.as_dict(private=False)]}))

    def token(self, **changes: Any) -> str:
        """A Customer's token with the given claims changed; None removes one."""
        end = datetime.now(UTC) + timedelta(minutes=10)
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": "idv",
            "sub": TENANT,
            "scope": "echo",
            "exp": int(end.timestamp()),
        }
        claims |= changes
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "Ed25519", "kid": self.key.kid}, claims, self.key, algorithms=["Ed25519"])

    def session_token(self, session: str = SESSION) -> str:
        """An upload token."""
        return self.token(iss=SESSION_ISSUER, aud="idv-upload", sub=session, scope=None)


class Process:
    """What a test needs of the running service."""

    def __init__(self, runtime: Runtime, authority: DevelopmentAuthority, signer: Signer) -> None:
        self.runtime = runtime
        self.authority = authority
        self.signer = signer

    def anonymous(self, token: str | None = None) -> channel.AioChannel:
        """A channel to the TLS port, with a bearer token if one is given."""
        credentials = channel.Credentials.read(self.authority.certificate)
        return channel.aio(self.runtime.addresses["tls"], credentials, token=token)

    def customer(self) -> channel.AioChannel:
        """A channel of the Customer acme."""
        return self.anonymous(self.signer.token())

    def service(self, name: str = "friend", token: str | None = None) -> channel.AioChannel:
        """A channel of an internal service to the mutual TLS port."""
        files = self.authority.service(name)
        credentials = channel.Credentials.read(files.authority, files.certificate, files.private_key)
        return channel.aio(self.runtime.addresses["mtls"], credentials, token=token)


def make_settings(folder: Path, **changes: Any) -> ServiceSettings:
    """Settings of an echo service whose files lie in `folder`."""
    files = DevelopmentAuthority(folder).service("echo")
    trust = {"jwks": str(folder / "jwks.json")}
    values: dict[str, Any] = {
        "environment": "local",
        "deployment": "test",
        "trust_domain": "idv.local",
        "listen_tls": "127.0.0.1:0",
        "listen_mtls": "127.0.0.1:0",
        "tls": {
            "certificate": files.certificate,
            "private_key": files.private_key,
            "authority": files.authority,
        },
        "customer_tokens": trust | {"issuer": ISSUER},
        "session_tokens": trust | {"issuer": SESSION_ISSUER},
        "drain_seconds": 0,
        "grace_seconds": 2,
    }
    return ServiceSettings(**(values | changes))


@asynccontextmanager
async def running(folder: Path, behavior: Behavior | None = None, **changes: Any) -> AsyncIterator[Process]:
    """An echo service that serves while the block runs."""
    signer = Signer(folder / "jwks.json")
    authority = DevelopmentAuthority(folder)
    async with Runtime.start(make_settings(folder, **changes), service="echo") as runtime:
        runtime.add(add_echo, EchoServicer(behavior), ECHO_SERVICE)
        serving = asyncio.create_task(runtime.serve())
        started = asyncio.create_task(runtime.serving.wait())
        await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            started.cancel()
            await serving
        try:
            yield Process(runtime, authority, signer)
        finally:
            runtime.stop()
            await serving
