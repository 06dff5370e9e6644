"""Ninety days by the clock; replicas come, go, stand still and are killed: how late expiry ever is.

Everything is real but the time: database, objects, key authority, storage and retention. The clock goes from
one instant at which something happens to the next, and a replica looks for what is due every ten seconds of
it, as it does by default; looks at which nothing can be due are left out.
"""

from __future__ import annotations

from pathlib import Path

from services.local.databases import DatabaseFactory
from services.local.objects import ObjectStore
from tests.lateness.simulation import Simulation
from tests.storage_parts import Servers

DAYS = 90
UNDECRYPTABLE, GONE = 3600.0, 27 * 3600.0
"""Seconds after a record's end, as the notice promises."""


async def test_over_90_days_nothing_is_later_than_promised_and_what_was_held_up_is_logged_as_late(
    database_factory: DatabaseFactory, objects: ObjectStore, tmp_path: Path, told: list[str]
) -> None:
    servers = Servers(await database_factory("storage"), objects, tmp_path)
    simulation = Simulation(servers, await database_factory("retention"), days=DAYS)
    await simulation.run()
    found = simulation.found
    told += found.table()
    assert found.records >= 2 * DAYS
    assert found.unreadable.worst_while_running == 0, "refused at the second"
    assert found.keys.worst_while_running <= UNDECRYPTABLE
    assert found.days.worst_while_running <= GONE
    assert found.outages > 3
    assert found.keys.worst > found.keys.worst_while_running, "an outage held something up"
    assert found.logged.keys() == found.destroyed.keys(), "each destruction is a leaf"
    early = [key for key, done in found.destroyed.items() if found.logged[key] < done]
    assert early == [], "and none is dated before it was done"
    assert any(late > UNDECRYPTABLE for late in found.lateness_logged), "what was late is logged as late"
