"""The service's PostgreSQL: one engine, short transactions with their tenants, driver errors mapped once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Final, Self

import asyncpg
from idv.errors import IdvError, Reason
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.runtime.calls import waiting_for
from services.runtime.settings import DatabaseSettings
from services.runtime.start_error import StartError

_SET_TENANTS = text("SELECT set_config('idv.tenants', :tenants, true)")
_ROLE = text(
    "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb,"
    " EXISTS (SELECT FROM pg_class WHERE relowner = r.oid) AS owner"
    " FROM pg_roles r WHERE rolname = current_user"
)
_DURABILITY = text("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
_DURABLE: Final = frozenset({"on", "remote_apply"})
_MIGRATED = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_LOGIN_REFUSED: Final = {
    "28": "the login is refused: correct user and password in database.dsn",
    "3D": "there is no such database: correct its name in database.dsn, or create it and run 'idv migrate'",
}
"""What is wrong when not even a connection is made, by class of SQLSTATE."""

_AGAIN: Final = frozenset({"40001", "40P01", "55P03", "55006"})
"""Serialization failure, deadlock, lock not available, object in use: a repeated call may succeed."""
_CANCELLED: Final = "57014"
_AWAY: Final = ("08", "53", "57P", "58")
"""Connection lost, out of resources, operator intervention, system error."""
_RETRY_SECONDS: Final = 1.0
_DRIVER: Final = (
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    ConnectionError,  # asyncpg's own socket, reset under a statement
    TimeoutError,  # asyncpg's command_timeout
)


class UnsafeDatabaseError(StartError):
    """The database or its role would break a promise: the service must not start."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("the database cannot be used", faults)


class Database:
    """One engine with its pool; as a context manager it is checked first and closed after."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, settings: DatabaseSettings) -> Self:
        """A database for the runtime role; connections are made when they are needed."""
        return cls(_engine(settings.dsn.get_secret_value(), settings))

    @classmethod
    def open_owner(cls, settings: DatabaseSettings) -> Self:
        """A database for the owner role, which alone makes, detaches and drops partitions."""
        if settings.owner_dsn is None:
            raise ValueError("the setting database.owner_dsn is missing")
        return cls(_engine(settings.owner_dsn.get_secret_value(), settings, pool_size=2))

    @asynccontextmanager
    async def transaction(self, tenants: Sequence[str] = ()) -> AsyncIterator[AsyncConnection]:
        """One READ COMMITTED transaction, committed when the block ends without an exception.

        Row-level security shows and takes rows of `tenants` only; with none, no Customer's rows at all.
        Errors of the driver that leave the block become IdvError: OVERLOADED, UNAVAILABLE or
        DEADLINE_EXCEEDED with a retry where one helps, else INTERNAL. Inside the block they are SQLAlchemy's.
        """
        with waiting_for("the database"):
            async with self._connection() as connection:
                try:
                    async with connection.begin():
                        if tenants:
                            await connection.execute(_SET_TENANTS, {"tenants": ",".join(tenants)})
                        yield connection
                except _DRIVER as error:
                    raise driver_error(error) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self.engine.connect())
            except (OSError, *_DRIVER) as error:
                raise driver_error(error) from error
            yield connection

    async def check(self) -> None:
        """Raises UnsafeDatabaseError unless the role is powerless enough, commits are durable and the schema
        was migrated.
        """
        try:
            async with self.transaction() as connection:
                role = (await connection.execute(_ROLE)).one()
                fsync, commit = (await connection.execute(_DURABILITY)).one()
                migrated = (await connection.execute(_MIGRATED)).scalar_one()
        except IdvError as error:
            refused = _LOGIN_REFUSED.get(sqlstate(error)[:2])
            if refused is None:
                raise
            raise UnsafeDatabaseError([refused]) from error
        faults = [
            f"the role {what}: log in as the service's runtime role"
            for what, bad in (
                ("is a superuser", role.rolsuper),
                ("bypasses row-level security", role.rolbypassrls),
                ("may create roles", role.rolcreaterole),
                ("may create databases", role.rolcreatedb),
                ("owns tables", role.owner),
            )
            if bad
        ]
        if fsync != "on":
            faults.append("fsync is off: an acknowledged record could be lost; set fsync = on")
        if commit not in _DURABLE:
            faults.append(f"synchronous_commit is {commit}: set it to on")
        if not migrated:
            faults.append("the schema was never migrated: run 'idv migrate' for this service first")
        if faults:
            raise UnsafeDatabaseError(faults)

    async def close(self) -> None:
        """Closes every connection of the pool."""
        await self.engine.dispose()

    async def __aenter__(self) -> Self:
        try:
            await self.check()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def driver_error(error: BaseException) -> IdvError:
    """What a caller is told about an error of the driver: never its text, which can hold values."""
    if isinstance(error, PoolTimeoutError):
        return IdvError(
            Reason.ERROR_REASON_OVERLOADED, "too many calls wait for the store", retry_after=_RETRY_SECONDS
        )
    state = sqlstate(error)
    if state == _CANCELLED or isinstance(_original(error), TimeoutError):
        return IdvError(
            Reason.ERROR_REASON_DEADLINE_EXCEEDED, "the store took too long", retry_after=_RETRY_SECONDS
        )
    if state in _AGAIN or state.startswith(_AWAY) or _is_lost(error):
        return IdvError(
            Reason.ERROR_REASON_UNAVAILABLE, "the store is away or busy", retry_after=_RETRY_SECONDS
        )
    return IdvError(Reason.ERROR_REASON_INTERNAL, "an internal error happened")


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE behind an error of SQLAlchemy or asyncpg; empty when there is none."""
    cause: BaseException | None = error
    while cause is not None:
        state = getattr(cause, "sqlstate", None)
        if isinstance(state, str):
            return state
        cause = cause.orig if isinstance(cause, DBAPIError) else cause.__cause__
    return ""


def _original(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


def _is_lost(error: BaseException) -> bool:
    invalidated = isinstance(error, DBAPIError) and error.connection_invalidated
    return invalidated or isinstance(_original(error), OSError | asyncpg.InterfaceError)


def _engine(dsn: str, settings: DatabaseSettings, pool_size: int | None = None) -> AsyncEngine:
    return create_async_engine(
        sqlalchemy_url(dsn),
        pool_size=pool_size or settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.command_timeout,
        pool_pre_ping=False,
        hide_parameters=True,
        connect_args={"command_timeout": settings.command_timeout, "timeout": settings.command_timeout},
    )


def sqlalchemy_url(dsn: str) -> str:
    """The DSN as SQLAlchemy wants it, with the asyncpg driver."""
    return "postgresql+asyncpg://" + dsn.split("://", 1)[1]
