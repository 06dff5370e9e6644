"""The officer's page and the rule of two persons: nobody else sees or does anything."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from idv.errors import IdvError, Reason
from idv.notice.v1 import notice_pb2 as pb

from services.local.authority import Certificate, DevelopmentAuthority
from services.local.databases import ServiceDatabase
from tests.notice_parts import TERMS, sources
from tests.notice_process import Process, running
from tests.service.test_notice_api import drafting

REWORDED = sources(en="# A notice\n\nWe keep it for {{ retention_days }} days.\n\n{{ items }}\n")
FACES = TERMS + "  - code: face_image\n    sources: [sdk]\n"


def trusting(authority: DevelopmentAuthority, shown: Certificate | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if shown:
        context.load_cert_chain(shown.certificate, shown.private_key)
    return context


async def look(process: Process, path: str, who: Certificate | None) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(process.officer_page + path, ssl=trusting(process.authority, who)) as answer,
    ):
        return answer.status, await answer.text()


async def announce(
    process: Process, person: str, name: str, **fields: object
) -> pb.AnnounceNoticeResponse | IdvError:
    request = pb.AnnounceNoticeRequest(name=name, request_id=str(uuid.uuid4()), **fields)  # type: ignore[arg-type]
    try:
        return await process.notices(person).AnnounceNotice(request)
    except IdvError as error:
        return error


async def test_only_an_officers_certificate_opens_the_page(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        await process.officer().CreateNotice(drafting(sources()))
        issue = process.authority.service
        status, body = await look(process, "/", issue("officer"))
        assert (status, "Version 1" in body) == (200, True)
        assert (await look(process, "/", issue("officer/anna")))[0] == 200
        for other in (issue("ingest"), process.authority.customer("acme")):
            assert (await look(process, "/", other))[0] == 403
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await look(process, "/", None)


async def test_whoever_connects_next_sees_a_renewed_certificate(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        officer, own = process.authority.service("officer"), process.authority.service("notice")
        port = int(process.officer_page.rpartition(":")[2])

        async def shown() -> bytes | None:
            context = trusting(process.authority, officer)
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            connection = writer.get_extra_info("ssl_object")
            writer.close()
            found: bytes | None = connection.getpeercert(binary_form=True)
            return found

        first = await shown()
        own.private_key.unlink()
        own.certificate.unlink()
        assert await shown() == first, "files that are not there yet change nothing"
        process.authority.service("notice")
        assert await shown() not in (first, None)
        assert (await look(process, "/", officer))[0] == 200


async def test_the_page_of_a_draft_shows_what_it_changes_and_what_would_be_refused(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        officer = process.authority.service("officer")
        await process.officer().CreateNotice(drafting(sources()))
        await announce(process, "officer", "notices/1")
        await process.officer().CreateNotice(
            drafting(
                sources(
                    TERMS + "  - code: face_image\n    sources: [sdk]\n",
                    en="# Ours &lt;b> & theirs\n\n{{ items }}\n",
                )
            )
        )
        status, body = await look(process, "/versions/2", officer)
        assert status == 200
        assert "face<wbr>_image" in body
        assert "At once it would be refused" in body
        assert "&amp;lt;b&gt;" in body.replace("<ins>", "").replace("</ins>", "")
        assert "<b>" not in body
        for path in ("/versions/3", "/versions/x", "/versions/" + "9" * 5000):
            assert (await look(process, path, officer))[0] == 404


async def test_whoever_drafted_a_version_may_not_announce_it(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database, two_persons=True) as process:
        await process.notices("officer/anna").CreateNotice(drafting(sources()))
        for refused in ("officer/anna", "officer"):
            error = await announce(process, refused, "notices/1")
            assert isinstance(error, IdvError)
            assert error.reason == Reason.ERROR_REASON_SECOND_PERSON_REQUIRED
        assert isinstance(await announce(process, "officer/ben", "notices/1"), pb.AnnounceNoticeResponse)
        listed = (await process.officer().ListNoticeChanges(pb.ListNoticeChangesRequest())).changes
        assert [change.actor for change in listed] == ["officer/anna", "officer/ben"]
        seen = (await process.notices("retention").ListNoticeChanges(pb.ListNoticeChangesRequest())).changes
        assert [change.actor for change in seen] == ["", ""]


async def test_a_change_of_text_alone_needs_its_authors_word_and_reason(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    async with running(tmp_path, service_database) as process:
        await process.officer().CreateNotice(drafting(sources()))
        await announce(process, "officer", "notices/1")
        await process.officer().CreateNotice(drafting(REWORDED))
        for fields in ({}, {"declared": pb.MATERIALITY_IMMATERIAL}):
            error = await announce(process, "officer", "notices/2", **fields)
            assert isinstance(error, IdvError)
            assert error.reason == Reason.ERROR_REASON_NOTICE_UNDECLARED
        said = {"declared": pb.MATERIALITY_IMMATERIAL, "reason": "shorter, and means the same"}
        assert isinstance(await announce(process, "officer", "notices/2", **said), pb.AnnounceNoticeResponse)
        changes = (await process.officer().ListNoticeChanges(pb.ListNoticeChangesRequest())).changes
        assert changes[-1].reason == said["reason"]
        assert changes[-1].declared == pb.MATERIALITY_IMMATERIAL


async def test_less_than_the_terms_say_and_an_instant_too_near_are_refused_and_the_review_foretells_it(
    tmp_path: Path, service_database: ServiceDatabase
) -> None:
    wider = sources(FACES)
    async with running(tmp_path, service_database, "127.0.0.1:9", lead_days=30) as process:
        await process.officer().CreateNotice(drafting(sources()))
        await announce(process, "officer", "notices/1")
        await process.officer().CreateNotice(drafting(wider))
        near = pb.ReviewNoticeRequest(name="notices/2", declared=pb.MATERIALITY_IMMATERIAL)
        near.effective_time.FromDatetime(datetime.now(UTC) + timedelta(days=29))
        review = await process.officer().ReviewNotice(near)
        assert review.minimum_lead.ToTimedelta() == timedelta(days=30)
        foretold = {refusal.reason for refusal in review.refusal_details}
        assert foretold == {
            int(Reason.ERROR_REASON_NOTICE_MATERIAL),
            int(Reason.ERROR_REASON_TIME_OUT_OF_RANGE),
        }
        error = await announce(process, "officer", "notices/2", effective_time=near.effective_time)
        assert isinstance(error, IdvError)
        assert (error.reason, error.field) == (Reason.ERROR_REASON_TIME_OUT_OF_RANGE, "effective_time")
        earliest = review.earliest_effective_time.ToDatetime(UTC)
        assert timedelta(days=30) <= earliest - datetime.now(UTC) + timedelta(minutes=1)
