"""Wiring of the notice service."""

from __future__ import annotations

import asyncio

from idv.notice.v1 import customers_pb2, customers_pb2_grpc, notice_pb2, notice_pb2_grpc

from services.notice.accounts.accounts import Accounts
from services.notice.api import NoticeApi
from services.notice.catalogue import catalogue
from services.notice.customers import CustomerApi
from services.notice.mail.composing import Composer
from services.notice.mail.courier import Courier
from services.notice.mail.outbox import Outbox
from services.notice.mail.smtp import SmtpSession
from services.notice.pages import Pages
from services.notice.settings import MailSettings, NoticeSettings
from services.notice.stream import TermsFeed
from services.notice.versions import Versions
from services.runtime.bootstrap import Runtime
from services.runtime.web_server import WebServer

_NOTICES = notice_pb2.DESCRIPTOR.services_by_name["NoticeService"]
_CUSTOMERS = customers_pb2.DESCRIPTOR.services_by_name["CustomerService"]


async def main(settings: NoticeSettings) -> None:
    """Serves until SIGTERM. Raises UnsafeDatabaseError, IdvError or OSError when it cannot start."""
    async with Runtime.start(settings, service="notice") as runtime:
        await serve(runtime, settings)


async def serve(runtime: Runtime, settings: NoticeSettings) -> None:
    """Serves versions, Customers and pages on a runtime, and sends mail, until it is told to stop."""
    items = catalogue()
    versions = Versions(runtime.database, runtime.clock, items)
    feed = TermsFeed(versions, runtime.log)
    await feed.refresh()
    pages = Pages(feed, runtime.clock, items)
    notices = NoticeApi(versions, feed, runtime.clock, items)
    runtime.add(notice_pb2_grpc.add_NoticeServiceServicer_to_server, notices, _NOTICES)
    accounts = Accounts(
        runtime.database, runtime.clock, {code for code, item in items.items() if item.optional}
    )
    composer = Composer(settings.mail.from_whom) if settings.mail else None
    customers = CustomerApi(accounts, Outbox(runtime.database, accounts, composer, runtime.clock))
    runtime.add(customers_pb2_grpc.add_CustomerServiceServicer_to_server, customers, _CUSTOMERS)
    listen_page = settings.listen_page
    web = WebServer(pages.application(), listen_page, runtime.log, served="public page served")
    async with web, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(feed.run())
        courier = _courier(runtime, settings.mail) if settings.mail else None
        sending = tasks.create_task(courier.run()) if courier else None
        await runtime.serve()
        following.cancel()
        if courier and sending:
            courier.stop()
            await asyncio.wait({sending}, timeout=settings.grace_seconds)
            sending.cancel()


def _courier(runtime: Runtime, mail: MailSettings) -> Courier:
    outcomes = runtime.telemetry.meter.create_counter(
        "idv.mail.attempts", description="Attempts to send a mail, by outcome."
    )
    relay = mail.relay
    return Courier(
        runtime.database,
        lambda: SmtpSession(relay),
        runtime.clock,
        runtime.log,
        mail.terms,
        lambda outcome: outcomes.add(1, {"outcome": outcome}),
    )
