"""A material version drives the suite: what it adds enters from its instant on, what it drops until then.

With the notice service away ingest goes by what it knows, until that may have changed.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest_asyncio
import yaml
from idv.errors import IdvError
from idv.ingest.v1 import ingest_pb2
from idv.notice.v1 import customers_pb2, deliveries_pb2, notice_pb2
from idv.notice.v1.customers_pb2_grpc import CustomerServiceStub
from idv.notice.v1.deliveries_pb2_grpc import DeliveryServiceStub
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub
from idv.types.v1 import data_pb2

from services.local.stack import LocalStack
from services.notice.folder import read_folder
from tests.descriptors import ROOT
from tests.integration.callers import Callers, service
from tests.integration.verification import Opened, Verification, timestamp
from tests.waiting import until

ADDED, DROPPED = "device.application.sdk_version", "device.network.carrier"
SDK_VERSION = data_pb2.ItemSet(host_application=data_pb2.HostApplication(sdk_version="3.1"))
CARRIER = data_pb2.ItemSet(device_network=data_pb2.DeviceNetwork(carrier="Utopia Mobile"))
_SUBMIT = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].methods_by_name["SubmitItems"]
_LEAD = timedelta(days=31)


@pytest_asyncio.fixture(scope="module")
async def verification(server_directory: Path) -> AsyncIterator[Verification]:
    """A stack of its own, with a Customer who must be told."""
    async with LocalStack(server_directory / "amended") as stack, Callers(stack) as callers:
        customer = customers_pb2.Customer(
            name="customers/initech", display_name="Initech", email="privacy@initech.example"
        )
        request = customers_pb2.CreateCustomerRequest(customer=customer, request_id=str(uuid.uuid4()))
        await callers.stub(CustomerServiceStub, "notice", service("officer")).CreateCustomer(request)
        yield Verification(callers)


def written(without: str) -> notice_pb2.CreateNoticeRequest:
    """Version 2 as shipped, without one of its items."""
    sources = read_folder(ROOT / "services" / "notice" / "versions" / "2")
    terms = yaml.safe_load(sources.terms_yaml)
    terms["items"] = [item for item in terms["items"] if item["code"] != without]
    texts = [notice_pb2.NoticeText(language=name, markdown=text) for name, text in sources.texts.items()]
    return notice_pb2.CreateNoticeRequest(
        request_id=str(uuid.uuid4()), terms_yaml=yaml.safe_dump(terms, allow_unicode=True), texts=texts
    )


async def announce(callers: Callers, without: str) -> tuple[int, datetime]:
    """Announces it; its number, and when it is to take effect. Returns when followers know of it."""
    officer = callers.stub(NoticeServiceStub, "notice", service("officer"))
    draft = (await officer.CreateNotice(written(without))).notice
    effective = callers.stack.clock.now() + _LEAD
    request = notice_pb2.AnnounceNoticeRequest(
        name=draft.name, request_id=str(uuid.uuid4()), effective_time=timestamp(effective)
    )
    announced = (await officer.AnnounceNotice(request)).notice
    assert announced.material
    following = callers.stub(NoticeServiceStub, "notice", service("ingest"))
    async for message in following.WatchTerms(notice_pb2.WatchTermsRequest()):
        if any(one.terms.version == announced.version for one in message.intervals):
            break
    return announced.version, announced.effective_time.ToDatetime(UTC)


async def opened(verification: Verification, version: int, *items: str) -> Opened:
    attestation = verification.attestation(items)
    attestation.notice_version = version
    return await verification.open("acme", str(uuid.uuid4()), items, attestation=attestation)


async def answer(verification: Verification, session: Opened, items: data_pb2.ItemSet) -> str:
    """`taken`, or the reason of the refusal; asked once."""
    request = ingest_pb2.SubmitItemsRequest(session=session.name, request_id=str(uuid.uuid4()), items=items)
    try:
        await verification.callers.call(_SUBMIT, request, session.sdk)
    except IdvError as error:
        return error.reason_name
    return "taken"


async def answers(
    verification: Verification, session: Opened, items: data_pb2.ItemSet, expected: str
) -> bool:
    return await answer(verification, session, items) == expected


async def test_with_notice_away_ingest_serves_until_the_announced_instant_and_then_refuses(
    verification: Verification,
) -> None:
    callers, stack = verification.callers, verification.callers.stack
    deliveries = callers.stub(DeliveryServiceStub, "notice", service("officer"))
    await stack.mail.stop()
    version, effective = await announce(callers, DROPPED)
    await deliveries.PauseDelivery(
        deliveries_pb2.PauseDeliveryRequest(
            version=version, request_id=str(uuid.uuid4()), reason="the mail provider is away"
        )
    )
    await stack.mail.start()

    stack.travel(to=effective - timedelta(minutes=5))
    session = await opened(verification, 1, "device.network", "device.application")
    await stack.kill("notice", restart=False)
    assert await answer(verification, session, CARRIER) == "taken"
    stack.travel(to=effective)
    gone = partial(answers, verification, session, CARRIER, "TERMS_UNKNOWN")
    await until("ingest refuses rather than guess", gone)

    await stack.restart("notice")
    await until("it serves again", partial(answers, verification, session, CARRIER, "taken"))
    assert await answer(verification, session, SDK_VERSION) == "ITEM_NOT_IN_NOTICE", "nobody was told yet"

    await deliveries.ResumeDelivery(
        deliveries_pb2.ResumeDeliveryRequest(version=version, request_id=str(uuid.uuid4()))
    )
    dropped = partial(answers, verification, session, CARRIER, "ITEM_NOT_IN_NOTICE")
    await until("the version is in force once its Customer was told", dropped)
    told = [mail for mail in stack.mail.messages() if "initech" in mail["X-Envelope-To"]]
    assert len(told) == 1
    newer = await opened(verification, version, "device.application", ADDED)
    assert await answer(verification, newer, SDK_VERSION) == "taken"


async def test_what_changes_changes_at_the_instant_even_in_open_sessions(
    verification: Verification,
) -> None:
    callers, stack = verification.callers, verification.callers.stack
    before, effective = await announce(callers, ADDED)
    deliveries = callers.stub(DeliveryServiceStub, "notice", service("officer"))

    async def cleared() -> bool:
        request = deliveries_pb2.GetDeliveryProgressRequest(version=before)
        return (await deliveries.GetDeliveryProgress(request)).progress.HasField("clear_time")

    await until("everybody is told", cleared)
    stack.travel(to=effective - timedelta(minutes=5))
    session = await opened(verification, before - 1, "device.network", "device.application", ADDED)
    assert await answer(verification, session, SDK_VERSION) == "taken"
    assert await answer(verification, session, CARRIER) == "ITEM_NOT_IN_NOTICE"
    stack.travel(to=effective)
    dropped = partial(answers, verification, session, SDK_VERSION, "ITEM_NOT_IN_NOTICE")
    await until("what it drops stops", dropped, seconds=5)
    newer = await opened(verification, before, "device.network")
    assert await answer(verification, newer, CARRIER) == "taken"
