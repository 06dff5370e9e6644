"""Ingest enforces the version in force at receipt, and takes nothing in while it cannot know which."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from idv.errors import IdvError, Reason
from idv.notice.v1 import notice_pb2

from services.ingest.terms import LiveTerms
from services.runtime.instants import timestamp
from tests.unit.ingest_terms import NOON, history
from tests.waiting import until

HOUR = timedelta(hours=1)


def test_the_version_in_force_at_an_instant_is_the_last_that_came_into_force() -> None:
    told = history((1, NOON), (2, NOON + HOUR), (3, NOON + 2 * HOUR))
    found = [told.at(NOON + offset) for offset in (-HOUR, 0 * HOUR, HOUR, 3 * HOUR)]
    assert [terms.version if terms else None for terms in found] == [None, 1, 2, 3]


def test_a_version_behind_its_gate_is_not_in_force_and_makes_later_instants_uncertain() -> None:
    told = history((1, NOON - HOUR), (2, None))
    assert told.at(NOON + HOUR).version == 1  # type: ignore[union-attr]
    assert told.certain_at(NOON - timedelta(seconds=1))
    assert not told.certain_at(NOON)
    assert told.version(2) is None


class Notice:
    """A notice service that sends what the test puts in, and ends the stream at None."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[notice_pb2.WatchTermsResponse | None] = asyncio.Queue()
        self.streams = 0

    async def WatchTerms(self, request: Any, timeout: float | None) -> AsyncIterator[Any]:
        assert timeout is None, "a stream with a deadline would end by itself"
        self.streams += 1
        while (message := await self.messages.get()) is not None:
            yield message
        raise IdvError(Reason.ERROR_REASON_UNAVAILABLE, "away")


class Quiet:
    """A log that keeps nothing."""

    def warning(self, *_: Any, **__: Any) -> None: ...


def told(version: int, *, in_force: bool = True) -> notice_pb2.WatchTermsResponse:
    interval = notice_pb2.TermsInterval(
        terms=notice_pb2.Terms(version=version, retention_days=30), effective_time=timestamp(NOON)
    )
    if in_force:
        interval.in_force_time.CopyFrom(timestamp(NOON))
    return notice_pb2.WatchTermsResponse(intervals=[interval])


class Elapsed:
    """Seconds that the test lets pass."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@asynccontextmanager
async def live(notice: Notice, elapsed: Elapsed) -> AsyncIterator[LiveTerms]:
    following = LiveTerms(notice, Quiet(), stale_seconds=30, monotonic=elapsed)  # type: ignore[arg-type]
    async with following:
        yield following


def refused(terms: LiveTerms) -> IdvError:
    with pytest.raises(IdvError) as caught:
        terms.in_force(NOON)
    assert caught.value.reason == Reason.ERROR_REASON_TERMS_UNKNOWN
    assert caught.value.retry_after
    return caught.value


async def test_nothing_is_known_before_the_first_message_and_news_count_at_once() -> None:
    notice = Notice()
    async with live(notice, Elapsed()) as terms:
        refused(terms)
        assert not await terms.first(0)
        notice.messages.put_nowait(told(1))
        assert await terms.first(5)
        assert terms.in_force(NOON).version == 1
        notice.messages.put_nowait(told(2))
        await until("the new version counts", lambda: terms.version(2))
        assert terms.in_force(NOON).version == 2


async def test_without_a_version_in_force_nothing_enters() -> None:
    notice = Notice()
    async with live(notice, Elapsed()) as terms:
        notice.messages.put_nowait(told(1, in_force=False))
        assert await terms.first(5)
        refused(terms)


async def test_the_last_terms_count_for_a_while_after_the_stream_broke_then_no_more() -> None:
    notice, elapsed = Notice(), Elapsed()
    async with live(notice, elapsed) as terms:
        notice.messages.put_nowait(told(1))
        assert await terms.first(5)
        notice.messages.put_nowait(None)
        await until("it connects again", lambda: notice.streams == 2)
        elapsed.seconds = 30
        assert terms.in_force(NOON).version == 1
        elapsed.seconds = 31
        refused(terms)
        notice.messages.put_nowait(told(2))
        await until("the new version counts", lambda: terms.version(2))
        assert terms.in_force(NOON).version == 2


class BrokenNotice(Notice):
    """A notice service whose stream ends in an error that nobody foresaw."""

    async def WatchTerms(self, request: Any, timeout: float | None) -> AsyncIterator[Any]:
        async for message in super().WatchTerms(request, timeout):
            yield message
            raise LookupError("a fault of this process")


async def test_terms_that_nobody_follows_any_more_end_as_those_of_a_broken_stream() -> None:
    notice, elapsed = BrokenNotice(), Elapsed()
    async with live(notice, elapsed) as terms:
        notice.messages.put_nowait(told(1))
        assert await terms.first(5)
        await asyncio.sleep(0)
        elapsed.seconds = 31
        refused(terms)
