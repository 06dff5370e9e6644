"""Wiring of the notice service."""

from __future__ import annotations

import asyncio

from idv.notice.v1 import customers_pb2, customers_pb2_grpc, notice_pb2, notice_pb2_grpc

from services.notice.api import NoticeApi
from services.notice.catalogue import catalogue
from services.notice.customers import CustomerApi
from services.notice.page_server import PageServer
from services.notice.pages import Pages
from services.notice.settings import NoticeSettings
from services.notice.stream import TermsFeed
from services.notice.versions import Versions
from services.runtime.bootstrap import Runtime

_NOTICES = notice_pb2.DESCRIPTOR.services_by_name["NoticeService"]
_CUSTOMERS = customers_pb2.DESCRIPTOR.services_by_name["CustomerService"]


async def main(settings: NoticeSettings) -> None:
    """Serves until SIGTERM. Raises UnsafeDatabaseError, IdvError or OSError when it cannot start."""
    async with Runtime.start(settings, service="notice") as runtime:
        await serve(runtime, settings.listen_page)


async def serve(runtime: Runtime, listen_page: str) -> None:
    """Serves versions and pages on a runtime until it is told to stop."""
    items = catalogue()
    versions = Versions(runtime.database, runtime.clock, items)
    feed = TermsFeed(versions, runtime.log)
    await feed.refresh()
    pages = Pages(feed, versions, runtime.clock, items)
    notices = NoticeApi(versions, feed, runtime.clock, items)
    runtime.add(notice_pb2_grpc.add_NoticeServiceServicer_to_server, notices, _NOTICES)
    runtime.add(customers_pb2_grpc.add_CustomerServiceServicer_to_server, CustomerApi(), _CUSTOMERS)
    async with PageServer(pages.application(), listen_page, runtime.log), asyncio.TaskGroup() as tasks:
        following = tasks.create_task(feed.run())
        await runtime.serve()
        following.cancel()
