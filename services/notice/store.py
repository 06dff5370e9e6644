"""All SQL of the notice service. Nothing here commits: the domain operation opens the transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice.content import Version
from services.notice.lifecycle import Life
from services.notice.tables import changes, customer_ids, requests, texts, versions
from services.notice.terms import Language, Terms
from services.notice.text import Text

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('notice.versions'))")


async def lock(connection: AsyncConnection) -> None:
    """Takes the only right to change versions until the transaction ends: two officers queue here."""
    await connection.execute(_LOCK)


async def answered(connection: AsyncConnection, request_id: UUID) -> tuple[int, bytes] | None:
    """Number and fingerprint of the call that was answered under this id."""
    query = select(requests.c.number, requests.c.fingerprint).where(requests.c.request_id == request_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else (row.number, row.fingerprint)


async def remember(connection: AsyncConnection, request_id: UUID, fingerprint: bytes, number: int) -> None:
    """Notes that a call was answered with this version."""
    values = {"request_id": request_id, "fingerprint": fingerprint, "number": number}
    await connection.execute(insert(requests).values(values))


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A change of a version's stored state, with what it is told with."""

    sequence: int
    number: int
    kind: str
    time: datetime
    actor: str
    reason: str | None
    declared: int
    digest: bytes
    effective_time: datetime | None
    material: bool | None
    told: Mapping[str, int] | None
    """How the audience had been told when the gate cleared: counts by field of `AudienceTold`."""


async def append_change(
    connection: AsyncConnection,
    number: int,
    kind: str,
    at: datetime,
    actor: str,
    reason: str | None = None,
    *,
    declared: int = 0,
    told: Mapping[str, int] | None = None,
) -> None:
    """Notes a change of state. Needs `lock`, which keeps the sequence without gaps."""
    sequence = await revision(connection) + 1
    values: dict[str, Any] = {
        "sequence": sequence,
        "number": number,
        "kind": kind,
        "change_time": at,
        "actor": actor,
        "reason": reason,
        "declared": declared,
    }
    if told is not None:
        values["told"] = dict(told)
    await connection.execute(insert(changes).values(values))


async def author(connection: AsyncConnection, number: int) -> str | None:
    """Who drafted a version."""
    query = select(changes.c.actor).where(changes.c.number == number, changes.c.kind == "created")
    return await connection.scalar(query)


async def changes_after(connection: AsyncConnection, after: int, limit: int) -> list[StoredChange]:
    """Changes after a sequence number, in order."""
    query = (
        select(changes, versions.c.digest, versions.c.effective_time, versions.c.material)
        .join(versions, versions.c.number == changes.c.number)
        .where(changes.c.sequence > after)
        .order_by(changes.c.sequence)
        .limit(limit)
    )
    return [
        StoredChange(
            *(row.sequence, row.number, row.kind, row.change_time, row.actor, row.reason, row.declared),
            *(row.digest, row.effective_time, row.material, row.told),
        )
        for row in await connection.execute(query)
    ]


async def count_customers(connection: AsyncConnection) -> int:
    """How many Customers are registered, and not off-boarded."""
    query = select(func.count()).select_from(customer_ids).where(customer_ids.c.offboarded.is_(False))
    return int(await connection.scalar(query) or 0)


async def revision(connection: AsyncConnection) -> int:
    """How often anything changed so far; equal revisions mean equal versions."""
    return int(await connection.scalar(select(func.coalesce(func.max(changes.c.sequence), 0))) or 0)


async def insert_version(
    connection: AsyncConnection, version: Version, terms_yaml: str, content: tuple[Text, ...]
) -> None:
    """Stores a draft with its texts."""
    values = {
        "number": version.number,
        "terms": version.terms.plain(),
        "terms_yaml": terms_yaml,
        "digest": version.digest,
        "create_time": version.life.create_time,
    }
    await connection.execute(insert(versions).values(values))
    rows = [
        {"number": version.number, "language": t.language, "title": t.title, "markdown": t.markdown}
        for t in content
    ]
    await connection.execute(insert(texts), rows)


async def announce(connection: AsyncConnection, life: Life, *, material: bool) -> None:
    """Stores the instants of an announcement."""
    values = {
        "material": material,
        "announce_time": life.announce_time,
        "effective_time": life.effective_time,
        "clear_time": life.clear_time,
    }
    await connection.execute(update(versions).where(versions.c.number == life.number).values(values))


async def clear(connection: AsyncConnection, number: int, at: datetime) -> None:
    """Stores, once, the instant at which a version's gate clears."""
    uncleared = update(versions).where(versions.c.number == number, versions.c.clear_time.is_(None))
    await connection.execute(uncleared.values(clear_time=at))


async def withdraw(connection: AsyncConnection, number: int, at: datetime) -> None:
    """Stores the instant of a withdrawal."""
    await connection.execute(update(versions).where(versions.c.number == number).values(withdraw_time=at))


async def all_versions(connection: AsyncConnection) -> tuple[Version, ...]:
    """Every version, by number; a notice has few."""
    rows = await connection.execute(select(versions).order_by(versions.c.number))
    return tuple(_version(row) for row in rows)


async def texts_of(connection: AsyncConnection, number: int) -> tuple[Text, ...]:
    """The texts of a version, by language."""
    rows = await connection.execute(select(texts).where(texts.c.number == number).order_by(texts.c.language))
    return tuple(Text(cast("Language", row.language), row.title, row.markdown) for row in rows)


def _version(row: Row[Any]) -> Version:
    life = Life(
        row.number, row.create_time, row.announce_time, row.effective_time, row.clear_time, row.withdraw_time
    )
    # Stored terms passed every check when they were drafted; through JSON because strict Python takes no
    # list for a tuple.
    return Version(life, Terms.model_validate_json(json.dumps(row.terms)), row.digest, row.material)
