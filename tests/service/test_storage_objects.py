"""The day buckets: every version of an object goes, and a whole day goes, on a real S3."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from idv.errors import IdvError
from pydantic import SecretStr

from services.local.objects import ObjectStore
from services.storage.objects import Objects
from services.storage.settings import ObjectSettings
from tests.s3 import s3_client

DAY = date(2026, 11, 24)


@pytest.fixture
def settings(objects: ObjectStore) -> ObjectSettings:
    keys = objects.identity("storage")
    return ObjectSettings(
        endpoint=objects.endpoint,
        access_key=SecretStr(keys.access_key),
        secret_key=SecretStr(keys.secret_key),
        bucket_prefix=f"idv-{uuid4().hex[:8]}-",
    )


@pytest_asyncio.fixture
async def buckets(settings: ObjectSettings) -> AsyncIterator[Objects]:
    async with Objects(settings) as opened:
        yield opened


async def read(buckets: Objects, name: str) -> bytes:
    return b"".join([piece async for piece in buckets.get(DAY, name, 64 * 1024)])


async def test_an_object_reads_back_under_a_name_that_says_nothing(buckets: Objects) -> None:
    await buckets.ensure(DAY)
    body = os.urandom(300_000)
    one, two = await buckets.put(DAY, body), await buckets.put(DAY, body)
    assert one != two
    assert len(one) == 32
    assert await read(buckets, one) == body
    listed = [found async for found in buckets.listed(DAY)]
    assert {found.name for found in listed} == {one, two}
    assert all(abs(found.put_time - datetime.now(UTC)) < timedelta(minutes=5) for found in listed)


async def test_a_deleted_object_is_gone_and_deleting_again_is_no_error(buckets: Objects) -> None:
    await buckets.ensure(DAY)
    name = await buckets.put(DAY, b"body")
    for _ in range(2):
        await buckets.delete(DAY, [name])
        assert not await buckets.exists(DAY, name)
    with pytest.raises(IdvError, match="no such object"):
        await read(buckets, name)


async def test_every_version_goes_where_a_bucket_keeps_versions(
    objects: ObjectStore, settings: ObjectSettings
) -> None:
    async with Objects(settings) as first:
        await first.ensure(DAY)
        bucket = first.bucket(DAY)
    async with s3_client(objects) as client:
        enabled = {"Status": "Enabled"}
        await client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
        async with Objects(settings) as buckets:
            name = await buckets.put(DAY, b"first")
            await client.put_object(Bucket=bucket, Key=name, Body=b"second")
            await client.delete_object(Bucket=bucket, Key=name)  # a marker, no more
            await buckets.delete(DAY, [name])
            left = await client.list_object_versions(Bucket=bucket)
            assert not left.get("Versions")
            assert not left.get("DeleteMarkers")
            await buckets.put(DAY, b"third")
            await buckets.drop(DAY)
        assert bucket not in {found["Name"] for found in (await client.list_buckets())["Buckets"]}


async def test_a_day_is_dropped_with_everything_in_it_once_or_twice(buckets: Objects) -> None:
    await buckets.ensure(DAY)
    names = [await buckets.put(DAY, os.urandom(100)) for _ in range(5)]
    for _ in range(2):
        await buckets.drop(DAY)
        for name in names:
            assert not await buckets.exists(DAY, name)
        await buckets.delete(DAY, names)  # an erasure that comes to it late has nothing left to remove


async def test_a_bucket_that_was_made_before_is_taken_again(buckets: Objects) -> None:
    for _ in range(2):
        await buckets.ensure(DAY)


async def test_a_bucket_of_another_account_is_refused_though_it_lets_us_in(
    objects: ObjectStore, buckets: Objects
) -> None:
    bucket = buckets.bucket(DAY)
    async with s3_client(objects, "operator") as stranger, s3_client(objects) as ours:
        await stranger.create_bucket(Bucket=bucket)
        await ours.put_object(Bucket=bucket, Key="key", Body=b"body")  # what we may do says nothing
        with pytest.raises(IdvError, match="another account") as caught:
            await buckets.ensure(DAY)
    assert caught.value.reason_name == "WRONG_STATE"
    assert "bucket_prefix" in (caught.value.remedy or "")


async def test_a_bucket_under_object_lock_is_refused(objects: ObjectStore, buckets: Objects) -> None:
    async with s3_client(objects) as client:
        await client.create_bucket(Bucket=buckets.bucket(DAY), ObjectLockEnabledForBucket=True)
    for look in (buckets.ensure, buckets.look_again):
        with pytest.raises(IdvError, match="Object Lock") as caught:
            await look(DAY)
        assert caught.value.reason_name == "WRONG_STATE"


async def test_the_look_at_the_start_leaves_an_absent_store_or_bucket_to_who_needs_it(
    settings: ObjectSettings, buckets: Objects
) -> None:
    await buckets.look_again(DAY)
    async with Objects(settings.model_copy(update={"endpoint": "http://127.0.0.1:9"})) as away:
        await away.look_again(DAY)


async def test_a_store_that_is_away_is_said_to_be(settings: ObjectSettings) -> None:
    away = settings.model_copy(update={"endpoint": "http://127.0.0.1:9", "timeout": 1.0})
    async with Objects(away) as buckets:
        with pytest.raises(IdvError) as caught:
            await buckets.put(DAY, b"body")
    assert caught.value.reason_name == "UNAVAILABLE"
    assert caught.value.retry_after
    assert caught.value.tried  # nobody on the way back multiplies these tries


async def test_a_store_that_takes_the_call_and_never_answers_is_away_within_the_limit(
    settings: ObjectSettings,
) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    silent = settings.model_copy(update={"endpoint": f"http://127.0.0.1:{port}", "timeout": 0.5})
    async with server, Objects(silent) as buckets:
        for call in (buckets.exists(DAY, "name"), buckets.delete(DAY, ["name"]), buckets.ensure(DAY)):
            begun = time.monotonic()
            with pytest.raises(IdvError) as caught:
                await call
            assert caught.value.reason_name == "UNAVAILABLE"
            assert time.monotonic() - begun < 2 * 0.5  # with all tries


async def test_a_wrong_key_is_told_apart_from_a_store_that_is_away(settings: ObjectSettings) -> None:
    wrong = settings.model_copy(update={"secret_key": SecretStr("wrong")})
    async with Objects(wrong) as shut:
        with pytest.raises(IdvError) as caught:
            await shut.put(DAY, b"body")
    assert caught.value.reason_name == "INTERNAL"
    assert "secret_key" in (caught.value.remedy or "")
