"""One Customer cannot take the place of others, and uploads never hold more memory than their budget."""

from __future__ import annotations

import asyncio

import pytest
from idv.errors import IdvError, Reason

from services.ingest.limits import BodyMemory, PixelMemory, RateLimit
from tests.unit.ingest_terms import NOON, StillClock


def test_a_customer_that_spent_its_burst_is_told_when_to_come_back_and_others_are_not_touched() -> None:
    clock = StillClock()
    limit = RateLimit(rate=10, what="calls")
    for _ in range(20):
        limit.take("acme", clock.now())
    with pytest.raises(IdvError) as caught:
        limit.take("acme", clock.now())
    assert caught.value.reason == Reason.ERROR_REASON_OVERLOADED
    assert caught.value.retry_after == pytest.approx(0.1)
    limit.take("globex", clock.now())
    clock.move(0.1)
    limit.take("acme", clock.now())


def test_the_bucket_does_not_overflow_and_a_clock_that_goes_back_gives_nothing() -> None:
    clock = StillClock()
    limit = RateLimit(rate=1, what="calls")
    clock.move(3600)
    limit.take("acme", clock.now(), 2)
    clock.move(-3600)
    with pytest.raises(IdvError):
        limit.take("acme", clock.now())


def test_a_clock_that_was_set_back_keeps_nobody_out_for_longer_than_the_rate_says() -> None:
    clock = StillClock()
    limit = RateLimit(rate=10, what="calls")
    clock.move(31 * 86_400)
    limit.take("acme", clock.now(), 20)
    clock.move(-31 * 86_400)
    with pytest.raises(IdvError) as caught:
        limit.take("acme", clock.now())
    clock.move(caught.value.retry_after or 0)
    limit.take("acme", clock.now())


def test_one_upload_larger_than_a_burst_passes_when_the_bucket_is_full() -> None:
    limit = RateLimit(rate=10, what="bytes")
    limit.take("acme", NOON, 1000)
    with pytest.raises(IdvError):
        limit.take("acme", NOON, 1000)


def test_memory_that_is_not_free_is_refused_and_given_back_at_the_end() -> None:
    memory = BodyMemory(100)
    others = (memory.held("acme", 40), memory.held("globex", 40))
    with others[0], others[1], pytest.raises(IdvError) as caught, memory.held("third", 40):
        pass
    assert caught.value.reason == Reason.ERROR_REASON_OVERLOADED
    with memory.held("acme", 50), memory.held("globex", 50):
        pass


def test_one_customer_holds_at_most_half() -> None:
    memory = BodyMemory(100)
    with memory.held("acme", 50):
        with pytest.raises(IdvError), memory.held("acme", 1):
            pass
        with memory.held("globex", 50):
            pass


async def test_decoding_waits_its_turn_in_order() -> None:
    memory, order = PixelMemory(100), []

    async def decode(name: str, size: int) -> None:
        async with memory.held(size):
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(decode("a", 80), decode("b", 90), decode("c", 10), decode("d", 500))
    assert order == ["a", "b", "c", "d"]


async def test_whoever_gives_up_waiting_leaves_the_memory_to_the_next() -> None:
    memory = PixelMemory(100)
    entered = asyncio.Event()

    async def decode(size: int) -> None:
        async with memory.held(size):
            entered.set()

    async with memory.held(60):
        impatient = asyncio.create_task(decode(90))
        patient = asyncio.create_task(decode(40))
        await asyncio.sleep(0)
        assert not entered.is_set()
        impatient.cancel()
        await asyncio.wait([impatient])
        await asyncio.wait_for(patient, 5)
    assert entered.is_set()
    async with memory.held(100):
        pass
