"""A stream asks for more only when its reader took what it had: a slow one keeps one message in memory."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any, cast

from idv.retention.v1 import deletions_pb2
from idv.storage.v1 import storage_pb2
from idv.types.v1 import processing_pb2

from services.retention.accesses import CustomerView
from services.retention.storage_gateway import StorageGateway

PAGE = 100


class Busy:
    """A store in which there is always another page of accesses."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def follow(self, request: storage_pb2.FollowAccessesRequest) -> storage_pb2.FollowAccessesResponse:
        self.asked.append(request.after)
        accesses = [processing_pb2.Access() for _ in range(request.page_size)]
        return storage_pb2.FollowAccessesResponse(
            accesses=accesses, position=request.after + request.page_size
        )


async def test_a_reader_that_does_not_read_is_asked_nothing_for() -> None:
    store = Busy()
    view = CustomerView(cast("StorageGateway", store), streams=1)
    request: Any = deletions_pb2.WatchAccessesRequest(parent="customers/acme")
    async with aclosing(view.watch(request)) as answers:
        for page in range(3):
            answer = await anext(answers)
            assert len(answer.accesses) == PAGE
            for _ in range(100):
                await asyncio.sleep(0)
            assert store.asked == [PAGE * each for each in range(page + 1)]
    async with aclosing(view.watch(request)) as answers:  # the one before was freed by leaving it
        await anext(answers)
