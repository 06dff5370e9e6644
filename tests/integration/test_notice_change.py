"""The notice is the configuration: what a new version no longer lists stops entering when it takes effect."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError
from idv.notice.v1 import notice_pb2
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub
from idv.types.v1 import data_pb2

from services.local.stack import LocalStack
from services.notice.folder import read_folder
from services.notice.terms import LANGUAGES
from services.notice.text import parse_text
from tests.descriptors import ROOT
from tests.integration.callers import NOBODY, Callers, service
from tests.integration.verification import Verification
from tests.waiting import until

DROPPED = "device.network.carrier"
CARRIER = data_pb2.ItemSet(device_network=data_pb2.DeviceNetwork(carrier="Utopia Mobile"))
OTHER = data_pb2.ItemSet(device_network=data_pb2.DeviceNetwork(lan_ip="10.0.0.7"))


@pytest_asyncio.fixture(scope="module")
async def verification(server_directory: Path) -> AsyncIterator[Verification]:
    """A stack of its own: its notice changes."""
    async with LocalStack(server_directory / "changed") as stack, Callers(stack) as callers:
        yield Verification(callers)


def narrowed() -> notice_pb2.CreateNoticeRequest:
    """Version 1 as shipped, without one of its items."""
    sources = read_folder(ROOT / "services" / "notice" / "versions" / "1")
    terms = yaml.safe_load(sources.terms_yaml)
    terms["items"] = [item for item in terms["items"] if item["code"] != DROPPED]
    texts = [
        notice_pb2.NoticeText(language=language, title=parse_text(language, text).title, markdown=text)
        for language in LANGUAGES
        if (text := sources.texts.get(language)) is not None
    ]
    return notice_pb2.CreateNoticeRequest(
        request_id=str(uuid.uuid4()), terms_yaml=yaml.safe_dump(terms, allow_unicode=True), texts=texts
    )


async def test_an_item_dropped_from_the_notice_is_refused_from_its_effect_on_even_in_open_sessions(
    verification: Verification,
) -> None:
    callers = verification.callers
    opened = await verification.open("acme", "subject-1")
    kept = (await verification.submit(opened, CARRIER))[0]
    officer = callers.stub(NoticeServiceStub, "notice", service("officer"))
    before = Timestamp()
    before.FromDatetime(callers.stack.clock.now())

    draft = (await officer.CreateNotice(narrowed())).notice
    public = callers.stub(NoticeServiceStub, "notice", NOBODY)
    listed = (await public.ListNotices(notice_pb2.ListNoticesRequest())).notices
    assert [notice.version for notice in listed] == [1], "a draft is nobody's business yet"
    with pytest.raises(IdvError) as unknown:
        await public.GetNotice(notice_pb2.GetNoticeRequest(name=draft.name))
    assert unknown.value.reason_name == "NOT_FOUND"
    announced = await officer.AnnounceNotice(
        notice_pb2.AnnounceNoticeRequest(name=draft.name, request_id=str(uuid.uuid4()))
    )
    assert not announced.notice.material, "it only narrows what is collected"

    async def refused() -> str | None:
        try:
            await verification.submit(opened, CARRIER)
        except IdvError as error:
            return error.reason_name
        return None

    assert await until("the dropped item is refused", refused, seconds=10) == "ITEM_NOT_IN_NOTICE"
    await verification.submit(opened, OTHER)
    assert await verification.read(kept.name), "what came in under version 1 keeps its term"

    assert (await public.GetNotice(notice_pb2.GetNoticeRequest())).notice.version == 2
    then = await public.GetNotice(notice_pb2.GetNoticeRequest(as_of_time=before))
    assert then.notice.version == 1, "the past instant keeps its answer"


async def test_an_item_that_is_not_in_the_notice_cannot_be_asked_for_by_name(
    verification: Verification,
) -> None:
    with pytest.raises(IdvError) as refused:
        await verification.open("acme", "subject-2", (DROPPED,))
    assert refused.value.reason_name in {"ITEM_NOT_IN_NOTICE", "ATTESTATION_STALE"}
