"""A contract of all four RPC kinds, made at run time, and its servicer: what the runtime's tests call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from buf.validate import validate_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import ServiceDescriptor
from idv.types.v1 import access_pb2

PACKAGE = "idv.runtimetest.v1"
SERVICE = f"{PACKAGE}.EchoService"
_STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
KINDS = {"Unary": (False, False), "Feed": (False, True), "Upload": (True, False), "Chat": (True, True)}
Behavior = Callable[[Any], Awaitable[Any]]


def _contract() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="idv/runtimetest/v1/echo.proto", package=PACKAGE, syntax="proto3"
    )
    file.dependency.extend(["idv/types/v1/access.proto", "buf/validate/validate.proto"])
    message = file.message_type.add(name="Echo")
    message.field.add(name="parent", number=1, type=_STRING, label=1)
    text = message.field.add(name="text", number=2, type=_STRING, label=1)
    text.options.Extensions[validate_pb2.field].string.max_len = 10
    child = message.field.add(name="child", number=3, type=11, label=1)
    child.type_name = f".{PACKAGE}.Echo"
    many = message.field.add(name="many", number=4, type=11, label=3)
    many.type_name = f".{PACKAGE}.Echo"
    service = file.service.add(name="EchoService")
    for name, (requests, responses) in KINDS.items():
        method = service.method.add(name=name, input_type=f".{PACKAGE}.Echo", output_type=f".{PACKAGE}.Echo")
        method.client_streaming, method.server_streaming = requests, responses
        method.options.Extensions[access_pb2.access].CopyFrom(
            access_pb2.AccessRule(
                customer=True, scope="echo", session_token=True, services=["friend"], tenant_field="parent"
            )
        )
    bare = file.service.add(name="BareService")
    for name in ("First", "Second"):
        bare.method.add(name=name, input_type=f".{PACKAGE}.Echo", output_type=f".{PACKAGE}.Echo")
    return file


_FILE = descriptor_pool.Default().AddSerializedFile(_contract().SerializeToString())
Echo: Any = message_factory.GetMessageClass(_FILE.message_types_by_name["Echo"])
ECHO_SERVICE: ServiceDescriptor = _FILE.services_by_name["EchoService"]
BARE_SERVICE: ServiceDescriptor = _FILE.services_by_name["BareService"]


class EchoServicer:
    """Answers what it was sent, after `behavior` has seen each message."""

    def __init__(self, behavior: Behavior | None = None) -> None:
        self.behavior = behavior or _nothing

    async def Unary(self, request: Any, context: Any) -> Any:
        await self.behavior(request)
        return request

    async def Feed(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for _ in range(3):
            await self.behavior(request)
            yield request

    async def Upload(self, requests: AsyncIterator[Any], context: Any) -> Any:
        texts = []
        async for request in requests:
            await self.behavior(request)
            texts.append(request.text)
        return Echo(text="".join(texts)[:10])

    async def Chat(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            await self.behavior(request)
            yield request


async def _nothing(_request: Any) -> None:
    return None


def add_echo(servicer: Any, server: Any) -> None:
    """Registers a servicer as generated code does."""
    wrap = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    handlers = {
        name: wrap[kind](
            getattr(servicer, name),
            request_deserializer=Echo.FromString,
            response_serializer=Echo.SerializeToString,
        )
        for name, kind in KINDS.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_registered_method_handlers(SERVICE, handlers)


async def call(channel: Any, kind: str, *messages: Any, **options: Any) -> list[Any]:
    """Calls one method and returns its responses, however many its kind gives."""
    requests, responses = KINDS[kind]
    factory = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }[requests, responses]
    start = factory(
        f"/{SERVICE}/{kind}", request_serializer=Echo.SerializeToString, response_deserializer=Echo.FromString
    )
    argument = _stream(messages) if requests else messages[0]
    if responses:
        return [response async for response in start(argument, **options)]
    return [await start(argument, **options)]


async def _stream(messages: tuple[Any, ...]) -> AsyncIterator[Any]:
    for message in messages:
        yield message
