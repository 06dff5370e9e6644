"""Delivery reports (RFC 3464) in a test, and their way to the listener by real SMTP."""

from __future__ import annotations

import aiosmtplib
import structlog

from services.notice.delivery.bounce_server import BounceServer
from services.notice.delivery.bounces import Bounces

_REPORT = """\
From: MAILER-DAEMON@mx.example
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 user unknown

--b--
"""


def report() -> bytes:
    """A report that a mail failed for good."""
    return _REPORT.replace("\n", "\r\n").encode()


async def send_report(bounces: Bounces, to: str, content: bytes) -> None:
    """Sends a report to the listener that runs for it."""
    async with BounceServer(bounces, "127.0.0.1:0", structlog.get_logger()) as server:
        host, _, port = server.address.rpartition(":")
        async with aiosmtplib.SMTP(hostname=host, port=int(port), start_tls=False) as client:
            await client.sendmail("", [to], content)
