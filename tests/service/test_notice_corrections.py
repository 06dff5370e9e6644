"""An address is corrected while mail to the old one is under way, or before its bounce comes."""

from __future__ import annotations

import itertools

import structlog

from services.local.databases import ServiceDatabase
from services.notice.delivery.bounces import Bounces
from tests.bounce_reports import report, send_report
from tests.delivery_parts import LINKS, customer, telling
from tests.fickle_server import fickle
from tests.mail_parts import relay, told


async def test_a_refusal_of_the_old_address_does_not_end_the_delivery_to_the_new(
    service_database: ServiceDatabase,
) -> None:
    async with telling(service_database) as part, fickle() as server:
        await part.register(customer("acme"))
        number = await part.announce()

        async def corrected(old: str) -> None:
            part.clock.advance(seconds=1)
            await part.move("acme", "new@acme.example")

        server.fates, server.meanwhile = itertools.chain(["refused"], itertools.repeat("taken")), corrected
        server.before_content = lambda: part.clock.advance(milliseconds=1)
        await part.courier(relay(server.address)).empty()
        evidence = (await part.delivery(number, "acme")).evidence
        assert evidence is not None
        assert await part.state(number, "acme") == "ACCEPTED"
        assert evidence.recipient == "new@acme.example"


async def test_a_late_bounce_of_the_old_address_has_the_new_one_mailed(
    service_database: ServiceDatabase,
) -> None:
    async with telling(service_database) as part, told() as server:
        await part.register(customer("acme"))
        number = await part.announce()
        sending = part.courier(relay(server.address))
        await sending.empty()
        old = LINKS.bounce_address(number, "acme", "privacy@acme.example")
        assert old is not None
        part.clock.advance(seconds=1)
        await part.move("acme", "new@acme.example")
        part.clock.advance(seconds=1)
        await send_report(Bounces(part.database, LINKS, part.clock, structlog.get_logger()), old, report())
        assert await part.state(number, "acme") == "QUEUED"
        part.clock.advance(seconds=1)
        await sending.empty()
        evidence = (await part.delivery(number, "acme")).evidence
        assert evidence is not None
        assert (await part.state(number, "acme"), evidence.recipient) == ("ACCEPTED", "new@acme.example")
