"""Calls to a running stack as anyone: a Customer, an SDK, an internal service, or nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from idv import channel
from idv.aio_channel import AioChannel
from idv.channel import Credentials

from services.local.stack import LocalStack
from tests import descriptors

_Stub = TypeVar("_Stub")

_RENEWED_AFTER = timedelta(minutes=30)


@dataclass(frozen=True)
class Caller:
    """What a call shows: a bearer token, a certificate (`service:NAME`, `customer:ID`), both, or nothing."""

    token: str | None = None
    identity: str | None = None


NOBODY = Caller()


def service(name: str) -> Caller:
    """An internal service, by its certificate."""
    return Caller(identity=f"service:{name}")


class Callers:
    """Channels to one stack, kept by service and caller and closed at the end.

    `detours` holds the `host:port` to call instead of a service's own.
    """

    def __init__(self, stack: LocalStack, detours: Mapping[str, str] | None = None) -> None:
        self.stack = stack
        self._detours = detours or {}
        self._channels: dict[tuple[str, Caller, bool], AioChannel] = {}
        self._customers: dict[str, tuple[datetime, Caller]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for opened in self._channels.values():
            await opened.close()

    def customer(self, customer: str) -> Caller:
        """A Customer with a bearer token of every scope, renewed well before it ends."""
        now = self.stack.clock.now()
        issued, caller = self._customers.get(customer, (now - _RENEWED_AFTER, NOBODY))
        if not issued <= now < issued + _RENEWED_AFTER:  # a clock that is set back makes it one of the future
            caller = Caller(token=self.stack.token(customer))
            self._customers[customer] = (now, caller)
        return caller

    def stub(self, make: Callable[[AioChannel], _Stub], name: str, caller: Caller) -> _Stub:
        """A generated stub of the service `name` whose calls are made as `caller`.

        Like any client's, its calls are repeated while the server is away.
        """
        return make(self._channel(name, caller, retried=True))

    def _channel(self, name: str, caller: Caller, *, retried: bool) -> AioChannel:
        key = (name, caller, retried)
        if key not in self._channels:
            self._channels[key] = self._open(*key)
        return self._channels[key]

    def _open(self, name: str, caller: Caller, retried: bool) -> AioChannel:
        address = self.stack.addresses[name]
        # Where a service takes no tokens, a caller without a certificate tries its only port all the same.
        target = address.mtls if caller.identity else address.tls or address.mtls
        if caller.identity is not None:
            files = self.stack.certificate(caller.identity)
            credentials = Credentials.read(files.authority, files.certificate, files.private_key)
        else:
            credentials = Credentials.read(self.stack.certificate(f"service:{name}").authority)
        names = [each.full_name for each in descriptors.services()] if retried else []
        target = self._detours.get(target, target)
        return channel.aio(target, credentials, token=caller.token, retried=names)

    def begin(self, method: MethodDescriptor, sent: Message | AsyncIterator[Message], caller: Caller) -> Any:
        """Any call, begun with one request message or a stream: to be awaited, iterated or cancelled."""
        service = method.containing_service
        opened = self._channel(service.file.package.split(".")[1], caller, retried=False)
        arity = f"{_arity(method.client_streaming)}_{_arity(method.server_streaming)}"
        invoke = getattr(opened, arity)(
            f"/{service.full_name}/{method.name}",
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return invoke(sent)

    async def call(self, method: MethodDescriptor, request: Message, caller: Caller) -> Message | None:
        """Calls any method once with one request message; of a stream, returns the first message or None.

        Raises IdvError.
        """
        begun = self.begin(method, _once(request) if method.client_streaming else request, caller)
        if not method.server_streaming:
            answer: Message = await begun
            return answer
        responses = aiter(begun)
        try:
            return await anext(responses, None)
        finally:
            await responses.aclose()


def _arity(streaming: bool) -> str:
    return "stream" if streaming else "unary"


async def _once(request: Message) -> AsyncIterator[Message]:
    yield request
