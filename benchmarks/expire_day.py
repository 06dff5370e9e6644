"""`expire_day`: a day of 100 000 rows made unreadable and undecryptable, beside deleting its rows.

Reads refuse by the clock alone, so what is timed is the destruction of every root key of the day, until
each is proven to open nothing any more. The bare limit is `DELETE` of the same rows with its commit:
afterwards their bytes are still in the file and in the write-ahead log.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import date, datetime, timedelta

from sqlalchemy import text

from benchmarks.rounds import Result, median
from services.local.stack import LocalStack
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings
from services.storage.authority import LocalSlots
from services.storage.days import Days
from services.storage.epochs import DAY_SLOT, LAST_SLOT, Epoch, midnight
from services.storage.keys import Keyring
from services.storage.slots import SlotFile
from services.storage.store import partitions

ROWS = 100_000
BODY = 2048
TARGET = 50.0
CUSTOMER = "acme"
TERM_DAYS = 30
FIRST_DAY = date(2031, 1, 1)
"""Far from the days that the running service makes and expires."""

FILL = text(
    "INSERT INTO storage.records (day, customer, session, record, request_id, category, notice_version, "
    "receive_time, "
    "expire_time, size_class, state, body) "
    "SELECT :day, :customer, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'device.hardware', "
    "1, :received, "
    "CAST(:received AS timestamptz) + interval '30 days', 11, 1, "
    "decode(repeat(md5(n::text), :body / 16), 'hex') FROM generate_series(1, :rows) AS n"
)


class Noon:
    """A clock that the benchmark sets."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        """The instant set."""
        return self.instant


class NoBuckets:
    """The day's large bodies are no part of the comparison."""

    async def ensure(self, day: date) -> None:
        """Nothing is to be made."""


async def measure(stack: LocalStack, rounds: int, progress: Callable[[str], None]) -> Result:
    """Makes a day of rows and keys a round, destroys its keys, then deletes its rows."""
    logins = stack.databases["storage"]
    settings = DatabaseSettings(dsn=logins.dsn, owner_dsn=logins.owner_dsn, command_timeout=120)
    clock = Noon(midnight(FIRST_DAY))
    authority = LocalSlots(SlotFile(stack.layout.authority / "slots"))
    seen: list[tuple[float, float]] = []
    async with AsyncExitStack() as held:
        database = await held.enter_async_context(Database.open(settings))
        owner = Database.open_owner(settings)
        held.push_async_callback(owner.close)
        days = Days(database, owner, NoBuckets(), clock, own_term_days=TERM_DAYS, ahead=1)
        keys = Keyring(database, authority, days, clock)
        for number in range(rounds + 1):
            day = FIRST_DAY + timedelta(days=number)
            clock.instant = midnight(day) + timedelta(hours=12)
            epochs = await _make(day, owner, days, keys)
            clock.instant = Epoch.of_day(day).due(timedelta(days=TERM_DAYS))
            ours = await _timed(keys.destroy(epochs))
            bare = await _timed(_delete(day, owner))
            await partitions.remove(owner, day)
            if number:
                seen.append((ours, bare))
            progress(f"round {number} of {rounds}" if number else "warm-up")
    ratios = [bare / ours for ours, bare in seen]
    return Result(
        name="expire_day",
        ours=median([ours for ours, _ in seen]) * 1000,
        bare=median([bare for _, bare in seen]) * 1000,
        ratio=median(ratios),
        target=TARGET,
        unit="ms",
        lowest=min(ratios),
        highest=max(ratios),
        rounds=len(seen),
        held=median(ratios) >= TARGET,
        about=f"a day of {ROWS:,} rows of {BODY} bytes: all {LAST_SLOT + 2} root keys of the day "
        "destroyed, synced and each proven to "
        "open nothing (reads refuse by the clock alone), beside DELETE of the same rows. The ratio says "
        "how many times faster.",
    )


async def _make(day: date, owner: Database, days: Days, keys: Keyring) -> list[Epoch]:
    await days.fix_term(day, TERM_DAYS)
    epochs = [Epoch(day, slot) for slot in range(LAST_SLOT + 1)] + [Epoch(day, DAY_SLOT)]
    for epoch in epochs:
        await keys.sealing(epoch, "bench", CUSTOMER)
    async with owner.transaction([CUSTOMER]) as connection:
        received = midnight(day) + timedelta(hours=6)
        values = {"day": day, "customer": CUSTOMER, "received": received, "body": BODY, "rows": ROWS}
        await connection.execute(FILL, values)
    return epochs


async def _delete(day: date, owner: Database) -> None:
    async with owner.transaction([CUSTOMER]) as connection:
        await connection.execute(text("DELETE FROM storage.records WHERE day = :day"), {"day": day})


async def _timed(work: Awaitable[None]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started
