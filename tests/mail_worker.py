"""A process that only sends what the outbox holds; run by the tests that kill it.

Arguments: the DSN of the notice database, the `host:port` of the mail server, seconds until a takeover.
"""

from __future__ import annotations

import asyncio
import sys

import structlog

from services.notice.mail.courier import Courier
from services.notice.mail.mail_queue import MailQueue
from services.notice.mail.smtp import SmtpSession
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from tests.mail_parts import relay, terms


async def main(dsn: str, server: str, takeover_seconds: float) -> None:
    """Sends until it is killed."""
    target = relay(server)
    async with Database.open(DatabaseSettings.model_validate({"dsn": dsn})) as database:
        workers = terms(workers=4, takeover_seconds=takeover_seconds)
        queues = [MailQueue(database)]
        courier = Courier(queues, lambda: SmtpSession(target), SystemClock(), structlog.get_logger(), workers)
        sys.stdout.write("sending\n")
        sys.stdout.flush()
        await courier.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
