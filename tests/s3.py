"""S3 clients for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from services.local.objects import REGION, ObjectStore


@asynccontextmanager
async def s3_client(objects: ObjectStore, identity: str = "storage") -> AsyncIterator[Any]:
    """A client that speaks to the store as one of its identities."""
    keys = objects.identity(identity)
    async with get_session().create_client(
        "s3",
        endpoint_url=objects.endpoint,
        region_name=REGION,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        config=AioConfig(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
    ) as client:
        yield client


@contextmanager
def client_error(code: str) -> Iterator[None]:
    """The block must be refused by the store with this S3 error code."""
    with pytest.raises(ClientError) as caught:
        yield
    assert caught.value.response["Error"]["Code"] == code
