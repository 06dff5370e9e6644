"""SQL of the witnesses' cosignatures. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retention.log_store import Head
from services.retention.tables import log_checkpoints, log_cosignatures


async def cosigned_size(connection: AsyncConnection, witness: str) -> int:
    """The size of the newest checkpoint that the witness cosigned; 0 before the first."""
    newest = select(func.max(log_cosignatures.c.size)).where(log_cosignatures.c.witness == witness)
    return int(await connection.scalar(newest) or 0)


async def add(connection: AsyncConnection, size: int, witness: str, line: str, cosign_time: datetime) -> None:
    """Keeps a cosignature that was verified; a second one of that witness over that size is left out."""
    values = {"size": size, "witness": witness, "line": line, "cosign_time": cosign_time}
    await connection.execute(upsert(log_cosignatures).values(values).on_conflict_do_nothing())


async def lines(connection: AsyncConnection, size: int) -> list[str]:
    """The cosignature lines of the checkpoint of that size."""
    query = select(log_cosignatures.c.line).where(log_cosignatures.c.size == size)
    return list((await connection.execute(query.order_by(log_cosignatures.c.witness))).scalars())


async def newest_witnessed(connection: AsyncConnection, witnesses: Sequence[str], quorum: int) -> Head | None:
    """The newest checkpoint that at least `quorum` of these witnesses cosigned."""
    sizes = (
        select(log_cosignatures.c.size)
        .where(log_cosignatures.c.witness.in_(witnesses))
        .group_by(log_cosignatures.c.size)
        .having(func.count() >= quorum)
        .order_by(log_cosignatures.c.size.desc())
        .limit(1)
    )
    query = select(log_checkpoints).where(log_checkpoints.c.size == sizes.scalar_subquery())
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Head(row.size, row.root, row.note, row.sign_time)
