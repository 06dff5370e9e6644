"""What the stores of a stack hold, seen from behind the services: rows as the superuser, objects, files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from services.local.stack import LocalStack
from tests.s3 import s3_client


@asynccontextmanager
async def superuser(stack: LocalStack) -> AsyncIterator[asyncpg.Connection]:
    """A connection that no row-level security stops."""
    connection = await asyncpg.connect(stack.databases["storage"].admin_dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def rows(stack: LocalStack, table: str, customer: str) -> list[asyncpg.Record]:
    """Every row of a Customer in a table of storage."""
    async with superuser(stack) as connection:
        query = f"SELECT * FROM storage.{table} WHERE customer = $1"  # noqa: S608 - the table is named by the test
        found: list[asyncpg.Record] = await connection.fetch(query, customer)
        return found


async def objects(stack: LocalStack) -> set[tuple[str, str]]:
    """Bucket and name of every object."""
    found: set[tuple[str, str]] = set()
    async with s3_client(stack.objects, "operator") as client:
        for bucket in (await client.list_buckets())["Buckets"]:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"])
            found |= {
                (bucket["Name"], each["Key"]) async for page in pages for each in page.get("Contents", ())
            }
    return found


async def buckets(stack: LocalStack) -> set[str]:
    """The name of every bucket."""
    async with s3_client(stack.objects, "operator") as client:
        return {bucket["Name"] for bucket in (await client.list_buckets())["Buckets"]}


async def partitions(stack: LocalStack) -> set[str]:
    """The name of every partition of a table of storage, attached or not."""
    async with superuser(stack) as connection:
        names = await connection.fetch(
            "SELECT relname FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid"
            " WHERE nspname = 'storage' AND relkind = 'r' AND relname ~ '[0-9]{8}'"
        )
        return {each["relname"] for each in names}


def files(directory: Path) -> Iterator[Path]:
    """Every regular file below a directory."""
    return (path for path in sorted(directory.rglob("*")) if path.is_file() and not path.is_symlink())


def containing(paths: Iterable[Path], patterns: Iterable[bytes]) -> dict[str, list[str]]:
    """Of these files, those whose content or path holds one of the patterns: what was found in which file."""
    wanted = list(patterns)
    found: dict[str, list[str]] = {}
    for path in paths:
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # a running server removed it since
            continue
        for pattern in wanted:
            if pattern in content or pattern in bytes(path):
                found.setdefault(repr(pattern), []).append(str(path))
    return found
