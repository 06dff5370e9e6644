"""The bare limit of a call through two services: gRPC, mutual TLS, bytes in and bytes out, and nothing
else.

Run as a process: `python -m benchmarks.bare_echo ROLE PORT BACK_PORT CERTIFICATE KEY AUTHORITY`. The role
`back` answers; the role `front` passes each call on to `back`. Unary calls echo; streams are read to their
end and answered with one byte.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import uvloop

UNARY = "/bare.Echo/Unary"
STREAM = "/bare.Echo/Stream"
OPTIONS = [("grpc.http2.bdp_probe", 0), ("grpc.max_receive_message_length", 4 * 1024 * 1024)]


class Back(grpc.GenericRpcHandler):
    """Answers at once."""

    async def unary(self, request: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """Gives the request back."""
        return request

    async def stream(
        self, requests: AsyncIterator[bytes], _: grpc.aio.ServicerContext[bytes, bytes]
    ) -> bytes:
        """Reads all messages, keeps none."""
        async for _message in requests:
            pass
        return b"\0"

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """The handler of the called method."""
        if details.method == UNARY:
            return grpc.unary_unary_rpc_method_handler(self.unary)
        return grpc.stream_unary_rpc_method_handler(self.stream)


class Front(Back):
    """Passes every call on."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(UNARY)
        self._stream: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(STREAM)

    async def unary(self, request: bytes, _: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """Asks the back."""
        answer: bytes = await self._unary(request)
        return answer

    async def stream(
        self, requests: AsyncIterator[bytes], _: grpc.aio.ServicerContext[bytes, bytes]
    ) -> bytes:
        """Sends each message on as it comes."""
        call = self._stream()
        async for message in requests:
            await call.write(message)
        await call.done_writing()
        answer: bytes = await call
        return answer


async def serve(
    role: str, port: int, back_port: int, certificate: bytes, key: bytes, authority: bytes
) -> None:
    """Serves until the process is ended."""
    server = grpc.aio.server(options=OPTIONS)
    if role == "front":
        credentials = grpc.ssl_channel_credentials(authority, key, certificate)
        handler: Back = Front(grpc.aio.secure_channel(f"127.0.0.1:{back_port}", credentials, options=OPTIONS))
    else:
        handler = Back()
    server.add_generic_rpc_handlers((handler,))
    server.add_secure_port(
        f"127.0.0.1:{port}",
        grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True),
    )
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


def main() -> None:
    """Reads the arguments and serves."""
    role, port, back_port, *files = sys.argv[1:]
    certificate, key, authority = (Path(name).read_bytes() for name in files)
    uvloop.run(serve(role, int(port), int(back_port), certificate, key, authority))


if __name__ == "__main__":
    asyncio.set_event_loop_policy(None)
    main()
