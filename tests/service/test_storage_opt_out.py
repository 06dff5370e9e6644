"""Opting out: nothing more enters, for open sessions too; what was collected stays to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from idv.errors import IdvError

from services.local.databases import ServiceDatabase
from services.local.objects import ObjectStore
from tests.storage_parts import Replica, Servers, reason

IDFV = "device.hardware.idfv"


@pytest_asyncio.fixture
async def servers(service_database: ServiceDatabase, objects: ObjectStore, tmp_path: Path) -> Servers:
    return Servers(service_database, objects, tmp_path)


@pytest_asyncio.fixture
async def storage(servers: Servers) -> AsyncIterator[Replica]:
    async with servers.replica() as replica:
        yield replica


async def test_no_session_is_opened_and_open_ones_take_nothing_more(storage: Replica) -> None:
    session = await storage.session()
    before = await storage.write(session, b"before")
    answer = await storage.opt_out()
    assert answer.opt_out_time == storage.now()
    assert await reason(storage.session()) == "OPTED_OUT"
    assert await reason(storage.write(session)) == "OPTED_OUT"
    assert await reason(storage.upload(session, b"face")) == "OPTED_OUT"
    assert [each async for each in storage.around.objects.listed(storage.servers.clock.now().date())] == []
    assert await storage.read(before.name) == b"before"
    assert await storage.write(await storage.session(subject="somebody else"))
    assert await storage.write(await storage.session("other"))


async def test_it_is_kept_when_every_day_of_its_time_is_gone(storage: Replica) -> None:
    await storage.write(await storage.session())
    await storage.opt_out()
    storage.advance(days=90)
    await storage.storage.expiry.run()
    await storage.storage.days.prepare()
    assert await reason(storage.session()) == "OPTED_OUT"
    await storage.erase(everything=True)
    storage.advance(seconds=1)
    assert await reason(storage.session()) == "OPTED_OUT"


async def test_lifted_it_allows_collection_again_in_open_sessions_too(storage: Replica) -> None:
    session = await storage.session()
    await storage.opt_out()
    lifted = await storage.opt_out(opted_out=False)
    assert not lifted.HasField("opt_out_time")
    assert await storage.write(session)
    assert await storage.write(await storage.session())
    admin = await asyncpg.connect(storage.servers.database.admin_dsn)
    try:
        assert await admin.fetchval("SELECT count(*) FROM storage.opt_outs") == 0
    finally:
        await admin.close()


async def test_of_some_items_the_others_go_on(storage: Replica) -> None:
    session = await storage.session()
    await storage.opt_out(items=["face_image"])
    assert await reason(storage.upload(session, b"face")) == "OPTED_OUT"
    assert await storage.write(session, category="log")
    with pytest.raises(IdvError) as refused:
        await storage.session()
    assert refused.value.metadata == {"items": "face_image"}
    without = await storage.session(items=["log"])
    assert await storage.write(without, category="log")
    await storage.opt_out(items=["log"])  # the latest call counts whole
    assert await storage.session(items=["face_image"])
    assert await reason(storage.session(items=["log"])) == "OPTED_OUT"


async def test_of_an_optional_item_what_could_hold_it_is_refused_and_nothing_else(storage: Replica) -> None:
    asked = await storage.session(items=["device.hardware", IDFV])
    token = storage.servers.token(asked, ["device.hardware", IDFV])
    plain = await storage.session(items=["device.hardware"])
    await storage.opt_out(items=[IDFV])
    assert await reason(storage.write(asked, session_token=token)) == "OPTED_OUT"
    assert await storage.write(plain, session_token=storage.servers.token(plain, ["device.hardware"]))
    assert await reason(storage.session(items=["device.hardware", IDFV])) == "OPTED_OUT"
    assert await storage.session(items=["device.hardware"])


async def test_what_is_no_category_and_no_optional_item_is_refused(storage: Replica) -> None:
    for item in ("imei", "device", "device.hardware.brand"):
        with pytest.raises(IdvError) as refused:
            await storage.opt_out(items=[item])
        assert (refused.value.reason_name, refused.value.field) == ("INVALID_ARGUMENT", "items")
        assert IDFV in (refused.value.remedy or "")


async def test_a_late_repeat_does_not_opt_out_again_and_a_repeat_says_since_when(storage: Replica) -> None:
    request_id = str(uuid4())
    first = await storage.opt_out(request_id=request_id)
    storage.advance(days=2)
    assert await storage.opt_out() == first, "still the same opt-out, since the same instant"
    await storage.opt_out(opted_out=False)
    assert await storage.opt_out(request_id=request_id) == first
    assert await storage.session()
    assert await reason(storage.opt_out("other", request_id=request_id)) == "REQUEST_ID_REUSED"


async def test_no_reference_to_the_subject_rests_and_days_cannot_be_linked_by_it(storage: Replica) -> None:
    subject = "canary-subject"
    await storage.session(subject=subject)
    await storage.opt_out(subject)
    await storage.restrict(subject)
    admin = await asyncpg.connect(storage.servers.database.admin_dsn)
    try:
        digests = [
            row["subject_digest"]
            for table in ("sessions", "restrictions", "opt_outs")
            for row in await admin.fetch(f"SELECT subject_digest FROM storage.{table}")  # noqa: S608 - constants
        ]
        texts = [
            str(await admin.fetch(f"SELECT t::text FROM storage.{table} t"))  # noqa: S608 - constants
            for table in ("changes", "opt_outs", "restrictions", "customer_keys", "sessions")
        ]
    finally:
        await admin.close()
    # A session and today's restriction share the digest of the day; tomorrow's and the opt-out's are others.
    assert len(digests) == 4
    assert len(set(digests)) == 3
    assert not any(subject in text or subject.encode().hex() in text for text in texts)


async def test_while_writes_run_nothing_is_acknowledged_after_the_answer(servers: Servers) -> None:
    async with servers.replica() as one, servers.replica() as two:
        sessions = [await one.session() for _ in range(5)]
        answered = asyncio.Event()
        late: list[str] = []
        refused: set[str] = set()

        async def write(index: int) -> None:
            replica, after = (one, two)[index % 2], answered.is_set()
            try:
                await replica.write(sessions[index % 5])
                if after:
                    late.append("written")
            except IdvError as error:
                refused.add(error.reason_name)

        async def leave() -> None:
            await two.opt_out()
            answered.set()

        async with asyncio.TaskGroup() as group:
            for index in range(60):
                group.create_task(write(index))
                if index == 20:
                    group.create_task(leave())
                await asyncio.sleep(0)
        await asyncio.gather(*(write(index) for index in range(10)))
        assert (late, refused) == ([], {"OPTED_OUT"})


async def test_a_session_opened_during_the_customers_first_opt_out_is_never_missed(servers: Servers) -> None:
    async with servers.replica() as one, servers.replica() as two:

        async def opened(replica: Replica) -> str:
            try:
                session = await replica.session()
            except IdvError as error:
                return error.reason_name
            return await reason_of_write(replica, session)

        async def reason_of_write(replica: Replica, session: object) -> str:
            await done.wait()
            return await reason(replica.write(session))  # type: ignore[arg-type]  # a session, as returned

        async def leave() -> None:
            await one.opt_out()
            done.set()

        done = asyncio.Event()
        answers, _ = await asyncio.gather(
            asyncio.gather(*(opened((one, two)[index % 2]) for index in range(20))), leave()
        )
        assert set(answers) <= {"OPTED_OUT", "UNAVAILABLE"}
