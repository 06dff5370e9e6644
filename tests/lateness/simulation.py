"""Replicas, data and trouble by a clock of its own: an agenda of instants, worked off in order."""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import os
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import asyncpg
import grpc
from idv.errors import IdvError
from idv.storage.v1 import storage_pb2_grpc
from idv.types.v1 import processing_pb2

from services.local.databases import ServiceDatabase
from services.runtime.resources import parse_record
from services.storage import ids
from services.storage.authority import KeyDestroyedError
from services.storage.epochs import Epoch
from services.storage.keys import key_name
from services.storage.store import keys as key_store
from tests.lateness.findings import Findings
from tests.retention_parts import Retention
from tests.retention_parts import replica as retention_replica
from tests.s3 import s3_client
from tests.storage_parts import START, Replica, Servers

TERM = timedelta(days=30)
EVERY = timedelta(seconds=10)
"""How often a replica looks for what is due, by default."""
MOST = 3
BODY = b"by the clock"


@dataclass
class Member:
    """One replica of storage and of retention."""

    storage: Replica
    retention: Retention
    phase: timedelta
    """When within each `EVERY` it looks."""
    leaving: AsyncExitStack
    asleep_until: datetime = START

    async def work(self) -> None:
        """One turn of the jobs of both services."""
        await self.storage.storage.drop_due_keys()
        await self.storage.storage.expiry.run()
        await self.retention.expiries.run()


@dataclass
class Held:
    """A key, or with slot None the bytes of a day, that is to go."""

    due: datetime
    first_end: datetime
    """When the first record that it holds ended."""
    root: key_store.Root | None = None


@dataclass
class Simulation:
    """`await run()`, then look at `found`."""

    servers: Servers
    retention: ServiceDatabase
    days: int
    found: Findings = field(default_factory=Findings)

    def __post_init__(self) -> None:
        self._random = random.Random(self.days)  # noqa: S311 - the same course in each run
        self._agenda: list[tuple[datetime, int, Callable[[], Awaitable[None]]]] = []
        self._order = count()
        self._members: list[Member] = []
        self._held: dict[tuple[str, int | None], Held] = {}
        self._away: list[tuple[datetime, datetime]] = []
        self._away_since: datetime | None = None

    @property
    def _now(self) -> datetime:
        return self.servers.clock.now()

    async def run(self) -> None:
        """Goes from the first instant of the agenda to the last."""
        for _ in range(2):
            await self._join()
        self._plan()
        try:
            while self._agenda:
                instant, _, act = heapq.heappop(self._agenda)
                self.servers.clock.time = max(self._now, instant)
                await act()
            await self._read_log()
        finally:
            for member in list(self._members):
                await self._leave(member)
        assert not self._held, "everything went in the end"

    def _at(self, instant: datetime, act: Callable[[], Awaitable[None]]) -> None:
        heapq.heappush(self._agenda, (instant, next(self._order), act))

    def _plan(self) -> None:
        """Data for the days; among the replicas changes, pauses, jumps and outages until all is gone."""
        chance = self._random
        for day in range(self.days):
            for _ in range(3):
                self._at(START + timedelta(days=day, seconds=chance.uniform(0, 80_000)), self._collect)
        until = self.days + TERM.days + 1
        for tenth in range(until * 10):
            instant = START + timedelta(days=tenth / 10, seconds=chance.uniform(0, 8_000))
            if tenth % 6 == 0:
                self._at(instant, self._change)
            if tenth % 4 == 0:
                self._at(instant, self._pause)
            if tenth % 43 == 0:
                self._at(instant, self._jump)
            if tenth % 53 == 50:
                self._at(instant, self._outage)
        self._at(START + timedelta(days=until + 1), self._end_outage)

    async def _join(self) -> None:
        leaving = AsyncExitStack()
        storage = await leaving.enter_async_context(self.servers.replica())
        server = grpc.aio.server()
        storage_pb2_grpc.add_StorageServiceServicer_to_server(storage.storage.servicer, server)
        address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        leaving.push_async_callback(server.stop, 0)
        retention = await leaving.enter_async_context(
            retention_replica(self.retention, address, self.servers.clock)
        )
        phase = timedelta(seconds=self._random.uniform(0, EVERY.total_seconds()))
        self._members.append(Member(storage, retention, phase, leaving))
        self.found.joined += 1
        self._roll_call()

    async def _leave(self, member: Member) -> None:
        self._members.remove(member)
        await member.leaving.aclose()
        self._roll_call()

    async def _change(self) -> None:
        if len(self._members) < MOST and self._random.random() < 0.6:
            await self._join()
        elif len(self._members) > 1:
            await self._leave(self._random.choice(self._members))

    async def _pause(self) -> None:
        if self._members:
            member = self._random.choice(self._members)
            member.asleep_until = self._now + timedelta(minutes=self._random.uniform(1, 50))
            self.found.pauses += 1
            self._at(member.asleep_until, self._wake)
            self._roll_call()

    async def _wake(self) -> None:
        self._roll_call()

    async def _jump(self) -> None:
        """The clock is set ahead: what was due in between could not be done in between."""
        begun, length = self._now, timedelta(minutes=self._random.uniform(1, 180))
        self.found.jumps += 1
        self._away.append((begun, begun + length))
        self.servers.clock.time = begun + length
        self._roll_call()

    async def _outage(self) -> None:
        """All replicas go; one is back up to six hours later."""
        for member in list(self._members):
            await self._leave(member)
        self._at(self._now + timedelta(hours=self._random.uniform(0.5, 6)), self._end_outage)

    async def _end_outage(self) -> None:
        if not self._members:
            await self._join()

    def _awake(self) -> list[Member]:
        return [member for member in self._members if member.asleep_until <= self._now]

    def _roll_call(self) -> None:
        """Notes from when to when none runs, and lets whoever does look for what is due."""
        if not self._awake():
            self._away_since = self._away_since or self._now
            return
        if self._away_since is not None:
            self.found.outages += 1
            self._away.append((self._away_since, self._now))
            self._away_since = None
        if any(held.due <= self._now for held in self._held.values()):
            self._next_look()

    def _next_look(self) -> None:
        """Puts the next look of a replica that runs on the agenda."""
        begin = datetime(2026, 1, 1, tzinfo=UTC)
        looks = []
        for member in self._awake():
            turns = math.floor((self._now - begin - member.phase) / EVERY) + 1
            looks.append(begin + member.phase + turns * EVERY)
        if looks:
            self._at(min(looks), self._look)

    async def _collect(self) -> None:
        """A session with a record, small or an object; whatever holds it is noted with when it is due."""
        awake = self._awake()
        if not awake:
            return
        member = self._random.choice(awake).storage
        session = await member.session(subject=f"s-{self.found.records}")
        if self.found.records % 5 == 0:
            record = await member.upload(session, BODY + os.urandom(100_000))
        else:
            record = await member.write(session, BODY)
        self.found.records += 1
        end = record.expire_time.ToDatetime(UTC)
        epoch = ids.record_epoch(UUID(parse_record(record.name, field="name").record))
        async with member.around.database.transaction() as connection:
            root = await key_store.find_root(connection, epoch)
        for key, due in (
            ((epoch.day.isoformat(), epoch.slot), epoch.due(TERM)),
            ((epoch.day.isoformat(), None), Epoch.of_day(epoch.day).due(TERM)),
        ):
            if key not in self._held:
                self._held[key] = Held(due, end, root if key[1] is not None else None)
                self._at(due, self._wake)
        self._at(end - timedelta(microseconds=1), lambda: self._last_moment(record))
        self._at(end, lambda: self._end_of(record))

    async def _last_moment(self, record: processing_pb2.Record) -> None:
        if self._now < record.expire_time.ToDatetime(UTC):
            for member in self._awake():
                assert (await member.storage.read(record.name)).startswith(BODY), "to the last microsecond"

    async def _end_of(self, record: processing_pb2.Record) -> None:
        end = record.expire_time.ToDatetime(UTC)
        for member in self._awake():
            try:
                await member.storage.read(record.name)
            except IdvError as error:
                assert error.reason_name in {"EXPIRED", "NOT_FOUND"}  # noqa: PT017 - nothing else is right
            else:
                self.found.unreadable.note(end, datetime.max.replace(tzinfo=UTC), timedelta())
        self.found.unreadable.note(end, end, timedelta())

    async def _look(self) -> None:
        """One replica looks, at times all at once; at times it is killed over it."""
        awake = self._awake()
        if not awake:
            return
        workers = awake if self._random.random() < 0.3 else [self._random.choice(awake)]
        at_work = [asyncio.create_task(member.work()) for member in workers]
        if self._random.random() < 0.08:
            await asyncio.wait(at_work, timeout=self._random.uniform(0, 0.05))
            at_work[0].cancel()
            self.found.kills += 1
        for result in await asyncio.gather(*at_work, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await self._observe()
        if at_work[0].cancelled():
            await self._leave(workers[0])
        if any(held.due <= self._now for held in self._held.values()):
            self._next_look()

    async def _observe(self) -> None:
        """Looks from outside what is gone by now."""
        for key, held in list(self._held.items()):
            if held.due > self._now or not await self._is_gone(key, held):
                continue
            away = sum((_overlap(span, (held.due, self._now)) for span in self._away), timedelta())
            kind = self.found.days if key[1] is None else self.found.keys
            kind.note(held.first_end, self._now, away)
            self.found.destroyed[key] = self._now
            del self._held[key]

    async def _is_gone(self, key: tuple[str, int | None], held: Held) -> bool:
        day, slot = key
        if slot is None:
            return not await self._bytes_of(day.replace("-", ""))
        if held.root is None or not self._members:
            return False
        epoch = Epoch(datetime.fromisoformat(day).date(), slot)
        authority = self._members[0].storage.around.authority
        try:
            await authority.open(key_name(epoch), held.root.version, held.root.sealed or b"")
        except KeyDestroyedError:
            return True
        return False

    async def _bytes_of(self, suffix: str) -> list[str]:
        """Partitions and bucket of the day that are there still."""
        admin = await asyncpg.connect(self.servers.database.admin_dsn)
        try:
            query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE $1"
            left = [row["relname"] for row in await admin.fetch(query, f"%{suffix}")]
        finally:
            await admin.close()
        async with s3_client(self.servers.objects, "operator") as client:
            buckets = [each["Name"] for each in (await client.list_buckets())["Buckets"]]
        return left + [name for name in buckets if name == f"{self.servers.bucket_prefix}{suffix}"]

    async def _read_log(self) -> None:
        await self._end_outage()
        part = self._members[0].retention
        await part.expiries.run()
        rows, _ = await part.log.leaves(0, 5000)
        for row in rows:
            said = json.loads(row.entry or b"{}")
            due, done = (datetime.fromisoformat(said[name]) for name in ("due_time", "destroy_time"))
            self.found.logged[said["day"], said.get("slot")] = done
            self.found.lateness_logged.append((done - due).total_seconds())


def _overlap(one: tuple[datetime, datetime], other: tuple[datetime, datetime]) -> timedelta:
    return max(min(one[1], other[1]) - max(one[0], other[0]), timedelta())
