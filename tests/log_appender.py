"""A process that appends to a transparency log until it is killed, and tells each batch once committed."""

from __future__ import annotations

import asyncio
import sys
from itertools import count

from idv.types.v1 import receipt_pb2

from services.retention.entries import entry
from services.retention.log import TransparencyLog
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from tests.retention_parts import SIGNER


async def main(dsn: str, name: str) -> None:
    """Appends one, two or three leaves at a time and prints the batch's number after its commit."""
    kind = receipt_pb2.ENTRY_KIND_KEY_DESTRUCTION
    async with Database.open(DatabaseSettings(dsn=dsn)) as database:
        log = TransparencyLog(database, SIGNER, SystemClock())
        await log.open()
        for batch in count():
            made = [
                entry(kind, f"{name}/{batch}/{place}", {"sequence": batch}, public=True)
                for place in range(1 + batch % 3)
            ]
            async with database.transaction() as connection:
                await log.append(connection, made)
            sys.stdout.write(f"{batch}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
