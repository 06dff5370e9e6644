"""An upload that stands still, or whose parts are not what they should be, gives its place to others."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest
from idv.errors import IdvError, Reason
from idv.ingest.v1 import ingest_pb2

from services.ingest.uploads import receive_body


async def chunks(*bodies: bytes, then_stall: bool = False) -> AsyncIterator[ingest_pb2.UploadMediaRequest]:
    for body in bodies:
        yield ingest_pb2.UploadMediaRequest(chunk=body)
    if then_stall:
        await asyncio.Event().wait()


async def test_the_chunks_of_a_whole_body_come_in_order() -> None:
    assert await receive_body(chunks(b"ab", b"c"), 3, idle_seconds=5) == b"abc"


async def test_a_body_in_tiny_chunks_takes_no_more_memory_than_a_whole_one() -> None:
    """An object for each of a million chunks would take twenty times what the budget counted."""
    size = 20_000
    body = await receive_body(chunks(*(b"ab",) * (size // 2)), size, idle_seconds=5)
    assert sys.getsizeof(body) < 2 * size


async def test_a_client_that_stands_still_is_given_up() -> None:
    with pytest.raises(IdvError) as caught:
        await receive_body(chunks(b"ab", then_stall=True), 3, idle_seconds=0.01)
    assert caught.value.reason == Reason.ERROR_REASON_DEADLINE_EXCEEDED
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("bodies", "reason"),
    [
        ((b"ab",), Reason.ERROR_REASON_MEDIA_TRUNCATED),
        ((b"ab", b"cd"), Reason.ERROR_REASON_INVALID_ARGUMENT),
    ],
)
async def test_a_body_of_another_size_is_refused(bodies: tuple[bytes, ...], reason: Reason.ValueType) -> None:
    with pytest.raises(IdvError) as caught:
        await receive_body(chunks(*bodies), 3, idle_seconds=5)
    assert (caught.value.reason, caught.value.field) == (reason, "header.size_bytes")
