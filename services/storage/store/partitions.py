"""Partitions by session day: made, detached and dropped on the owner's login."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.database import Database, driver_error
from services.storage.store import locks
from services.storage.tables import PARTITIONED, SCHEMA

_STATE = text(
    "SELECT c.relname, i.inhparent IS NOT NULL AS attached, coalesce(i.inhdetachpending, false) AS pending"
    " FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid"
    " WHERE c.relnamespace = to_regnamespace(:schema) AND c.relkind = 'r' AND c.relname = ANY (:names)"
)
_OPTIONS = {"records": " WITH (toast_tuple_target = 8160)"}  # a sealed small body stays in its row
_LOCK_TIMEOUT = "SET lock_timeout = '4s'"
_TRY = text("SELECT pg_try_advisory_lock(7540, 0)")
_RELEASE = text("SELECT pg_advisory_unlock(7540, 0)")


def _names(day: date) -> dict[str, str]:
    return {table: f"{table}_{day:%Y%m%d}" for table in PARTITIONED}


async def create(connection: AsyncConnection, day: date) -> None:
    """Makes what is missing of the day's partitions.

    A plain table is made and attached: unlike CREATE … PARTITION OF, that blocks no reader or writer of other
    days.
    """
    await locks.partitions(connection)
    names = _names(day)
    existing = await _state(connection, names)
    bounds = f"FROM ('{day}') TO ('{day + timedelta(days=1)}')"
    for table, name in names.items():
        if name not in existing:
            shape = "INCLUDING CONSTRAINTS INCLUDING INDEXES INCLUDING STORAGE"
            like = f"(LIKE {SCHEMA}.{table} {shape}){_OPTIONS.get(table, '')}"
            await connection.exec_driver_sql(f"CREATE TABLE {SCHEMA}.{name} {like}")
        if not existing.get(name, (False, False))[0]:
            attach = f"ATTACH PARTITION {SCHEMA}.{name} FOR VALUES {bounds}"
            await connection.exec_driver_sql(f"ALTER TABLE {SCHEMA}.{table} {attach}")


async def remove(owner: Database, day: date) -> bool:
    """Detaches and drops the day's partitions without blocking readers of other days: their files go.

    Runs outside of any transaction, as DETACH … CONCURRENTLY must; errors of the driver become IdvError. An
    interrupted detachment is finished first. False when another replica is at it.
    """
    try:
        async with owner.engine.connect() as plain:
            connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
            return await _remove_alone(connection, day)
    except (SQLAlchemyError, OSError) as error:
        raise driver_error(error) from error


async def _remove_alone(connection: AsyncConnection, day: date) -> bool:
    if not await connection.scalar(_TRY):
        return False
    try:
        await connection.exec_driver_sql(_LOCK_TIMEOUT)
        await _detach(connection, day)
        for name in _names(day).values():
            await connection.exec_driver_sql(f"DROP TABLE IF EXISTS {SCHEMA}.{name}")
    finally:
        if not connection.invalidated:  # the lock of a session that is lost is free, and nothing can be asked
            await connection.execute(_RELEASE)
    return True


async def _detach(connection: AsyncConnection, day: date) -> None:
    names = _names(day)
    existing = await _state(connection, names)
    for table, name in names.items():
        attached, pending = existing.get(name, (False, False))
        if attached:
            how = "FINALIZE" if pending else "CONCURRENTLY"
            detach = f"DETACH PARTITION {SCHEMA}.{name} {how}"
            await connection.exec_driver_sql(f"ALTER TABLE {SCHEMA}.{table} {detach}")


async def _state(connection: AsyncConnection, names: dict[str, str]) -> dict[str, tuple[bool, bool]]:
    """For each partition that exists: whether it is attached, and whether its detachment was interrupted."""
    rows = await connection.execute(_STATE, {"schema": SCHEMA, "names": list(names.values())})
    return {row.relname: (row.attached, row.pending) for row in rows}
