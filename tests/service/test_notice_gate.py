"""A material version comes into force when everybody in its audience was told, and never before."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import structlog
from idv.errors import IdvError, Reason

from services.local.databases import ServiceDatabase
from services.notice.announcing import SETTLE
from services.notice.delivery.covering import Covering
from services.notice.lifecycle import State, is_utc_midnight
from services.notice.reviewing import Question
from tests.delivery_parts import Telling, customer, longer, telling, wider
from tests.mail_parts import relay, told
from tests.notice_parts import call


class Shown:
    """A website that shows what the test says."""

    def __init__(self, *versions: int) -> None:
        self.versions = versions

    async def shows(self, version: int) -> bool:
        return version in self.versions


def covering(part: Telling, *shown: int) -> Covering:
    return Covering(part.database, Shown(*shown), part.clock, structlog.get_logger())


async def test_at_once_is_refused_for_a_material_version(service_database: ServiceDatabase) -> None:
    async with telling(service_database) as part:
        with pytest.raises(IdvError) as caught:
            await part.replica.publish(wider())
        assert caught.value.reason == Reason.ERROR_REASON_NOTICE_MATERIAL
        assert caught.value.metadata["clause"] == "items.device.hardware.idfv"


async def test_it_is_in_force_at_its_instant_when_all_were_told_before(
    service_database: ServiceDatabase,
) -> None:
    async with telling(service_database) as part, told() as server:
        await part.register(customer("acme"), customer("bolt", language="zh"))
        number = await part.announce(days=30)
        assert (await part.counts(number)).held == 2
        await part.courier(relay(server.address)).empty()
        assert (await part.state(number, "acme"), await part.state(number, "bolt")) == ("ACCEPTED",) * 2
        counts = await part.counts(number)
        assert (counts.audience, counts.held, counts.accepted, counts.told_accepted) == (2, 0, 2, 2)
        part.clock.advance(days=29)
        assert await part.life(number) is State.ANNOUNCED
        part.clock.advance(days=1)
        assert await part.life(number) is State.IN_FORCE


async def test_who_was_offboarded_is_in_no_audience(service_database: ServiceDatabase) -> None:
    async with telling(service_database) as part:
        await part.register(customer("acme"), customer("leaver"))
        await part.offboard("leaver")
        version, _ = await part.replica.versions.draft(wider(), call())
        review = await part.replica.versions.review(version.number, Question("officer"))
        assert review.audience == 1
        number = await part.announce(days=30)
        counts = await part.counts(number)
        assert (counts.audience, counts.held, counts.queued) == (1, 1, 1)


async def test_it_waits_for_the_last_and_past_instants_keep_their_answer(
    service_database: ServiceDatabase,
) -> None:
    async with telling(service_database) as part, told({"RCPT": "451 later"}) as server:
        await part.register(customer("acme"))
        number = await part.announce(days=1)
        sending = part.courier(relay(server.address))
        await sending.empty()
        part.clock.advance(days=2)
        assert await part.life(number) is State.ANNOUNCED, "mail is down at its instant: it waits"
        waited = part.clock.now()
        server.replies.clear()
        await sending.empty()
        assert await part.life(number) is State.ANNOUNCED
        part.clock.time += SETTLE
        assert await part.life(number) is State.IN_FORCE
        shelf = await part.replica.versions.shelf(waited)
        assert shelf.state(shelf.number(number)) is State.ANNOUNCED
        start = shelf.number(number).life.start
        part.clock.advance(days=300)
        await sending.empty()
        assert (await part.replica.versions.shelf()).number(number).life.start == start


async def test_what_fails_for_good_is_covered_by_the_website_and_only_then_final(
    service_database: ServiceDatabase,
) -> None:
    async with telling(service_database) as part, told({"RCPT": "550 5.1.1 unknown"}) as server:
        await part.register(customer("acme"))
        number = await part.announce(days=1)
        await part.courier(relay(server.address)).empty()
        assert await part.state(number, "acme") == "FAILED"
        part.clock.advance(days=1)
        await covering(part).run()
        assert await part.life(number) is State.ANNOUNCED, "the website does not show it"
        await covering(part, number).run()
        assert await part.state(number, "acme") == "COVERED_BY_WEBSITE"
        part.clock.time += SETTLE
        assert await part.life(number) is State.IN_FORCE
        evidence = (await part.delivery(number, "acme")).evidence
        assert evidence is not None
        assert (evidence.recipient, evidence.reply) == ("privacy@acme.example", "550 5.1.1 unknown")


async def test_retries_end_after_their_days(service_database: ServiceDatabase) -> None:
    async with telling(service_database) as part, told({"CONNECT": "421 busy"}) as server:
        await part.register(customer("acme"))
        number = await part.announce(days=30)
        sending = part.courier(relay(server.address))
        for _ in range(12):
            await sending.empty()
            part.clock.advance(hours=12)
        assert await part.state(number, "acme") == "FAILED"


async def test_a_late_retention_change_begins_at_midnight(service_database: ServiceDatabase) -> None:
    async with telling(service_database) as part, told() as server:
        await part.register(customer("acme"))
        midnight = part.clock.now().replace(hour=0) + timedelta(days=2)
        number = await part.replica.publish(longer(), midnight)
        part.clock.time = midnight + timedelta(hours=5)
        await part.courier(relay(server.address)).empty()
        start = (await part.replica.versions.shelf()).number(number).life.start
        assert start == midnight + timedelta(days=1)
        assert is_utc_midnight(start)


async def test_who_joins_later_is_told_and_holds_nothing(service_database: ServiceDatabase) -> None:
    async with telling(service_database) as part, told() as server:
        await part.register(customer("acme"))
        number = await part.announce()
        await part.register(customer("late"))
        assert await part.accounts.accepted_by_registering("late") == number
        assert await part.accounts.accepted_by_registering("acme") is None
        counts = await part.counts(number)
        assert (counts.audience, counts.held, counts.queued) == (1, 1, 2)
        await part.courier(relay(server.address)).empty()
        assert await part.state(number, "late") == "ACCEPTED"
        assert (await part.counts(number)).told_accepted == 1


async def test_registrations_beside_an_announcement_miss_nobody(service_database: ServiceDatabase) -> None:
    async with telling(service_database) as part:
        names = [f"customer-{index}" for index in range(30)]
        joining = [part.register(customer(name)) for name in names]
        results = await asyncio.gather(*joining[:15], part.announce(), *joining[15:])
        number = next(one for one in results if one is not None)
        for name in names:
            assert await part.state(number, name) == "QUEUED"
        assert (await part.counts(number)).queued == 30


async def test_nobody_registered_leaves_nothing_to_wait_for(service_database: ServiceDatabase) -> None:
    async with telling(service_database) as part:
        number = await part.announce(days=1)
        part.clock.advance(days=1)
        assert await part.life(number) is State.IN_FORCE


async def test_a_corrected_address_is_mailed_again_under_another_message_id(
    service_database: ServiceDatabase,
) -> None:
    async with telling(service_database) as part, told({"RCPT": "550 unknown"}) as server:
        await part.register(customer("acme"))
        number = await part.announce()
        sending = part.courier(relay(server.address))
        await sending.empty()
        await covering(part, number).run()
        cleared = (await part.replica.versions.shelf()).number(number).life.clear_time
        assert cleared is not None
        server.replies.clear()
        await part.move("acme", "new@acme.example")
        assert await part.state(number, "acme") == "QUEUED"
        await sending.empty()
        assert await part.state(number, "acme") == "ACCEPTED"
        assert (await part.replica.versions.shelf()).number(number).life.clear_time == cleared
        assert b"To: Acme <new@acme.example>" in server.contents[-1]


async def test_a_withdrawn_version_is_mailed_no_more(service_database: ServiceDatabase) -> None:
    async with telling(service_database) as part, told() as server:
        await part.register(customer("acme"))
        number = await part.announce()
        await part.replica.versions.withdraw(number, "wrong", call())
        await part.courier(relay(server.address)).empty()
        assert not server.contents
        assert await part.life(number) is State.WITHDRAWN


async def test_a_review_estimates_by_the_pace_of_the_last_delivery(service_database: ServiceDatabase) -> None:
    async with telling(service_database) as part, told() as server:
        await part.register(*(customer(f"customer-{number}") for number in range(100)))
        number = await part.announce(days=30)
        asked = Question("officer", part.clock.now() + timedelta(days=90))
        review = await part.replica.versions.review(number, asked)
        assert review.telling == timedelta(seconds=2), "50 in a second, as it is set, while nothing was sent"
        part.clock.advance(seconds=10)
        await part.courier(relay(server.address)).empty()
        review = await part.replica.versions.review(number, asked)
        assert review.telling == timedelta(seconds=20), "50 of 100 were told within 10 seconds"
