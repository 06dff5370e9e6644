"""SQL of the transparency log. Nothing here commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from idv.merkle import Node
from sqlalchemy import Row, insert, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retention.entries import Entry
from services.retention.tables import log_checkpoints, log_leaves, log_nodes

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('idv.retention.log', 0))")


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
    await connection.execute(_LOCK)


async def head(connection: AsyncConnection) -> Head | None:
    """The newest checkpoint; None before the log was opened for the first time."""
    query = select(log_checkpoints).order_by(log_checkpoints.c.size.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Head(row.size, row.root, row.note, row.sign_time)


async def add_head(connection: AsyncConnection, new: Head) -> None:
    """Stores a checkpoint; one of that size that is there already stays."""
    await connection.execute(upsert(log_checkpoints).values(new._asdict()).on_conflict_do_nothing())


async def known_sources(connection: AsyncConnection, sources: Iterable[str]) -> set[str]:
    """Which of these are logged already."""
    query = select(log_leaves.c.source).where(log_leaves.c.source.in_(list(sources)))
    return set((await connection.execute(query)).scalars())


async def nodes(connection: AsyncConnection, wanted: Iterable[Node]) -> dict[Node, bytes]:
    """The hashes of these nodes, by one read of as many rows."""
    listed = list(wanted)
    if not listed:
        return {}
    query = select(log_nodes).where(tuple_(log_nodes.c.level, log_nodes.c.number).in_(listed))
    return {Node(row.level, row.number): row.hash for row in await connection.execute(query)}


async def add_nodes(connection: AsyncConnection, grown: Mapping[Node, bytes]) -> None:
    """Stores nodes. A node that is there already fails the transaction: nodes never change."""
    rows = [{"level": node.level, "number": node.number, "hash": hash_} for node, hash_ in grown.items()]
    await connection.execute(insert(log_nodes), rows)


async def add_leaves(
    connection: AsyncConnection, begin: int, entries: Sequence[Entry], append_time: datetime
) -> None:
    """Stores the leaves of `entries` from index `begin` on; salt and entry only of those that are public."""
    rows = [
        {
            "leaf_index": begin + offset,
            "leaf_data": entry.opening.leaf(),
            "kind": entry.kind,
            "source": entry.source,
            "append_time": append_time,
            "salt": entry.opening.salt if entry.public else None,
            "entry": entry.opening.entry if entry.public else None,
        }
        for offset, entry in enumerate(entries)
    ]
    await connection.execute(insert(log_leaves), rows)


async def leaves(connection: AsyncConnection, begin: int, limit: int) -> Sequence[Row[tuple[object, ...]]]:
    """The leaves from index `begin` on, at most `limit`, in order."""
    query = select(log_leaves).where(log_leaves.c.leaf_index >= begin)
    return (await connection.execute(query.order_by(log_leaves.c.leaf_index).limit(limit))).all()
