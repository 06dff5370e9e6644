"""A process that only tells Customers of versions; run by the tests that kill it.

Arguments: the DSN of the notice database, the `host:port` of the mail server, seconds until a takeover.
"""

from __future__ import annotations

import asyncio
import sys

from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from tests.delivery_parts import courier
from tests.mail_parts import relay, terms


async def main(dsn: str, server: str, takeover_seconds: float) -> None:
    """Sends until it is killed."""
    async with Database.open(DatabaseSettings.model_validate({"dsn": dsn})) as database:
        workers = terms(workers=4, takeover_seconds=takeover_seconds)
        sending = courier(database, SystemClock(), relay(server), workers)
        sys.stdout.write("sending\n")
        sys.stdout.flush()
        await sending.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
