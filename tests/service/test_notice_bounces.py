"""Bounces by real SMTP: matched, told apart from what is none, and refused when forged."""

from __future__ import annotations

from pathlib import Path

import aiosmtplib
import pytest
import structlog

from services.local.databases import ServiceDatabase
from services.notice.delivery.bounce_server import BounceServer
from services.notice.delivery.bounces import Bounces, failure
from services.notice.lifecycle import State
from tests.delivery_parts import LINKS, Telling, customer, telling
from tests.mail_parts import relay, told

REPORT = """\
From: MAILER-DAEMON@mx.acme.example
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

I could not deliver.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.acme.example

Final-Recipient: rfc822; privacy@acme.example
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 5.1.1 <privacy@acme.example>: user unknown

--b--
"""


def report(to: str = "x@y.example", action: str = "failed", status: str = "5.1.1") -> bytes:
    return REPORT.format(to=to, action=action, status=status).replace("\n", "\r\n").encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (report(), "5.1.1 smtp; 550 5.1.1 <privacy@acme.example>: user unknown"),
        (report(action="delayed", status="4.4.1"), None),
        (report(action="delivered", status="2.0.0"), None),
        (report(action="failed", status="4.7.1"), None),
        (b"Subject: I am away\r\n\r\nUntil Monday.\r\n", None),
        (b"", None),
        (b"Content-Type: message/delivery-status\r\n\r\n\xff\xfe\r\n", None),
    ],
)
def test_only_a_report_of_final_failure_is_a_bounce(content: bytes, why: str | None) -> None:
    assert failure(content) == why


async def send(server: BounceServer, to: str, content: bytes, sender: str = "") -> None:
    host, _, port = server.address.rpartition(":")
    async with aiosmtplib.SMTP(hostname=host, port=int(port), start_tls=False) as client:
        await client.sendmail(sender, [to], content)


async def accepted(part: Telling) -> int:
    async with told() as server:
        await part.register(customer("acme"))
        number = await part.announce(days=1)
        await part.courier(relay(server.address)).empty()
    return number


async def test_a_bounce_changes_the_delivery_and_not_the_gate(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    async with telling(service_database) as part:
        number = await accepted(part)
        log = structlog.get_logger()
        handler = Bounces(part.database, LINKS, part.clock, log)
        address = LINKS.bounce_address(number, "acme", "privacy@acme.example")
        assert address is not None
        async with BounceServer(handler, "127.0.0.1:0", log) as server:
            other = LINKS.bounce_address(number, "acme", "old@acme.example")
            forged = address.replace(f"b{number}-", f"b{number}-aaaaaaaaaaaaa-")[:60]
            for to in (other, forged, "postmaster@bounces.idv.example", address.replace("acme", "bolt")):
                with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
                    await send(server, str(to), report())
            with pytest.raises(aiosmtplib.SMTPSenderRefused):
                await send(server, address, report(), sender="someone@acme.example")
            await send(server, address, report(action="delayed", status="4.4.1"))
            assert await part.state(number, "acme") == "ACCEPTED"
            await send(server, address, report())
            await send(server, address, report())
        found = await part.delivery(number, "acme")
        assert await part.state(number, "acme") == "BOUNCED"
        assert found.evidence is not None
        assert found.evidence.reply.startswith("5.1.1")
        assert (await part.counts(number)).bounced == 1
        part.clock.advance(days=1)
        assert await part.life(number) is State.IN_FORCE
