"""Another retention begins at 00:00 UTC: sessions that are open then go on under the term of their day."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest_asyncio
import yaml
from idv.notice.v1 import notice_pb2
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub
from idv.types.v1 import data_pb2

from services.local.specimens import face, jpeg
from services.local.stack import LocalStack
from services.notice.folder import read_folder
from services.notice.terms import LANGUAGES
from services.notice.text import parse_text
from tests.descriptors import ROOT
from tests.integration.callers import NOBODY, Callers, service
from tests.integration.verification import Verification, timestamp
from tests.waiting import until

HARDWARE = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="E-17"))
SHORTER = 20


@pytest_asyncio.fixture(scope="module")
async def verification(server_directory: Path) -> AsyncIterator[Verification]:
    """A stack of its own: its notice and its clock change."""
    async with LocalStack(server_directory / "shorter") as stack, Callers(stack) as callers:
        yield Verification(callers)


def shorter() -> notice_pb2.CreateNoticeRequest:
    """Version 1 as shipped, with a shorter retention: no material change."""
    sources = read_folder(ROOT / "services" / "notice" / "versions" / "1")
    terms = yaml.safe_load(sources.terms_yaml) | {"retention_days": SHORTER}
    texts = [
        notice_pb2.NoticeText(language=language, title=parse_text(language, text).title, markdown=text)
        for language in LANGUAGES
        if (text := sources.texts.get(language)) is not None
    ]
    return notice_pb2.CreateNoticeRequest(
        request_id=str(uuid.uuid4()), terms_yaml=yaml.safe_dump(terms, allow_unicode=True), texts=texts
    )


async def announced_for_midnight(verification: Verification) -> datetime:
    """Announces the shorter retention for the next 00:00 UTC, and returns that instant."""
    callers = verification.callers
    officer = callers.stub(NoticeServiceStub, "notice", service("officer"))
    midnight = (callers.stack.clock.now() + timedelta(days=1)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    drafted = (await officer.CreateNotice(shorter())).notice
    await officer.AnnounceNotice(
        notice_pb2.AnnounceNoticeRequest(
            name=drafted.name, request_id=str(uuid.uuid4()), effective_time=timestamp(midnight)
        )
    )
    return midnight


async def test_a_session_open_at_midnight_goes_on_under_the_term_of_its_own_day(
    verification: Verification,
) -> None:
    stack = verification.callers.stack
    midnight = await announced_for_midnight(verification)
    stack.travel(to=midnight - timedelta(minutes=5))
    opened = await verification.open("acme", "subject-1")

    stack.travel(to=midnight + timedelta(minutes=5))
    anyone = verification.callers.stub(NoticeServiceStub, "notice", NOBODY)

    async def in_force() -> bool:
        found = (await anyone.GetNotice(notice_pb2.GetNoticeRequest())).notice
        return found.terms.retention_days == SHORTER

    await until("the shorter retention is in force", in_force)
    (small,) = await verification.submit(opened, HARDWARE)
    large = (await verification.upload(opened, jpeg(face("M")), data_pb2.FaceImage())).record
    for record in (small, large):
        kept = record.expire_time.ToDatetime() - record.receive_time.ToDatetime()
        assert kept == timedelta(days=30), "the day of the session keeps all its data for one term"

    attestation = verification.attestation(["device.hardware"])
    attestation.notice_version = 2
    later = await verification.open("acme", "subject-2", ["device.hardware"], attestation=attestation)
    (record,) = await verification.submit(later, HARDWARE)
    kept = record.expire_time.ToDatetime() - record.receive_time.ToDatetime()
    assert kept == timedelta(days=SHORTER), "a session of the new day is kept as its version says"
