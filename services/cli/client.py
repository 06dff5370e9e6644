"""Calls to a running suite, with a Customer's token or with a service's certificate."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Literal, NamedTuple, Self, TypeVar

from idv import channel
from idv.channel import AioChannel, Credentials

from services.cli.failure import usage
from services.local.ready import CertificateFiles, Ready
from services.runtime.resources import customer_name

_Stub = TypeVar("_Stub")

_RETRIED = (
    "idv.ingest.v1.IngestService",
    "idv.storage.v1.StorageService",
    "idv.retention.v1.DeletionService",
    "idv.retention.v1.TransparencyLogService",
    "idv.retention.v1.RightsService",
    "idv.notice.v1.NoticeService",
    "idv.notice.v1.CustomerService",
)
"""Repeated while a server is away: every change has a request id, so a repeat changes nothing."""
CALL_SECONDS = 30.0
"""Deadline of a call that answers at once."""
STREAM_SECONDS = 300.0
"""Deadline of an upload or a reading."""


class Who(NamedTuple):
    """As whom a call is made: a Customer, a service, the holder of an upload token, or nobody."""

    kind: str
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Who:
        """`customer:ID`, `service:NAME` or `nobody`."""
        kind, _, name = text.partition(":")
        if kind not in ("customer", "service", "nobody") or bool(name) == (kind == "nobody"):
            raise usage(
                f"{text!r} names nobody to act as", "write customer:ID, service:NAME or nobody", field="--as"
            )
        return cls(kind, name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


NOBODY = Who("nobody")


class Suite:
    """The services of one deployment. Channels are opened when first used and closed with the suite."""

    def __init__(self, ready: Ready) -> None:
        self.ready = ready
        self._channels: dict[tuple[str, Who], AioChannel] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for opened in self._channels.values():
            await opened.close()

    def customer(self, given: str | None) -> Who:
        """The Customer to act as: the one given with `--as`, or the first that the ready file knows."""
        who = Who.parse(given) if given else Who("customer", next(iter(self.ready.tokens), ""))
        if who.kind != "customer":
            raise usage(
                f"this is a Customer's call, and {who} is none", "give --as customer:ID", field="--as"
            )
        return who

    def service(self, given: str | None, default: str) -> Who:
        """The internal service to act as: the one given with `--as`, or `default`."""
        who = Who.parse(given) if given else Who("service", default)
        if who.kind != "service":
            raise usage(
                f"this is a service's call, and {who} is none", "give --as service:NAME", field="--as"
            )
        return who

    def stub(self, make: Callable[[AioChannel], _Stub], service: str, who: Who) -> _Stub:
        """A stub of `service` whose calls are made as `who`."""
        key = (service, who)
        if key not in self._channels:
            self._channels[key] = self._open(service, who)
        return make(self._channels[key])

    def _open(self, service: str, who: Who) -> AioChannel:
        authority = self.ready.ca
        if who.kind == "service":
            files = self._certificate(who)
            own = Credentials.read(authority, files.certificate, files.private_key)
            return channel.aio(self._address(service, "mtls"), own, retried=_RETRIED)
        own = Credentials.read(authority)
        return channel.aio(self._address(service, "tls"), own, token=self._token(who), retried=_RETRIED)

    def _token(self, who: Who) -> str | None:
        if who.kind != "customer":
            return who.name or None
        token = self.ready.tokens.get(who.name)
        if token is None:
            known = ", ".join(f"customer:{name}" for name in self.ready.tokens)
            raise usage(f"there is no token of {who}", f"use one of {known}", field="--as")
        return token

    def _address(self, service: str, port: Literal["tls", "mtls"]) -> str:
        known = self.ready.services.get(service)
        address = getattr(known, port, None)
        if not isinstance(address, str):
            raise usage(
                f"{service} has no {port} port here",
                "act as somebody whom it serves, with --as",
                field="--as",
            )
        return address

    def _certificate(self, who: Who) -> CertificateFiles:
        files = self.ready.certificates.get(str(who))
        if files is None:
            known = ", ".join(sorted(self.ready.certificates))
            raise usage(f"there is no certificate of {who}", f"use one of {known}", field="--as")
        return files


def session_holder(token: str) -> Who:
    """Whoever holds a session's upload token: the SDK on a device."""
    return Who("token", token)


def uploader(suite: Suite, given: str | None, token: str | None) -> tuple[Who, str]:
    """As whom data enters, and the upload token to put into the request.

    Without `--as` the caller is the SDK, whose credential is the token itself; a Customer sends it along.
    """
    if token is None:
        raise usage(
            "the session's upload token is missing", "give --token, or the file of `session create --save`"
        )
    return (suite.customer(given), token) if given else (session_holder(token), "")


def parent(who: Who) -> str:
    """The Customer's resource name."""
    return customer_name(who.name)
