"""A live copy of the notice's terms, kept by the stream of the notice service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

from idv.errors import IdvError
from idv.notice.v1 import notice_pb2, notice_pb2_grpc

from services.ingest.notice_terms import Terms, TermsHistory, unknown
from services.runtime.logs import Log

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


class LiveTerms:
    """Follows WatchTerms while entered; connects again whenever the stream ends.

    The last known terms count while the stream is up, and for `stale_seconds` after it broke unless a gate
    could have opened since. `monotonic` gives seconds that no clock change moves.
    """

    def __init__(
        self,
        stub: notice_pb2_grpc.NoticeServiceAsyncStub,
        log: Log,
        *,
        stale_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stub = stub
        self._log = log
        self._stale_seconds = stale_seconds
        self._monotonic = monotonic
        self._history: TermsHistory | None = None
        self._lost: float | None = monotonic()
        self._known = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def first(self, seconds: float) -> bool:
        """Waits for the first terms, at most so long; whether they came."""
        try:
            async with asyncio.timeout(seconds):
                await self._known.wait()
        except TimeoutError:
            return False
        return True

    def in_force(self, moment: datetime) -> Terms:
        """The version in force at a present instant; raises TERMS_UNKNOWN."""
        history = self._history
        if history is None:
            raise unknown("the terms of the notice are not known yet")
        if self._lost is not None:
            stale = self._monotonic() - self._lost > self._stale_seconds
            if stale or not history.certain_at(moment):
                raise unknown("the terms of the notice may have changed and cannot be asked for")
        terms = history.at(moment)
        if terms is None:
            raise unknown("no version of the notice is in force")
        return terms

    def version(self, number: int) -> Terms | None:
        """The terms of a version that is or was in force; None when it is not known."""
        return self._history.version(number) if self._history else None

    def shown(self, moment: datetime) -> Terms | None:
        """The version in force at a past instant; None when there was none, or none is known."""
        return self._history.at(moment) if self._history else None

    async def _follow(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                async for message in self._stub.WatchTerms(notice_pb2.WatchTermsRequest(), timeout=None):
                    self._history = TermsHistory.read(message)
                    self._lost = None
                    self._known.set()
                    pause = _FIRST_PAUSE
            except IdvError as error:
                self._log.warning("the stream of terms broke", reason=error.reason_name)
            finally:  # whatever ended it: terms that nobody follows must become stale
                if self._lost is None:
                    self._lost = self._monotonic()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
