"""The blocking channel of `idv.channel`: adds token and deadline, turns failures into IdvError."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc

from idv.errors import IdvError

_UNSET: Any = object()


class SyncChannel(grpc.Channel):
    """A channel for generated stubs."""

    def __init__(
        self, inner: grpc.Channel, *, token: str | Callable[[], str] | None, timeout: float | None
    ) -> None:
        self._inner = inner
        self._token = token
        self._timeout = timeout

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call, with deadline and token."""
        timeout = given.pop("timeout", _UNSET)
        metadata = list(given.pop("metadata", None) or ())
        if self._token is not None:
            token = self._token() if callable(self._token) else self._token
            metadata.append(("authorization", f"Bearer {token}"))
        return {"timeout": self._timeout if timeout is _UNSET else timeout, "metadata": metadata, **given}

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """A callable for one request and one response."""
        return _unary(self, self._inner.unary_unary(*arguments, **options))

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        """A callable for many requests and one response."""
        return _unary(self, self._inner.stream_unary(*arguments, **options))

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        """A callable for one request and many responses."""
        return _stream(self, self._inner.unary_stream(*arguments, **options))

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        """A callable for many requests and many responses."""
        return _stream(self, self._inner.stream_stream(*arguments, **options))

    def subscribe(
        self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool = False
    ) -> None:
        """Calls `callback` with each state of the connection."""
        self._inner.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        """Ends a subscription."""
        self._inner.unsubscribe(callback)

    def close(self) -> None:
        """Closes the connection and ends its calls."""
        self._inner.close()

    def __enter__(self) -> SyncChannel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _unary(channel: SyncChannel, inner: Any) -> Callable[..., Any]:
    def call(request: Any, **given: Any) -> Any:
        try:
            return inner(request, **channel.arguments(given))
        except grpc.RpcError as error:
            raise IdvError.from_rpc(error) from error

    return call


def _stream(channel: SyncChannel, inner: Any) -> Callable[..., Iterator[Any]]:
    def call(request: Any, **given: Any) -> Iterator[Any]:
        try:
            yield from inner(request, **channel.arguments(given))
        except grpc.RpcError as error:
            raise IdvError.from_rpc(error) from error

    return call
