"""`log_append`: leaves appended to the log in batches, beside bare inserts of the same rows.

An append takes the log's lock, looks which entries are logged already, checks the nodes it builds on against
the signed root, hashes, and signs the new head. The bare limit writes the same leaves, nodes and heads into
tables with the same indices, in as many transactions: nothing is hashed, looked up or signed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg
from idv.merkle import Node

from benchmarks.log_rows import KIND, SIGNER, Growing
from benchmarks.rounds import Result, interleave, median
from services.local.databases import DatabaseFactory
from services.local.stack import LocalStack
from services.retention.entries import Entry, entry
from services.retention.log import TransparencyLog
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings

BATCH = 500
BATCHES = 4
TURNS = 6
"""How often both take turns in a round: short ones, so that what else the machine does meets both alike."""
TARGET = 0.5

_TABLES = ("log_leaves", "log_nodes", "log_checkpoints")
_LEAVES = (
    "INSERT INTO bare.log_leaves SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::smallint[], $4::text[],"
    " $5::timestamptz[], $6::bytea[], $7::bytea[])"
)
_NODES = "INSERT INTO bare.log_nodes SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])"
_HEAD = "INSERT INTO bare.log_checkpoints VALUES ($1, $2, $3, $4)"


class Rows(NamedTuple):
    """What one append writes."""

    leaves: tuple[list[Any], ...]
    nodes: tuple[list[Any], ...]
    head: tuple[int, bytes, str, datetime]


async def measure(stack: LocalStack, rounds: int, progress: Callable[[str], None]) -> Result:
    """Leaves a second of both, on databases of their own; entries and rows are made before the time runs."""
    factory = DatabaseFactory(stack.postgres.admin_dsn)
    made = await factory("retention")
    bare = await asyncpg.connect(made.admin_dsn)
    try:
        await bare.execute("CREATE SCHEMA bare")
        for table in _TABLES:
            await bare.execute(f"CREATE TABLE bare.{table} (LIKE retention.{table} INCLUDING ALL)")
        async with Database.open(DatabaseSettings(dsn=made.dsn)) as database:
            log = TransparencyLog(database, SIGNER, SystemClock())
            await log.open()
            tree, numbers = Growing(), iter(range(1 << 40))

            async def ours() -> float:
                batches = [_entries(numbers) for _ in range(BATCHES)]
                started = time.perf_counter()
                for batch in batches:
                    async with database.transaction() as connection:
                        await log.append(connection, batch)
                return BATCH * BATCHES / (time.perf_counter() - started)

            async def inserted() -> float:
                batches = [_rows(tree, _entries(numbers)) for _ in range(BATCHES)]
                started = time.perf_counter()
                for rows in batches:
                    async with bare.transaction():
                        await bare.execute(_LEAVES, *rows.leaves)
                        await bare.execute(_NODES, *rows.nodes)
                        await bare.execute(_HEAD, *rows.head)
                return BATCH * BATCHES / (time.perf_counter() - started)

            seen = await interleave(rounds * TURNS, ours, inserted, progress=progress)
    finally:
        await bare.close()
        await factory.drop_all()
    ratios = [one / other for one, other in seen]
    return Result(
        name="log_append",
        ours=median([one for one, _ in seen]),
        bare=median([other for _, other in seen]),
        ratio=median(ratios),
        target=TARGET,
        unit="leaves/s",
        lowest=min(ratios),
        highest=max(ratios),
        rounds=len(seen),
        held=median(ratios) >= TARGET,
        about=f"leaves appended to the transparency log, {BATCH} in a transaction: locked, looked up, "
        "checked against the signed root, hashed and signed; beside bare inserts of the same leaves, nodes "
        "and heads, in as many transactions, into tables with the same indices.",
    )


def _entries(numbers: Any) -> list[Entry]:
    return [
        entry(KIND, f"bench/{number}", {"sequence": number, "day": "2026-11-24", "slot": 7}, public=True)
        for number, _ in zip(numbers, range(BATCH), strict=False)
    ]


def _rows(tree: Growing, entries: Sequence[Entry]) -> Rows:
    begin, now = tree.size, datetime.now(UTC)
    data = [one.opening.leaf() for one in entries]
    grown: dict[Node, bytes] = tree.add(data)
    leaves: tuple[list[Any], ...] = (
        list(range(begin, tree.size)),
        data,
        [one.kind for one in entries],
        [one.source for one in entries],
        [now] * len(entries),
        [one.opening.salt for one in entries],
        [one.opening.entry for one in entries],
    )
    nodes = ([node.level for node in grown], [node.number for node in grown], list(grown.values()))
    return Rows(leaves, nodes, (tree.size, tree.root(), SIGNER.sign(tree.size, tree.root()), now))
