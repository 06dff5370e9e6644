"""Wiring of the notice service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta

from idv.notice.v1 import (
    completions_pb2,
    completions_pb2_grpc,
    customers_pb2,
    customers_pb2_grpc,
    deliveries_pb2,
    deliveries_pb2_grpc,
    notice_pb2,
    notice_pb2_grpc,
)

from services.notice.accounts.accounts import Accounts
from services.notice.ageing import Ageing
from services.notice.api import NoticeApi
from services.notice.catalogue import CatalogueItem, catalogue
from services.notice.completions import CompletionApi
from services.notice.customers import CustomerApi
from services.notice.delivery.acknowledging import AcknowledgePage
from services.notice.delivery.api import DeliveryApi
from services.notice.delivery.bounce_server import BounceServer
from services.notice.delivery.bounces import Bounces
from services.notice.delivery.covering import Covering
from services.notice.delivery.letter import Letters
from services.notice.delivery.progress import Deliveries
from services.notice.delivery.queue import DeliveryQueue
from services.notice.delivery.settings import DeliverySettings
from services.notice.delivery.website import OwnPage
from services.notice.mail.composing import Composer
from services.notice.mail.courier import Courier
from services.notice.mail.mail_queue import MailQueue
from services.notice.mail.outbox import Outbox
from services.notice.mail.queue import Queue
from services.notice.mail.signing import MailSigner
from services.notice.mail.smtp import SmtpSession
from services.notice.officer_pages import OfficerPages
from services.notice.pages import Pages
from services.notice.settings import MailSettings, NoticeSettings
from services.notice.stream import TermsFeed
from services.notice.versions import Versions
from services.notice.views import Views
from services.notice.webhooks.addresses import Addresses
from services.notice.webhooks.http import Poster
from services.notice.webhooks.outbox import WebhookOutbox
from services.notice.webhooks.posting import Posting
from services.notice.webhooks.settings import WebhookSettings
from services.notice.webhooks.signing import WebhookSigner
from services.runtime.bootstrap import Runtime
from services.runtime.jobs import PeriodicJob
from services.runtime.web_server import WebServer

_NOTICES = notice_pb2.DESCRIPTOR.services_by_name["NoticeService"]
_COMPLETIONS = completions_pb2.DESCRIPTOR.services_by_name["CompletionService"]
_DELIVERIES = deliveries_pb2.DESCRIPTOR.services_by_name["DeliveryService"]
_CUSTOMERS = customers_pb2.DESCRIPTOR.services_by_name["CustomerService"]


async def main(settings: NoticeSettings) -> None:
    """Serves until SIGTERM. Raises UnsafeDatabaseError, IdvError or OSError when it cannot start."""
    async with Runtime.start(settings, service="notice") as runtime:
        await serve(runtime, settings)


async def serve(runtime: Runtime, settings: NoticeSettings) -> None:
    """Serves versions, Customers and pages on a runtime, and sends mail, until it is told to stop."""
    items = catalogue()
    mail, telling = settings.mail, settings.delivery
    rules = replace(settings.amendment.rules, delivers=mail is not None and telling is not None)
    versions = Versions(runtime.database, runtime.clock, items, rules)
    feed = TermsFeed(versions, runtime.log)
    await feed.refresh()
    pages = Pages(feed, runtime.clock, items)
    notices = NoticeApi(versions, feed, runtime.clock, items)
    runtime.add(notice_pb2_grpc.add_NoticeServiceServicer_to_server, notices, _NOTICES)
    accounts = Accounts(
        runtime.database, runtime.clock, {code for code, item in items.items() if item.optional}
    )
    composer = Composer(settings.mail.from_whom) if settings.mail else None
    mails = Outbox(runtime.database, accounts, composer, runtime.clock)
    deliveries = Deliveries(runtime.database, runtime.clock)
    domain = mail.from_whom.domain if mail else ""
    customers = CustomerApi(accounts, mails, deliveries, runtime.clock, domain)
    runtime.add(customers_pb2_grpc.add_CustomerServiceServicer_to_server, customers, _CUSTOMERS)
    progress = DeliveryApi(deliveries, accounts)
    runtime.add(deliveries_pb2_grpc.add_DeliveryServiceServicer_to_server, progress, _DELIVERIES)
    posting = _posting(runtime, settings.webhook) if settings.webhook else None
    webhooks = WebhookOutbox(runtime.database, accounts, runtime.clock, posting=posting is not None)
    completions = CompletionApi(mails, webhooks, mailing=composer is not None)
    runtime.add(completions_pb2_grpc.add_CompletionServiceServicer_to_server, completions, _COMPLETIONS)
    listen_page = settings.listen_page
    application = pages.application()
    if telling:
        acknowledging = AcknowledgePage(telling.terms.links, deliveries, runtime.clock)
        application.router.routes.append(acknowledging.route())
        covering = Covering(runtime.database, OwnPage(listen_page), runtime.clock, runtime.log)
        runtime.every(
            PeriodicJob("cover", timedelta(seconds=telling.cover_seconds), covering.run, leased=False)
        )
    ageing = Ageing(runtime.database, runtime.clocks, runtime.telemetry, settings.ageing_terms)
    runtime.every(PeriodicJob("ageing", timedelta(hours=1), ageing.run))
    web = WebServer(application, listen_page, runtime.log, served="public page served")
    async with (
        web,
        _bounces(runtime, telling),
        _officer_page(runtime, settings, versions, items),
        asyncio.TaskGroup() as tasks,
    ):
        following = tasks.create_task(feed.run())
        courier = _courier(runtime, mail, telling) if mail else None
        workers = {tasks.create_task(one.run()): one for one in (courier, posting) if one}
        await runtime.serve()
        following.cancel()
        for one in workers.values():
            one.stop()
        if workers:
            await asyncio.wait(workers, timeout=settings.grace_seconds)
        for task in workers:
            task.cancel()


def _officer_page(
    runtime: Runtime, settings: NoticeSettings, versions: Versions, items: Mapping[str, CatalogueItem]
) -> AbstractAsyncContextManager[object]:
    if settings.listen_officer is None:
        return nullcontext()
    pages = OfficerPages(versions, runtime.database, Views(items), settings.trust_domain)
    return WebServer(
        pages.application(),
        settings.listen_officer,
        runtime.log,
        served="officer's page served",
        tls=settings.tls,
    )


def _bounces(runtime: Runtime, telling: DeliverySettings | None) -> AbstractAsyncContextManager[object]:
    if telling is None or telling.listen_bounces is None:
        return nullcontext()
    bounces = Bounces(runtime.database, telling.terms.links, runtime.clock, runtime.log)
    return BounceServer(bounces, telling.listen_bounces, runtime.log)


def _courier(runtime: Runtime, mail: MailSettings, telling: DeliverySettings | None) -> Courier:
    outcomes = runtime.telemetry.meter.create_counter(
        "idv.mail.attempts", description="Attempts to send a mail, by outcome."
    )
    relay = mail.relay
    queues: list[Queue] = [MailQueue(runtime.database)]
    if telling:
        queues.append(DeliveryQueue(runtime.database, Letters(mail.from_whom), telling.terms))
    return Courier(
        queues,
        lambda: SmtpSession(relay),
        runtime.clock,
        runtime.log,
        mail.terms,
        lambda outcome: outcomes.add(1, {"outcome": outcome}),
        MailSigner(mail.signing_keys, runtime.clock),
    )


def _posting(runtime: Runtime, webhook: WebhookSettings) -> Posting:
    outcomes = runtime.telemetry.meter.create_counter(
        "idv.webhook.attempts", description="Attempts to post to a Customer's webhook, by outcome."
    )
    return Posting(
        runtime.database,
        Poster(Addresses(webhook.allowed_networks), webhook.timeout_seconds, webhook.authority),
        WebhookSigner.load(webhook.signing_keys),
        runtime.clock,
        runtime.log,
        webhook.terms,
        lambda outcome: outcomes.add(1, {"outcome": outcome}),
    )
