"""Versions on the real database: drafted, announced, withdrawn, told to followers; one answer for ever."""

from __future__ import annotations

import asyncio
import uuid
from datetime import datetime, timedelta

import asyncpg
import pytest
from idv.errors import IdvError, Reason
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import create_async_engine

from services.local.databases import ServiceDatabase
from services.notice.announcing import SETTLE
from services.notice.lifecycle import State
from services.notice.reviewing import Question
from services.notice.tables import METADATA
from services.runtime.database import sqlalchemy_url
from tests.notice_parts import TERMS, Replica, call, replica, shipped, sources
from tests.set_clock import START, SetClock
from tests.waiting import until

IMMATERIAL = TERMS.replace("rights: [know, delete]", "rights: [know, delete, limit]")
MATERIAL = TERMS + "  - code: face_image\n    sources: [sdk]\n"


async def refused(awaitable: object) -> IdvError:
    with pytest.raises(IdvError) as caught:
        await awaitable  # type: ignore[misc]  # any coroutine
    return caught.value


async def _drafted(part: Replica) -> bool:
    """Drafts until the feed knows of a second version; what fails meanwhile says that the store is away."""
    try:
        await part.versions.draft(sources(IMMATERIAL), call())
    except IdvError as error:
        if error.reason != Reason.ERROR_REASON_UNAVAILABLE:
            raise
    return len((await part.feed.current()).versions) > 1


async def in_force(part: Replica, at: datetime) -> int | None:
    version = (await part.versions.shelf(at)).in_force()
    return version.number if version else None


async def test_the_shipped_version_comes_into_force_at_once(service_database: ServiceDatabase) -> None:
    async with replica(service_database) as part:
        number = await part.publish(shipped())
        shelf = await part.versions.shelf()
    assert number == 1
    version = shelf.in_force()
    assert version is not None
    assert version.life.start == START
    assert len(version.terms.items) == 38


async def test_what_was_stored_comes_back_word_for_word(service_database: ServiceDatabase) -> None:
    written = shipped()
    async with replica(service_database) as part:
        drafted, _ = await part.versions.draft(written, call())
        stored = (await part.versions.shelf()).number(1)
        texts = await part.versions.texts(1)
    assert stored == drafted
    assert {text.language: text.markdown for text in texts} == written.texts


async def test_an_invalid_draft_names_every_fault_and_stores_nothing(
    service_database: ServiceDatabase,
) -> None:
    broken = TERMS.replace("log.events", "imei")
    async with replica(service_database) as part:
        error = await refused(part.versions.draft(sources(broken, zh="# 无\n"), call()))
        assert error.reason == Reason.ERROR_REASON_NOTICE_INVALID
        assert [v.field for v in error.violations] == [
            "terms.yaml:5 items[0].code",
            "text.en.md",
            "text.zh.md",
        ]
        assert (await part.versions.shelf()).versions == ()
        assert await part.versions.revision() == 0


async def test_thousands_of_faults_fit_into_one_answer(service_database: ServiceDatabase) -> None:
    items = "".join(f"  - code: x{number}\n    sources: [sdk]\n" for number in range(2000))
    async with replica(service_database) as part:
        error = await refused(part.versions.draft(sources(TERMS + items), call()))
    assert error.metadata["faults"].isdigit()
    assert len(error.to_status().SerializeToString()) < 8000


async def test_past_instants_keep_their_answer_when_a_later_version_comes(
    service_database: ServiceDatabase,
) -> None:
    clock = SetClock()
    async with replica(service_database, clock) as part:
        await part.publish()
        clock.advance(days=1)
        effective = START + timedelta(days=3)
        await part.publish(sources(IMMATERIAL), effective)
        moment = timedelta(microseconds=1)
        asked = [START - moment, START, effective - moment, effective, effective + timedelta(days=999)]
        answers = [await in_force(part, at) for at in asked]
        assert answers == [None, 1, 1, 2, 2]
        clock.advance(days=90)
        assert [await in_force(part, at) for at in asked] == answers


async def test_at_once_begins_when_every_follower_knows(service_database: ServiceDatabase) -> None:
    clock = SetClock()
    async with replica(service_database, clock) as part:
        await part.publish()
        clock.advance(hours=1)
        number = await part.publish(sources(IMMATERIAL))
        assert await in_force(part, clock.now()) == 1
        assert await in_force(part, clock.now() + SETTLE) == number == 2


async def test_a_material_second_version_is_refused_at_once_with_clause_and_reason(
    service_database: ServiceDatabase,
) -> None:
    async with replica(service_database) as part:
        await part.publish()
        version, _ = await part.versions.draft(sources(MATERIAL), call())
        error = await refused(part.versions.announce(version.number, None, call()))
        assert error.reason == Reason.ERROR_REASON_NOTICE_MATERIAL
        assert error.metadata["clause"] == "items.face_image"
        review = await part.versions.review(version.number, Question("officer"))
        assert review.material
        assert [change.clause for change in review.changes] == ["items.face_image"]
        assert [refusal.reason for refusal in review.refusals] == [Reason.ERROR_REASON_NOTICE_MATERIAL]
        shelf = await part.versions.shelf()
        assert shelf.state(shelf.number(2)) is State.DRAFT


async def test_a_version_is_announced_once(service_database: ServiceDatabase) -> None:
    async with replica(service_database) as part:
        await part.publish()
        error = await refused(part.versions.announce(1, None, call()))
        assert error.reason == Reason.ERROR_REASON_WRONG_STATE
        assert error.metadata["state"] == "IN_FORCE"
        assert (
            await refused(part.versions.announce(7, None, call()))
        ).reason == Reason.ERROR_REASON_NOT_FOUND


async def test_a_version_is_withdrawn_before_effect_and_never_after(
    service_database: ServiceDatabase,
) -> None:
    clock = SetClock()
    async with replica(service_database, clock) as part:
        await part.publish()
        await part.publish(sources(IMMATERIAL), START + timedelta(days=2))
        clock.advance(days=1)
        _, shelf = await part.versions.withdraw(2, "a clause was unclear", call())
        assert shelf.state(shelf.number(2)) is State.WITHDRAWN
        clock.advance(days=9)
        assert await in_force(part, clock.now()) == 1
        error = await refused(part.versions.withdraw(1, "too late", call()))
        assert error.reason == Reason.ERROR_REASON_WRONG_STATE


async def test_a_repeated_request_gets_the_first_answer(service_database: ServiceDatabase) -> None:
    async with replica(service_database) as part:
        once = call(request=uuid.uuid4())
        first, _ = await part.versions.draft(sources(), once)
        again, _ = await part.versions.draft(sources(), once)
        assert again == first
        announced = call(request=uuid.uuid4(), content=b"announce")
        await part.versions.announce(1, None, announced)
        again, _ = await part.versions.announce(1, None, announced)
        assert again.life.announce_time == START
        other = call(request=once.request_id, content=b"other content")
        error = await refused(part.versions.draft(sources(IMMATERIAL), other))
        assert error.reason == Reason.ERROR_REASON_REQUEST_ID_REUSED
        assert len((await part.versions.shelf()).versions) == 1


async def test_of_two_officers_who_announce_at_once_one_is_refused(service_database: ServiceDatabase) -> None:
    effective = START + timedelta(days=1)
    async with replica(service_database) as one, replica(service_database) as other:
        await one.publish()
        for _ in range(2):
            await one.versions.draft(sources(IMMATERIAL), call())
        outcomes = await asyncio.gather(
            one.versions.announce(2, effective, call()),
            other.versions.announce(3, effective, call()),
            return_exceptions=True,
        )
    failures = [outcome for outcome in outcomes if isinstance(outcome, IdvError)]
    assert [failure.reason for failure in failures] == [Reason.ERROR_REASON_WRONG_STATE]
    assert "one version at a time" in failures[0].message


async def test_drafts_made_at_once_get_numbers_of_their_own(service_database: ServiceDatabase) -> None:
    async with replica(service_database) as one, replica(service_database) as other:
        drafted = await asyncio.gather(
            *(part.versions.draft(sources(), call()) for part in (one, other) for _ in range(4))
        )
        assert sorted(version.number for version, _ in drafted) == list(range(1, 9))
        assert await one.versions.revision() == 8


async def test_a_follower_of_another_replica_hears_of_a_change_within_a_second(
    service_database: ServiceDatabase,
) -> None:
    async with replica(service_database) as here, replica(service_database) as there:
        followed = there.feed.follow()
        assert (await anext(followed)).versions == ()
        await here.publish()
        async with asyncio.timeout(1):
            while not (shelf := await anext(followed)).lives or shelf.lives[0].announce_time is None:
                pass
        assert shelf.number(1).life.start == START
        await followed.aclose()


async def test_followers_keep_the_last_known_versions_while_the_database_is_away(
    service_database: ServiceDatabase,
) -> None:
    async with replica(service_database) as part:
        await part.publish()
        await part.feed.refresh()
        admin = await asyncpg.connect(service_database.admin_dsn)
        try:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        finally:
            await admin.close()
        assert (await part.feed.current()).number(1)
        await until("a draft is known", lambda: _drafted(part))


async def test_the_running_service_cannot_rewrite_or_remove_what_was_published(
    service_database: ServiceDatabase,
) -> None:
    async with replica(service_database) as part:
        await part.publish()
    connection = await asyncpg.connect(service_database.dsn)
    try:
        for statement in (
            "UPDATE versions SET terms = '{}'",
            "UPDATE texts SET markdown = ''",
            "UPDATE changes SET actor = 'nobody'",
            "DELETE FROM versions",
            "DELETE FROM texts",
            "DELETE FROM changes",
            "TRUNCATE requests",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_migrations_make_the_schema_that_the_code_describes(
    service_database: ServiceDatabase,
) -> None:
    engine = create_async_engine(sqlalchemy_url(service_database.owner_dsn))
    try:
        async with engine.connect() as connection:
            made = await connection.run_sync(_columns)
    finally:
        await engine.dispose()
    described = {
        table.name: {(column.name, str(column.type), bool(column.nullable)) for column in table.columns}
        for table in METADATA.sorted_tables
    }
    assert made == described


def _columns(connection: Connection) -> dict[str, set[tuple[str, str, bool]]]:
    """Name, type and nullability of every column, by table; without Alembic's own table."""
    look = inspect(connection)
    return {
        table: {
            (column["name"], _TYPES.get(str(column["type"]), str(column["type"])), bool(column["nullable"]))
            for column in look.get_columns(table, schema="notice")
        }
        for table in look.get_table_names(schema="notice")
        if table != "alembic_version"
    }


_TYPES = {"TIMESTAMP": "DATETIME", "BYTEA": "BLOB", "UUID": "CHAR(32)"}
"""What PostgreSQL calls the types that the schema names without a database."""
