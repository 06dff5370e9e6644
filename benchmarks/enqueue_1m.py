"""`enqueue_1m`: a delivery for each of a million Customers, beside the barest insert of as many rows.

What is measured is the statement of the announcing transaction, its locks, counts and commit included. The
bare limit inserts the same ids into a table without key or index. Then the running service announces to a
thousand and to a million Customers, and what its process holds in memory is read after each.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
from google.protobuf.timestamp_pb2 import Timestamp
from idv.notice.v1 import deliveries_pb2, notice_pb2
from idv.notice.v1.deliveries_pb2_grpc import DeliveryServiceStub
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub

from benchmarks.rounds import Result, interleave, median
from benchmarks.told_customers import IDS, SHIPPED, told_customers
from services.local.stack import LocalStack
from services.notice.delivery import store
from services.notice.folder import read_folder
from services.runtime.clock import SystemClock

CUSTOMERS = 1_000_000
FEW = 1_000
TARGET = 20.0
FLAT = 1.1
"""By how much memory may differ between few Customers and many."""


async def measure(stack: LocalStack, rounds: int, progress: Callable[[str], None]) -> Result:
    """Seconds of both, and the memory of the stack's notice service."""
    progress("memory")
    few, many = await _memory(stack)
    async with told_customers(stack) as part:
        await part.admin.execute(IDS, CUSTOMERS)
        await part.admin.execute("CREATE SCHEMA bare; CREATE TABLE bare.rows (version int, tenant text)")
        await part.admin.execute("ANALYZE notice.customer_ids")

        async def ours() -> float:
            started = time.perf_counter()
            async with part.database.transaction() as connection:
                await store.fix_audience(connection, 1, SystemClock().now())
            seconds = time.perf_counter() - started
            await part.admin.execute("TRUNCATE notice.deliveries; DELETE FROM notice.audiences")
            return seconds

        async def inserted() -> float:
            started = time.perf_counter()
            await part.admin.execute("INSERT INTO bare.rows SELECT 1, tenant FROM notice.customer_ids")
            seconds = time.perf_counter() - started
            await part.admin.execute("TRUNCATE bare.rows")
            return seconds

        seen = await interleave(rounds, ours, inserted, progress=progress)
    ratios = [one / other for one, other in seen]
    return Result(
        name="enqueue_1m",
        ours=median([one for one, _ in seen]),
        bare=median([other for _, other in seen]),
        ratio=median(ratios),
        target=TARGET,
        unit="s",
        lowest=min(ratios),
        highest=max(ratios),
        rounds=len(seen),
        held=median(ratios) <= TARGET and many <= FLAT * few,
        about=f"a delivery for each of {CUSTOMERS:,} Customers in the announcing transaction: key, queue and "
        "counts; beside INSERT … SELECT of as many ids into a table without key or index, so a lower ratio "
        f"is better. The service's memory must be flat: at most {FLAT:g} times as much with {CUSTOMERS:,} "
        f"Customers as with {FEW:,}.",
        parts={f"MiB with {FEW:,} Customers": few, f"MiB with {CUSTOMERS:,}": many},
    )


async def _memory(stack: LocalStack) -> tuple[float, float]:
    """The most that the notice service ever held, in MiB, after telling few Customers and after many."""
    admin = await asyncpg.connect(stack.databases["notice"].admin_dsn)
    try:
        return await _announced(stack, admin, FEW), await _announced(stack, admin, CUSTOMERS)
    finally:
        await admin.close()


async def _announced(stack: LocalStack, admin: Any, count: int) -> float:
    await admin.execute("TRUNCATE notice.customer_ids CASCADE")
    await admin.execute(IDS, count)
    async with stack.channel("notice", identity="service:officer") as channel:
        stub, written = NoticeServiceStub(channel), read_folder(SHIPPED / "2")
        texts = [notice_pb2.NoticeText(language=name, markdown=text) for name, text in written.texts.items()]
        draft = notice_pb2.CreateNoticeRequest(
            request_id=str(uuid.uuid4()), terms_yaml=written.terms_yaml, texts=texts
        )
        made = (await stub.CreateNotice(draft)).notice
        effective = Timestamp()
        effective.FromDatetime(stack.clock.now() + timedelta(days=40))
        await stub.AnnounceNotice(
            notice_pb2.AnnounceNoticeRequest(
                name=made.name, request_id=str(uuid.uuid4()), effective_time=effective
            ),
            timeout=60,
        )
        pause = deliveries_pb2.PauseDeliveryRequest(
            version=made.version, request_id=str(uuid.uuid4()), reason="its memory is read"
        )
        await DeliveryServiceStub(channel).PauseDelivery(pause, timeout=60)
        held = _held(stack.processes["notice"].component.pid)
        await stub.WithdrawNotice(
            notice_pb2.WithdrawNoticeRequest(
                name=made.name, request_id=str(uuid.uuid4()), reason="its memory was read"
            ),
            timeout=60,
        )
    return held


def _held(process: int | None) -> float:
    """The most memory that a process ever held, in MiB."""
    held = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    if held is None:
        raise RuntimeError("the system does not say how much memory a process held")
    return int(held[1]) / 1024
