"""SQL of the transparency log. Nothing here commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from idv.merkle import Node
from sqlalchemy import Row, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retention.entries import Entry
from services.retention.tables import log_checkpoints, log_leaves, log_nodes

# Whole columns at once: one statement of one shape, however many rows.
_KNOWN = "SELECT source FROM retention.log_leaves WHERE source = ANY ($1::text[])"
_NODES = (
    "SELECT level, number, hash FROM unnest($1::smallint[], $2::bigint[]) AS wanted (level, number)"
    " JOIN retention.log_nodes USING (level, number)"
)
_APPEND = """
WITH leaves AS (
    INSERT INTO retention.log_leaves (leaf_index, leaf_data, kind, source, append_time, salt, entry)
    SELECT $1::bigint + place - 1, leaf_data, kind, source, $2::timestamptz, salt, entry
    FROM unnest($3::bytea[], $4::smallint[], $5::text[], $6::bytea[], $7::bytea[])
        WITH ORDINALITY AS added (leaf_data, kind, source, salt, entry, place)
), nodes AS (
    INSERT INTO retention.log_nodes (level, number, hash)
    SELECT * FROM unnest($8::smallint[], $9::bigint[], $10::bytea[])
)
INSERT INTO retention.log_checkpoints (size, root, note, sign_time) VALUES ($11, $12, $13, $2)
"""
# Of a tree of `leaves`: the last perfect subtree of each level that is the root of one along its edge, and
# beside each node from the leaf $1 upwards its sibling. Those are all that appending and proving need.
_TREE = """
SELECT head.size, head.root, head.note, head.sign_time, found.levels, found.numbers, found.hashes
FROM (
    SELECT size, root, note, sign_time, coalesce($2::bigint, size) AS leaves
    FROM retention.log_checkpoints ORDER BY size DESC LIMIT 1
) AS head
CROSS JOIN LATERAL (
    SELECT array_agg(level), array_agg(number), array_agg(hash)
    FROM (
        SELECT level::smallint, (leaves >> level) - 1 FROM generate_series(0, 62) AS level
        WHERE (leaves >> level) & 1 = 1
        UNION ALL
        SELECT level::smallint, ($1::bigint >> level) # 1 FROM generate_series(0, 62) AS level
        WHERE ($1::bigint >> level) # 1 < leaves >> level
    ) AS wanted (level, number)
    JOIN retention.log_nodes USING (level, number)
) AS found (levels, numbers, hashes)
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('idv.retention.log', 0))"


class Head(NamedTuple):
    """A signed head of the log."""

    size: int
    root: bytes
    note: str
    sign_time: datetime


async def lock(connection: AsyncConnection) -> None:
    """Makes this transaction the only one that appends, until it ends.

    A statement of its own: under READ COMMITTED the next one then sees what the holder before committed.
    """
    await connection.exec_driver_sql(_LOCK)


async def head(connection: AsyncConnection) -> Head | None:
    """The newest checkpoint; None before the log was opened for the first time."""
    query = select(log_checkpoints).order_by(log_checkpoints.c.size.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Head(row.size, row.root, row.note, row.sign_time)


async def add_head(connection: AsyncConnection, new: Head) -> None:
    """Stores a checkpoint; one of that size that is there already stays."""
    await connection.execute(upsert(log_checkpoints).values(new._asdict()).on_conflict_do_nothing())


async def tree(
    connection: AsyncConnection, leaf: int | None = None, size: int | None = None
) -> tuple[Head, dict[Node, bytes]] | None:
    """The newest checkpoint, and what is stored of the nodes along the edge of the tree of `size` leaves (by
    default that checkpoint's) and beside the path of `leaf`; None before the log was opened.

    One statement, because a proof is little more than the time to ask for it.
    """
    row = (await connection.exec_driver_sql(_TREE, (leaf, size))).one_or_none()
    if row is None:
        return None
    places = map(Node, row.levels or (), row.numbers or ())
    return Head(row.size, row.root, row.note, row.sign_time), dict(zip(places, row.hashes or (), strict=True))


async def known_sources(connection: AsyncConnection, sources: Sequence[str]) -> set[str]:
    """Which of these are logged already."""
    found = await connection.exec_driver_sql(_KNOWN, (list(sources),))
    return set(found.scalars())


async def nodes(connection: AsyncConnection, wanted: Iterable[Node]) -> dict[Node, bytes]:
    """The hashes of these nodes, by one statement that reads as many rows."""
    listed = list(wanted)
    if not listed:
        return {}
    places = ([node.level for node in listed], [node.number for node in listed])
    rows = await connection.exec_driver_sql(_NODES, places)
    return {Node(row.level, row.number): row.hash for row in rows}


async def tile(connection: AsyncConnection, level: int, begin: int, width: int) -> list[bytes]:
    """The hashes of `width` nodes beside each other, from `begin` on; fewer where the log ends before."""
    query = select(log_nodes.c.hash).where(
        log_nodes.c.level == level, log_nodes.c.number >= begin, log_nodes.c.number < begin + width
    )
    return list((await connection.execute(query.order_by(log_nodes.c.number))).scalars())


async def append(
    connection: AsyncConnection,
    begin: int,
    entries: Sequence[Entry],
    data: Sequence[bytes],
    grown: Mapping[Node, bytes],
    new: Head,
) -> None:
    """Stores the leaves of `entries` from index `begin` on, the nodes they complete and the head above.

    `data` is what each leaf holds; salt and entry are stored only of those that are public. Whatever is there
    already fails the transaction: nothing of the log ever changes.
    """
    columns = (
        begin,
        new.sign_time,
        list(data),
        [entry.kind for entry in entries],
        [entry.source for entry in entries],
        [entry.opening.salt if entry.public else None for entry in entries],
        [entry.opening.entry if entry.public else None for entry in entries],
        [node.level for node in grown],
        [node.number for node in grown],
        list(grown.values()),
        new.size,
        new.root,
        new.note,
    )
    await connection.exec_driver_sql(_APPEND, columns)


async def count(connection: AsyncConnection, kind: int, begin: int = 0) -> int:
    """How many leaves of a kind there are, from index `begin` on."""
    query = select(func.count()).where(log_leaves.c.kind == kind, log_leaves.c.leaf_index >= begin)
    return int(await connection.scalar(query) or 0)


async def leaves(connection: AsyncConnection, begin: int, limit: int) -> Sequence[Row[tuple[object, ...]]]:
    """The leaves from index `begin` on, at most `limit`, in order."""
    query = select(log_leaves).where(log_leaves.c.leaf_index >= begin)
    return (await connection.execute(query.order_by(log_leaves.c.leaf_index).limit(limit))).all()
