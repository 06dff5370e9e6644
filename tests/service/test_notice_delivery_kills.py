"""2 000 Customers are told while the workers are killed: none is left out, the gate clears with the last."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from services.local.databases import ServiceDatabase
from services.local.mail import MailSink
from services.notice.accounts.accounts import AccountCall
from services.notice.delivery.links import message_id
from tests.delivery_parts import customer, telling
from tests.set_clock import SetClock
from tests.waiting import until

CUSTOMERS, KILLS = 2000, 25


async def test_2000_customers_are_told_while_workers_are_killed_25_times(
    service_database: ServiceDatabase, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with telling(service_database, SetClock()) as part, MailSink(tmp_path) as sink:
        accounts = [customer(f"customer-{index}") for index in range(CUSTOMERS)]
        await part.accounts.import_all(accounts, AccountCall(uuid.uuid4(), b"import"))
        number = await part.announce()
        assert (await part.counts(number)).held == CUSTOMERS
        workers = [asyncio.ensure_future(_worker(service_database.dsn, sink.address)) for _ in range(3)]
        for kill in range(1, KILLS + 1):
            goal = CUSTOMERS * kill // (KILLS + 2)
            await until("mails go on", partial(_arrived, tmp_path, goal))
            victim = await workers.pop(0)
            victim.kill()
            await victim.wait()
            workers.append(asyncio.ensure_future(_worker(service_database.dsn, sink.address)))

        async def told() -> bool:
            return not (await part.counts(number)).held

        await until("everybody is told", told, seconds=50)
        for worker in await asyncio.gather(*workers):
            worker.kill()
            await worker.wait()
        counts = await part.counts(number)
        assert (counts.accepted, counts.queued, counts.told_accepted) == (CUSTOMERS, 0, CUSTOMERS)
        life = (await part.replica.versions.shelf()).number(number).life
        assert life.start is not None
        arrived = Counter(str(message["Message-ID"]) for message in sink.messages())
    wanted = {message_id(number, one.tenant, one.email, "idv.example") for one in accounts}
    assert set(arrived) == wanted, "nobody is untold, and no mail has another Message-ID"
    twice = sum(count - 1 for count in arrived.values())
    record_property("came_twice", twice)
    assert twice <= KILLS * 4 * 2, "at most what the killed workers had under way and had not recorded"


async def _worker(dsn: str, server: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.delivery_worker", dsn, server, "2"),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"sending\n"
    return process


def _arrived(directory: Path, goal: int) -> bool:
    return sum(1 for _ in directory.glob("*.eml")) >= goal
