"""Channels to other services of the suite: mutual TLS, with deadline and trace passed on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self

import grpc
from idv.aio_channel import AioChannel
from idv.channel import Credentials, options

from services.runtime import calls
from services.runtime import setting_checks as checks
from services.runtime.logs import Log
from services.runtime.settings import TlsFiles
from services.runtime.tls import Stamp, stamp

_LOOK_SECONDS: Final = 5.0
_GRACE_SECONDS: Final = 60.0
_OUTSIDE_SECONDS: Final = 30.0
"""The deadline of a call that no call of ours limits, as in a periodic job."""


class Peers:
    """The channels of a process, one for each target; they reconnect when the certificate is replaced."""

    def __init__(self, files: TlsFiles, log: Log, *, look_seconds: float = _LOOK_SECONDS) -> None:
        self._files = files
        self._log = log
        self._look_seconds = look_seconds
        self._channels: dict[tuple[str, tuple[str, ...]], AioChannel] = {}
        self._stamp: Stamp | None = None
        self._watch: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def channel(self, target: str, retried: Sequence[str] = ()) -> AioChannel:
        """The channel to `target` ("host:port"), see `Runtime.channel`."""
        key = (target, tuple(retried))
        known = self._channels.get(key)
        if known is None:
            opener = partial(self._open, *key)
            known = AioChannel(opener, timeout=_timeout, metadata=_trace, around=calls.waiting_for)
            self._channels[key] = known
        return known

    def _open(self, target: str, retried: tuple[str, ...]) -> grpc.aio.Channel:
        files = self._files
        credentials = Credentials.read(files.authority, files.certificate, files.private_key)
        return grpc.aio.secure_channel(target, credentials.channel(), options=options(retried))

    async def __aenter__(self) -> Self:
        self._stamp = stamp(self._files)
        self._watch = asyncio.create_task(self._follow_files())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watch is not None:
            self._watch.cancel()
        for task in self._closing:
            task.cancel()
        for channel in self._channels.values():
            await channel.close()

    async def _follow_files(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            try:
                now = stamp(self._files)
                if now != self._stamp:
                    self._stamp = now
                    checks.certificate_pair(
                        self._files.certificate, self._files.private_key, self._files.authority
                    )
                    self._reopen()
            except (OSError, ValueError) as error:
                self._log.error("the renewed certificate cannot be used", exc_info=error)

    def _reopen(self) -> None:
        for key, channel in self._channels.items():
            before = channel.replace(self._open(*key))
            task = asyncio.create_task(before.close(_GRACE_SECONDS))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _timeout() -> float | None:
    call = calls.running_call()
    if call is None:
        return _OUTSIDE_SECONDS
    return calls.remaining()


def _trace() -> tuple[tuple[str, str], ...]:
    call = calls.running_call()
    if call is None:
        return ()
    return ((calls.TRACEPARENT, call.traceparent),)
