"""Large bodies: ciphertext in S3, a bucket for each session day, random names."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError
from idv.errors import IdvError, Reason

from services.runtime.calls import waiting_for
from services.storage import buckets
from services.storage.buckets import error_code
from services.storage.settings import ObjectSettings

_GONE = frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchVersion", "404"})
_SHUT = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403"})
_PAGE = 1000
"""Objects that one deletion may name."""
_TRIES = 3
_CONNECT_SECONDS = 5.0
_BRIEF_SECONDS = 10.0
"""For a call without a body, with all its tries: who waits must be told in time that the store is away."""


class StoredObject(NamedTuple):
    """An object as listed: its name and when it was put, by the store's clock."""

    name: str
    put_time: datetime


class Objects:
    """The day buckets. `async with Objects(settings) as objects` opens and closes the connections.

    Calls raise UNAVAILABLE when the store is away, INTERNAL when it refuses this service's account.
    """

    def __init__(self, settings: ObjectSettings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._versioned: dict[str, bool] = {}

    async def __aenter__(self) -> Self:
        settings = self._settings
        config = AioConfig(
            max_pool_connections=settings.connections,
            parameter_validation=False,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"total_max_attempts": _TRIES, "mode": "standard"},
            connect_timeout=min(settings.timeout, _CONNECT_SECONDS),
            read_timeout=settings.timeout,
            s3={
                "payload_signing_enabled": False,
                "addressing_style": "path",
            },  # the body is authenticated already
        )
        client = get_session().create_client(
            "s3",
            endpoint_url=settings.endpoint,
            region_name=settings.region,
            aws_access_key_id=settings.access_key.get_secret_value(),
            aws_secret_access_key=settings.secret_key.get_secret_value(),
            config=config,
        )
        self._client = await self._stack.enter_async_context(client)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def bucket(self, day: date) -> str:
        """The day's bucket."""
        return f"{self._settings.bucket_prefix}{day:%Y%m%d}"

    async def ensure(self, day: date) -> None:
        """Makes the day's bucket unless it exists, and learns whether it keeps old versions.

        Raises WRONG_STATE for a bucket of another account, or one under Object Lock.
        """
        bucket = self.bucket(day)
        async with self._brief():
            await buckets.take(self._client, bucket)
            await self._is_versioned(bucket)

    async def look_again(self, day: date) -> None:
        """Raises WRONG_STATE when the day's bucket came under Object Lock since it was made.

        A store that is away, or a bucket that is gone, is for the calls to say that need it.
        """
        try:
            async with self._brief():
                await buckets.refuse_locked(self._client, self.bucket(day))
        except IdvError as error:
            if error.reason == Reason.ERROR_REASON_WRONG_STATE:
                raise

    async def put(self, day: date, body: bytes) -> str:
        """Stores ciphertext under a new random name and returns the name."""
        name = secrets.token_hex(16)
        async with _mapped():
            await self._client.put_object(Bucket=self.bucket(day), Key=name, Body=body)
        return name

    async def get(self, day: date, name: str, chunk: int) -> AsyncGenerator[bytes, None]:
        """The ciphertext in chunks of at most so many bytes; raises NOT_FOUND when it is not there."""
        async with _mapped():
            answer = await self._client.get_object(Bucket=self.bucket(day), Key=name)
            async with answer["Body"] as stream:
                while piece := await stream.read(chunk):
                    yield piece

    async def exists(self, day: date, name: str) -> bool:
        """Whether any byte of the object can be read."""
        async with self._brief():
            try:
                await self._client.head_object(Bucket=self.bucket(day), Key=name)
            except ClientError as error:
                if error_code(error) in _GONE:
                    return False
                raise
        return True

    async def delete(self, day: date, names: Sequence[str]) -> None:
        """Removes every version of the objects; those that are gone, also with their day, are no error."""
        try:
            await self._delete_versions(self.bucket(day), names)
        except IdvError as error:
            if error.reason != Reason.ERROR_REASON_NOT_FOUND:
                raise

    async def _delete_versions(self, bucket: str, names: Sequence[str]) -> None:
        if not await self._is_versioned(bucket):
            keys: list[dict[str, str]] = [{"Key": name} for name in names]
        else:
            keys = [key for name in names for key in [key async for key in self._versions(bucket, name)]]
        for start in range(0, len(keys), _PAGE):
            await self._delete(bucket, keys[start : start + _PAGE])

    async def listed(self, day: date) -> AsyncIterator[StoredObject]:
        """Every object of the day."""
        async with _mapped():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket(day))
            async for page in pages:
                for entry in page.get("Contents", ()):
                    yield StoredObject(entry["Key"], entry["LastModified"])

    async def drop(self, day: date) -> None:
        """Removes the day's bucket with every byte in it; one that is gone already is no error."""
        bucket = self.bucket(day)
        if await self._drop_empty(bucket):
            return
        async with _mapped():
            keys = [key async for key in self._versions(bucket, "")]
        keys += [{"Key": found.name} async for found in self.listed(day)]
        for start in range(0, len(keys), _PAGE):
            await self._delete(bucket, keys[start : start + _PAGE])
        if not await self._drop_empty(bucket):
            raise IdvError(
                Reason.ERROR_REASON_UNAVAILABLE, f"the bucket {bucket} was not empty", retry_after=5
            )

    async def _drop_empty(self, bucket: str) -> bool:
        """Whether the bucket is gone. Some stores drop a full one at once; others want it emptied first."""
        async with self._brief():
            try:
                await self._client.delete_bucket(Bucket=bucket)
            except ClientError as error:
                if error_code(error) == "BucketNotEmpty":
                    return False
                if error_code(error) not in _GONE:
                    raise
        self._versioned.pop(bucket, None)
        return True

    async def _delete(self, bucket: str, keys: list[dict[str, str]]) -> None:
        async with self._brief():
            answer = await self._client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        failed = [error for error in answer.get("Errors", ()) if error.get("Code") not in _GONE]
        if failed:
            raise IdvError(
                Reason.ERROR_REASON_UNAVAILABLE, f"{len(failed)} objects could not be removed", retry_after=5
            )

    async def _is_versioned(self, bucket: str) -> bool:
        """A versioned bucket's delete only adds a marker: its versions must be named one by one."""
        known = self._versioned.get(bucket)
        if known is None:
            async with self._brief():
                answer = await self._client.get_bucket_versioning(Bucket=bucket)
            known = self._versioned[bucket] = bool(answer.get("Status"))
        return known

    async def _versions(self, bucket: str, prefix: str) -> AsyncIterator[dict[str, str]]:
        if not await self._is_versioned(bucket):
            return
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
        async for page in pages:
            for entry in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                yield {"Key": entry["Key"], "VersionId": entry["VersionId"]}

    @asynccontextmanager
    async def _brief(self) -> AsyncIterator[None]:
        """A call that carries no body: mapped, and bounded as a whole."""
        async with _mapped(), asyncio.timeout(min(self._settings.timeout, _BRIEF_SECONDS)):
            yield


@asynccontextmanager
async def _mapped() -> AsyncIterator[None]:
    """Errors of the client library become the one typed error, once."""
    with waiting_for("the object store"):
        try:
            yield
        except ClientError as error:
            if error_code(error) in _GONE:
                raise IdvError(Reason.ERROR_REASON_NOT_FOUND, "there is no such object") from error
            if error_code(error) in _SHUT:
                raise IdvError(
                    Reason.ERROR_REASON_INTERNAL,
                    "the object store does not let this service in",
                    remedy="correct objects.access_key and objects.secret_key, or what the account may do",
                ) from error
            raise _away() from error
        except (BotoCoreError, OSError) as error:
            raise _away() from error


def _away() -> IdvError:
    return IdvError(Reason.ERROR_REASON_UNAVAILABLE, "the object store is away", retry_after=1.0, tried=True)
