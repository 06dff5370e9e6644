"""`log_proof`: the proof that any one of a million leaves is in the log, beside one indexed read.

A proof reads the newest head and some forty nodes, folds them into its hashes and into the root. The bare
limit reads one node by its key, on the driver's own connection and without a transaction.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import asyncpg
from idv import merkle

from benchmarks.log_rows import SIGNER, build
from benchmarks.rounds import Result, interleave, median
from services.local.databases import DatabaseFactory
from services.local.stack import LocalStack
from services.retention.log import TransparencyLog
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.settings import DatabaseSettings

LEAVES = 1_000_000
PROOFS = 300
TARGET = 20.0

_READ = "SELECT hash FROM retention.log_nodes WHERE level = 0 AND number = $1"


async def measure(stack: LocalStack, rounds: int, progress: Callable[[str], None]) -> Result:
    """Milliseconds for one, from random leaves of a log that is copied in before."""
    factory = DatabaseFactory(stack.postgres.admin_dsn)
    made = await factory("retention")
    bare = await asyncpg.connect(made.admin_dsn)
    chosen = random.Random(1)  # noqa: S311 - the same leaves in each run
    try:
        progress(f"{LEAVES:,} leaves")
        started = time.perf_counter()
        await build(bare, LEAVES)
        built = time.perf_counter() - started
        async with Database.open(DatabaseSettings(dsn=made.dsn)) as database:
            log = TransparencyLog(database, SIGNER, SystemClock())
            await log.open()
            await _check(log, bare)

            async def ours() -> float:
                wanted = [chosen.randrange(LEAVES) for _ in range(PROOFS)]
                started = time.perf_counter()
                for index in wanted:
                    await log.inclusion_proof(index)
                return (time.perf_counter() - started) / PROOFS * 1000

            async def read() -> float:
                wanted = [chosen.randrange(LEAVES) for _ in range(PROOFS)]
                started = time.perf_counter()
                for index in wanted:
                    await bare.fetchval(_READ, index)
                return (time.perf_counter() - started) / PROOFS * 1000

            seen = await interleave(rounds, ours, read, progress=progress)
    finally:
        await bare.close()
        await factory.drop_all()
    ratios = [one / other for one, other in seen]
    return Result(
        name="log_proof",
        ours=median([one for one, _ in seen]),
        bare=median([other for _, other in seen]),
        ratio=median(ratios),
        target=TARGET,
        unit="ms",
        lowest=min(ratios),
        highest=max(ratios),
        rounds=len(seen),
        held=median(ratios) < TARGET,
        about=f"the inclusion proof of a random one of {LEAVES:,} leaves, with head and root, beside one "
        "read of a node by its key on the driver's own connection. The ratio says how many times longer: "
        "lower is better.",
        parts={"built in s": built},
    )


async def _check(log: TransparencyLog, bare: asyncpg.Connection) -> None:
    """What is measured are proofs that hold."""
    for index in (0, LEAVES // 3, LEAVES - 1):
        proof = await log.inclusion_proof(index)
        leaf = await bare.fetchval(_READ, index)
        merkle.verify_inclusion(index, proof.size, leaf, proof.hashes, proof.root)
