"""The end of a Customer: nothing enters ever after, its opt-outs are forgotten and their key is destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from idv.errors import IdvError
from idv.storage.v1 import closing_pb2

from services.local.databases import ServiceDatabase
from services.local.objects import ObjectStore
from services.storage.authority import KeyDestroyedError
from tests.storage_parts import Replica, Servers, reason

KEY = "SELECT version, sealed FROM storage.customer_keys WHERE customer = 'acme'"
LEFT = (
    "SELECT (SELECT count(*) FROM storage.customer_keys WHERE customer = 'acme')"
    " + (SELECT count(*) FROM storage.opt_outs WHERE customer = 'acme')"
)


@pytest_asyncio.fixture
async def servers(service_database: ServiceDatabase, objects: ObjectStore, tmp_path: Path) -> Servers:
    return Servers(service_database, objects, tmp_path)


@pytest_asyncio.fixture
async def storage(servers: Servers) -> AsyncIterator[Replica]:
    async with servers.replica() as replica:
        yield replica


async def close(storage: Replica, customer: str = "acme") -> closing_pb2.CloseCustomerResponse:
    request = closing_pb2.CloseCustomerRequest(name=f"customers/{customer}", request_id=str(uuid4()))
    return await storage.storage.closing.CloseCustomer(request, None)


async def test_no_session_is_opened_ever_after_and_others_are_served(storage: Replica) -> None:
    await storage.session()
    assert (await close(storage)).close_time == storage.now()
    assert await reason(storage.session()) == "CUSTOMER_OFFBOARDED"
    assert await reason(storage.opt_out()) == "CUSTOMER_OFFBOARDED"
    assert await storage.session("other")
    storage.advance(days=90)
    await storage.storage.expiry.run()
    await storage.storage.days.prepare()
    assert await reason(storage.session()) == "CUSTOMER_OFFBOARDED"


async def test_its_opt_outs_are_gone_and_their_key_is_destroyed(storage: Replica) -> None:
    await storage.opt_out()
    await storage.opt_out(customer="other")
    admin = await asyncpg.connect(storage.servers.database.admin_dsn)
    try:
        version, sealed = await admin.fetchrow(KEY)
        await close(storage)
        assert await admin.fetchval(LEFT) == 0
    finally:
        await admin.close()
    with pytest.raises(KeyDestroyedError):
        await storage.around.authority.open("customer/acme", version, sealed)
    assert await reason(storage.session("other")) == "OPTED_OUT"


async def test_a_repeat_tells_the_first_time_and_ends_what_a_crash_left(storage: Replica) -> None:
    await storage.opt_out()
    admin = await asyncpg.connect(storage.servers.database.admin_dsn)
    version, sealed = await admin.fetchrow(KEY)
    await admin.close()
    destroy, storage.around.authority.destroy_below = (  # type: ignore[method-assign]  # a crash before it
        storage.around.authority.destroy_below,
        _crash,
    )
    with pytest.raises(ConnectionError):
        await close(storage)
    storage.around.authority.destroy_below = destroy  # type: ignore[method-assign]
    first = storage.now()
    storage.advance(seconds=30)
    assert (await close(storage)).close_time == first
    with pytest.raises(KeyDestroyedError):
        await storage.around.authority.open("customer/acme", version, sealed)


async def test_a_session_that_is_opened_meanwhile_comes_before_or_is_refused(storage: Replica) -> None:
    async def one() -> str:
        try:
            return (await storage.session(subject=str(uuid4()))).name
        except IdvError as error:
            return error.reason_name

    opened = [asyncio.ensure_future(one()) for _ in range(8)]
    await close(storage)
    outcomes = await asyncio.gather(*opened)
    assert all(one.startswith("customers/acme/") or one == "CUSTOMER_OFFBOARDED" for one in outcomes)
    await storage.erase(everything=True)
    assert await reason(storage.session()) == "CUSTOMER_OFFBOARDED"


async def _crash(versions: Mapping[str, int]) -> int:
    raise ConnectionError("killed")
