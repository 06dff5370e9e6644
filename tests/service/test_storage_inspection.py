"""The figures of the daily statement: counted, tried, and true when something is wrong, too."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import asyncpg
from idv.storage.v1 import storage_pb2 as pb

from services.runtime.resources import parse_record
from services.storage import ids
from services.storage.epochs import Epoch
from tests.storage_parts import START, Replica, Servers

TERM = timedelta(days=30)


async def inspect(storage: Replica, since: bool = False) -> pb.InspectTermsResponse:
    request = pb.InspectTermsRequest()
    if since:
        request.since_time.FromDatetime(storage.servers.clock.time)
    return await storage.storage.servicer.InspectTerms(request, None)


def epoch_of(name: str) -> Epoch:
    return ids.record_epoch(UUID(parse_record(name, field="name").record))


async def test_an_empty_store_holds_nothing(storage: Replica) -> None:
    figures = await inspect(storage)
    assert (figures.readable_count, figures.past_term_count, figures.key_count) == (0, 0, 0)
    assert not figures.HasField("oldest_readable_time")


async def test_what_can_be_read_is_counted_over_all_customers(storage: Replica) -> None:
    first = await storage.write(await storage.session())
    await storage.write(await storage.session("globex"))
    gone = await storage.write(await storage.session(subject="subject-2"))
    await storage.erase(record=gone.name)
    figures = await inspect(storage)
    assert figures.readable_count == 2
    assert figures.oldest_readable_time == first.receive_time
    assert figures.day_count >= 1
    assert figures.key_count >= 2, "a quarter-hour's, and the day's"
    assert (figures.past_term_count, figures.due_key_tried, figures.destroyed_key_count) == (0, 0, 0)


async def test_records_and_keys_past_their_term_are_tried_and_open_no_more(storage: Replica) -> None:
    record = await storage.write(await storage.session())
    storage.servers.clock.time = START + TERM
    late = await inspect(storage)
    assert (late.readable_count, late.past_term_count, late.past_term_tried) == (0, 1, 1)
    assert late.past_term_readable == 0, "unreadable by the clock alone, before its key is destroyed"
    storage.servers.clock.time = epoch_of(record.name).due(TERM)
    due = await inspect(storage)
    assert (due.due_key_tried, due.due_key_opened) == (1, 1), "due this instant, and not destroyed yet"
    await storage.storage.expiry.run()
    after = await inspect(storage)
    assert (after.due_key_tried, after.due_key_opened) == (0, 0)
    assert (after.destroyed_key_count, after.new_destroyed_key_count, after.new_late_key_count) == (1, 1, 0)
    assert (after.past_term_count, after.past_term_readable) == (1, 0), "its row rests until its day goes"


async def test_only_what_was_destroyed_since_is_new_and_late_is_told(storage: Replica) -> None:
    await storage.write(await storage.session())
    storage.servers.clock.time = START + TERM + timedelta(hours=5)
    await storage.storage.expiry.run()
    told = await inspect(storage)
    assert (told.new_destroyed_key_count, told.new_late_key_count) == (1, 1)
    assert told.new_worst_lateness_seconds > 4 * 3600
    storage.servers.clock.time += timedelta(hours=1)
    later = await inspect(storage, since=True)
    assert (later.destroyed_key_count, later.new_destroyed_key_count, later.new_late_key_count) == (1, 0, 0)
    assert later.new_worst_lateness_seconds == 0


async def test_a_record_whose_term_was_lengthened_in_the_database_shows(
    servers: Servers, storage: Replica
) -> None:
    """The count is of rows and instants as they are, not of what they should be."""
    await storage.write(await storage.session())
    admin = await asyncpg.connect(servers.database.admin_dsn)
    try:
        await admin.execute("UPDATE storage.records SET expire_time = expire_time + interval '400 days'")
    finally:
        await admin.close()
    storage.servers.clock.time = START + TERM + timedelta(days=1)
    figures = await inspect(storage)
    assert figures.readable_count == 1
    assert figures.oldest_readable_time.ToDatetime().date() == START.date(), "older than any term allows"


async def test_it_changes_nothing_and_logs_no_access(storage: Replica) -> None:
    await storage.write(await storage.session())
    storage.servers.clock.time = START + TERM
    first = await inspect(storage)
    assert await inspect(storage) == first
    listed = await storage.storage.servicer.ListAccesses(
        pb.ListAccessesRequest(parent="customers/acme"), None
    )
    assert list(listed.accesses) == []
