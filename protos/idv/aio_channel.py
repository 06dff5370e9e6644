"""The asyncio channel of `idv.channel`: adds token and deadline, turns failures into IdvError."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import grpc

from idv.errors import IdvError, Reason

Metadata = Sequence[tuple[str, str | bytes]]
_UNSET: Any = object()


class AioChannel(grpc.aio.Channel):
    """A channel for generated stubs; `replace` moves later calls to another connection."""

    def __init__(
        self,
        open_channel: Callable[[], grpc.aio.Channel],
        *,
        token: str | Callable[[], str] | None = None,
        timeout: float | Callable[[], float | None] | None = None,
        metadata: Callable[[], Metadata] | None = None,
        around: Callable[[str], Any] | None = None,
    ) -> None:
        self.inner = open_channel()
        self._token = token
        self._timeout = timeout
        self._metadata = metadata
        self.around = around

    def replace(self, inner: grpc.aio.Channel) -> grpc.aio.Channel:
        """Uses `inner` for calls from now on; returns the channel used so far, for the caller to close."""
        before, self.inner = self.inner, inner
        return before

    def call_timeout(self, given: Any) -> float | None:
        """The seconds for a call: what the caller gave, else what the channel was made with."""
        if given is not _UNSET:
            return given  # type: ignore[no-any-return]
        return self._timeout() if callable(self._timeout) else self._timeout

    def call_metadata(self, given: Metadata | None) -> Metadata:
        """The metadata of a call, with the token and what the channel adds."""
        metadata = list(given or ())
        if self._metadata is not None:
            metadata.extend(self._metadata())
        if self._token is not None:
            token = self._token() if callable(self._token) else self._token
            metadata.append(("authorization", f"Bearer {token}"))
        return metadata

    def unary_unary(self, method: str, *serializers: Any, **options: Any) -> Any:
        """A callable for one request and one response."""
        return _Unary(self, "unary_unary", method, serializers, options)

    def stream_unary(self, method: str, *serializers: Any, **options: Any) -> Any:
        """A callable for many requests and one response."""
        return _Unary(self, "stream_unary", method, serializers, options)

    def unary_stream(self, method: str, *serializers: Any, **options: Any) -> Any:
        """A callable for one request and many responses."""
        return _Stream(self, "unary_stream", method, serializers, options)

    def stream_stream(self, method: str, *serializers: Any, **options: Any) -> Any:
        """A callable for many requests and many responses."""
        return _Stream(self, "stream_stream", method, serializers, options)

    async def close(self, grace: float | None = None) -> None:
        """Closes the connection; running calls get `grace` seconds."""
        await self.inner.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The state of the connection."""
        return self.inner.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Waits until the state is another one."""
        await self.inner.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Waits until the connection is up."""
        await self.inner.channel_ready()

    async def __aenter__(self) -> AioChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Method:
    """A method of a channel; follows the channel when its connection is replaced."""

    def __init__(
        self,
        channel: AioChannel,
        kind: str,
        method: str,
        serializers: tuple[Any, ...],
        options: dict[str, Any],
    ) -> None:
        self._channel = channel
        self._kind = kind
        self._path = method
        self._arguments = (serializers, options)
        self._inner: grpc.aio.Channel | None = None
        self._callable: Any = None

    def _source(self, request: Any) -> _Source | None:
        streams = self._kind.startswith("stream_") and request is not None
        return _Source(request) if streams else None

    def start(self, request: Any, timeout: Any, metadata: Metadata | None, options: dict[str, Any]) -> Any:
        """Starts the call on the present connection."""
        channel = self._channel
        if self._inner is not channel.inner:
            serializers, made_with = self._arguments
            self._callable = getattr(channel.inner, self._kind)(self._path, *serializers, **made_with)
            self._inner = channel.inner
        return self._callable(
            request,
            timeout=channel.call_timeout(timeout),
            metadata=channel.call_metadata(metadata),
            **options,
        )


class _Unary(_Method):
    async def __call__(
        self, request: Any, *, timeout: Any = _UNSET, metadata: Metadata | None = None, **options: Any
    ) -> Any:
        """The response; raises IdvError, or what the iterator of requests raised."""
        source = self._source(request)
        around = self._channel.around
        with nullcontext() if around is None else around(self._path), _typed(source):
            return await self.start(source or request, timeout, metadata, options)


class _Stream(_Method):
    def __call__(
        self, request: Any = None, *, timeout: Any = _UNSET, metadata: Metadata | None = None, **options: Any
    ) -> ResponseStream:
        """The responses, to iterate over."""
        source = self._source(request)
        return ResponseStream(self.start(source or request, timeout, metadata, options), source)


class ResponseStream:
    """The responses of a call as an asynchronous iterator; raises IdvError. `cancel` ends the call early."""

    def __init__(self, call: Any, source: _Source | None) -> None:
        self._call = call
        self._source = source

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            with _typed(self._source):
                async for response in self._call:
                    yield response
        finally:
            self._call.cancel()

    def cancel(self) -> bool:
        """Ends the call; False when it was over already."""
        return bool(self._call.cancel())


class _Source:
    """The requests of a stream. Keeps what their iterator raises: gRPC itself would only cancel the call."""

    def __init__(self, requests: Any) -> None:
        self._requests = requests
        self.failure: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            if hasattr(self._requests, "__aiter__"):
                async for request in self._requests:
                    yield request
            else:
                for request in self._requests:
                    yield request
        except Exception as failure:
            self.failure = failure
            raise


@contextmanager
def _typed(source: _Source | None) -> Iterator[None]:
    """Turns what gRPC raises into IdvError, or into what the iterator of requests raised before."""
    try:
        yield
    except grpc.RpcError as error:
        if source is not None and source.failure is not None:
            raise source.failure from error
        raise IdvError.from_rpc(error) from error
    except asyncio.CancelledError as cancelled:
        if source is not None and source.failure is not None:
            raise source.failure from None
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled the caller: gRPC says so of a call whose connection was closed under it, as when a
        # renewed certificate replaced it. A task that follows a feed must hear of it and live.
        raise IdvError(
            Reason.ERROR_REASON_UNAVAILABLE, "the connection was closed during the call", retry_after=0.1
        ) from cancelled
