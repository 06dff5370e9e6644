"""The notice service by its contract: real mutual TLS, the officer, followers, and anyone."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError, Reason
from idv.notice.v1 import notice_pb2
from idv.types.v1 import processing_pb2

from services.local.databases import ServiceDatabase
from services.notice.catalogue import catalogue
from services.notice.folder import Sources
from tests.notice_parts import TERMS, narrower, shipped, sources
from tests.notice_process import Process, running, stub_of
from tests.waiting import until

MORE_RIGHTS = TERMS.replace("[know, delete]", "[know, delete, limit]")


def drafting(written: Sources) -> notice_pb2.CreateNoticeRequest:
    return notice_pb2.CreateNoticeRequest(
        request_id=str(uuid.uuid4()),
        terms_yaml=written.terms_yaml,
        texts=[notice_pb2.NoticeText(language=code, markdown=text) for code, text in written.texts.items()],
    )


async def draft(process: Process, written: Sources) -> notice_pb2.Notice:
    answer = await process.officer().CreateNotice(drafting(written))
    return answer.notice


async def announce(process: Process, name: str, effective: datetime | None = None) -> notice_pb2.Notice:
    request = notice_pb2.AnnounceNoticeRequest(name=name, request_id=str(uuid.uuid4()))
    if effective is not None:
        request.effective_time.FromDatetime(effective)
    answer = await process.officer().AnnounceNotice(request)
    return answer.notice


async def publish(process: Process, written: Sources, effective: datetime | None = None) -> notice_pb2.Notice:
    return await announce(process, (await draft(process, written)).name, effective)


async def refused(call: Any) -> IdvError:
    with pytest.raises(IdvError) as caught:
        await call
    return caught.value


def named(name: str) -> notice_pb2.GetNoticeRequest:
    return notice_pb2.GetNoticeRequest(name=name)


async def test_anyone_reads_the_version_in_force_whole(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        await publish(process, shipped())
        answer = await process.notices().GetNotice(notice_pb2.GetNoticeRequest())
    notice = answer.notice
    assert (notice.name, notice.version) == ("notices/1", 1)
    assert notice.state == notice_pb2.NOTICE_STATE_IN_FORCE
    assert {text.language: text.title for text in notice.texts} == {
        "en": "ID Verification Privacy Notice",
        "zh": "身份验证服务隐私声明",
    }
    assert "kept for **30 days**" in notice.texts[0].markdown
    assert notice.terms.retention_days == 30
    assert {item.code for item in notice.terms.items} == set(catalogue()) - {"device.application.sdk_version"}
    assert list(notice.terms.rights) == ["know", "delete", "correct", "limit", "opt_out"]
    by_code = {item.code: item for item in notice.terms.items}
    assert list(by_code["device.network.dns_ip"].sources) == [processing_pb2.SOURCE_SDK]
    assert by_code["device.network.dns_ip"].optional
    assert len(notice.digest) == 32
    assert notice.in_force_time == notice.announce_time


async def test_before_the_first_version_none_was_in_force(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        anyone = process.notices()
        error = await refused(anyone.GetNotice(notice_pb2.GetNoticeRequest()))
        assert error.reason == Reason.ERROR_REASON_NOT_FOUND
        await publish(process, sources())
        before = Timestamp()
        before.FromDatetime(datetime.now(UTC) - timedelta(days=1))
        error = await refused(anyone.GetNotice(notice_pb2.GetNoticeRequest(as_of_time=before)))
        assert error.reason == Reason.ERROR_REASON_NOT_FOUND


async def test_drafts_and_withdrawn_versions_are_the_officers_alone(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        await publish(process, sources())
        await draft(process, sources(MORE_RIGHTS))
        await publish(process, sources(MORE_RIGHTS), datetime.now(UTC) + timedelta(days=9))
        anyone, officer = process.notices(), process.officer()
        listed = await anyone.ListNotices(notice_pb2.ListNoticesRequest())
        assert [notice.version for notice in listed.notices] == [3, 1]
        assert (await refused(anyone.GetNotice(named("notices/2")))).reason == Reason.ERROR_REASON_NOT_FOUND
        assert (await officer.GetNotice(named("notices/2"))).notice.state == notice_pb2.NOTICE_STATE_DRAFT
        withdrawing = notice_pb2.WithdrawNoticeRequest(
            name="notices/3", request_id=str(uuid.uuid4()), reason="unclear"
        )
        withdrawn = (await officer.WithdrawNotice(withdrawing)).notice
        assert withdrawn.state == notice_pb2.NOTICE_STATE_WITHDRAWN
        assert (await refused(anyone.GetNotice(named("notices/3")))).reason == Reason.ERROR_REASON_NOT_FOUND
        seen = await officer.ListNotices(notice_pb2.ListNoticesRequest())
        assert [notice.version for notice in seen.notices] == [3, 2, 1]
        assert not any(notice.texts for notice in seen.notices)


async def test_a_list_goes_on_where_its_token_says(tmp_path: Path, service_database: ServiceDatabase) -> None:
    async with running(tmp_path, service_database) as process:
        for _ in range(3):
            await draft(process, sources())
        officer, seen, token = process.officer(), [], ""
        while True:
            page = await officer.ListNotices(notice_pb2.ListNoticesRequest(page_size=2, page_token=token))
            seen += [notice.version for notice in page.notices]
            if not (token := page.next_page_token):
                break
        assert seen == [3, 2, 1]
        error = await refused(officer.ListNotices(notice_pb2.ListNoticesRequest(page_token="x' OR 1=1")))
        assert (error.reason, error.field) == (Reason.ERROR_REASON_INVALID_ARGUMENT, "page_token")


async def test_an_invalid_notice_is_refused_with_a_violation_for_each_fault(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        request = drafting(
            sources(TERMS.replace("log.events", "device.imei"), en="# T\n\n<b>x</b>\n\n{{ items }}")
        )
        error = await refused(process.officer().CreateNotice(request))
        assert error.reason == Reason.ERROR_REASON_NOTICE_INVALID
        assert [v.field for v in error.violations] == ["terms.yaml:5 items[0].code", "text.en.md:3"]
        listed = await process.officer().ListNotices(notice_pb2.ListNoticesRequest())
        assert not listed.notices


async def test_a_language_given_twice_is_refused(tmp_path: Path, service_database: ServiceDatabase) -> None:
    async with running(tmp_path, service_database) as process:
        request = drafting(sources())
        request.texts.append(request.texts[0])
        error = await refused(process.officer().CreateNotice(request))
        assert (error.reason, error.field) == (Reason.ERROR_REASON_INVALID_ARGUMENT, "texts[1].language")


async def test_a_name_that_is_none_is_refused(tmp_path: Path, service_database: ServiceDatabase) -> None:
    refusals = (Reason.ERROR_REASON_INVALID_ARGUMENT, Reason.ERROR_REASON_NOT_FOUND)
    async with running(tmp_path, service_database) as process:
        for name in (
            "notices/0",
            "notices/999999999",
            "notices/x",
            "customers/a",
            "notices/1/x",
            "notices/٣",
        ):
            assert (await refused(process.notices().GetNotice(named(name)))).reason in refusals


async def test_a_material_change_is_refused_and_the_review_says_why(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        await publish(process, sources())
        wider = await draft(process, sources(TERMS.replace("[sdk]", "[sdk, customer]", 1)))
        review = await process.officer().ReviewNotice(notice_pb2.ReviewNoticeRequest(name=wider.name))
        assert review.material
        assert [(c.clause, c.material) for c in review.changes] == [
            ("items.log.events.sources.customer", True)
        ]
        assert len(review.refusals) == 2, "not at once, and not where no mail server is set"
        error = await refused(announce(process, wider.name))
        assert error.reason == Reason.ERROR_REASON_NOTICE_MATERIAL


async def test_followers_get_all_terms_at_once_and_again_within_a_second_of_a_change(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        stream = process.notices("ingest").WatchTerms(notice_pb2.WatchTermsRequest())
        updates = aiter(stream)
        assert not (await anext(updates)).intervals
        await draft(process, shipped())
        published = asyncio.create_task(announce(process, "notices/1"))
        while not (update := await anext(updates)).intervals:
            pass
        heard = asyncio.get_running_loop().time()
        notice = await published
        assert asyncio.get_running_loop().time() - heard < 1
        (interval,) = update.intervals
        assert interval.terms == notice.terms
        assert interval.in_force_time == notice.in_force_time
        assert interval.digest == notice.digest
        effective = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
        await publish(process, narrower(), effective)
        while len((update := await anext(updates)).intervals) < 2:
            pass
        later = update.intervals[1]
        assert later.effective_time.ToDatetime(UTC) == later.in_force_time.ToDatetime(UTC) == effective
        stream.cancel()


async def test_a_version_comes_into_force_by_the_clock_alone(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        await publish(process, sources())
        await publish(process, sources(MORE_RIGHTS), datetime.now(UTC) + timedelta(days=2))
        anyone = process.notices()
        assert (await anyone.GetNotice(notice_pb2.GetNoticeRequest())).notice.version == 1
        process.travel(days=3)
        assert (await anyone.GetNotice(notice_pb2.GetNoticeRequest())).notice.version == 2
        first = (await anyone.GetNotice(named("notices/1"))).notice
        assert first.state == notice_pb2.NOTICE_STATE_SUPERSEDED
        assert first.superseded_time == (await anyone.GetNotice(named("notices/2"))).notice.in_force_time


async def test_only_the_officer_changes_anything(tmp_path: Path, service_database: ServiceDatabase) -> None:
    refusals = (Reason.ERROR_REASON_PERMISSION_DENIED, Reason.ERROR_REASON_UNAUTHENTICATED)
    async with running(tmp_path, service_database) as process:
        services = [process.service(name) for name in ("ingest", "storage", "retention", "verification")]
        for channel in (*services, process.anyone()):
            assert (await refused(stub_of(channel).CreateNotice(drafting(sources())))).reason in refusals


async def test_stopping_ends_streams_and_frees_the_pages_port(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        updates = aiter(process.notices("ingest").WatchTerms(notice_pb2.WatchTermsRequest()))
        await anext(updates)
        port = int(process.page.rpartition(":")[2])
    async with asyncio.timeout(5):
        with pytest.raises(IdvError):
            await anext(updates)

    async def free() -> bool:
        try:
            server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
        except OSError:
            return False
        server.close()
        return True

    await until("the port is free", free)
