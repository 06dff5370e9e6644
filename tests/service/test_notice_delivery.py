"""Telling Customers through the contract of the running service: progress, gate, links, evidence."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2, notice_pb2
from idv.notice.v1 import deliveries_pb2 as pb
from idv.notice.v1.deliveries_pb2_grpc import DeliveryServiceStub

from services.local.databases import ServiceDatabase
from services.local.mail import MailSink
from tests.delivery_parts import wider
from tests.notice_parts import sources
from tests.notice_process import Process, running
from tests.waiting import until


def new_id() -> str:
    return str(uuid.uuid4())


async def register(process: Process, name: str) -> customers_pb2.CreateCustomerResponse:
    customer = customers_pb2.Customer(
        name=f"customers/{name}", display_name=name.title(), email=f"privacy@{name}.example"
    )
    request = customers_pb2.CreateCustomerRequest(customer=customer, request_id=new_id())
    return await process.customers().CreateCustomer(request)


async def announce(process: Process, days: float = 30) -> int:
    """The small version in force, and a material one announced; its number."""
    officer = process.officer()
    for written, later in ((sources(), None), (wider(), days)):
        texts = [notice_pb2.NoticeText(language=k, markdown=v) for k, v in written.texts.items()]
        draft = notice_pb2.CreateNoticeRequest(
            request_id=new_id(), terms_yaml=written.terms_yaml, texts=texts
        )
        name = (await officer.CreateNotice(draft)).notice.name
        request = notice_pb2.AnnounceNoticeRequest(name=name, request_id=new_id())
        if later is not None:
            effective = Timestamp()
            effective.FromDatetime(datetime.now(UTC) + timedelta(days=later))
            request.effective_time.CopyFrom(effective)
        answer = await officer.AnnounceNotice(request)
    return answer.notice.version


async def progress(process: Process, version: int) -> pb.DeliveryProgress:
    stub = DeliveryServiceStub(process.service("officer"))
    return (await stub.GetDeliveryProgress(pb.GetDeliveryProgressRequest(version=version))).progress


async def cleared(process: Process, version: int) -> bool:
    return (await progress(process, version)).HasField("clear_time")


def link_in(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    (link,) = re.findall(r"http://\S+/acknowledge/\S+", body.get_content())
    return str(link)


async def test_the_officer_follows_pauses_and_resumes(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    mails = tmp_path / "mail"
    mails.mkdir()
    async with MailSink(mails) as sink, running(tmp_path, service_database, sink.address) as process:
        await register(process, "acme")
        version = await announce(process)
        await until("the gate is clear", partial(cleared, process, version))
        seen = await progress(process, version)
        assert (seen.total_count, seen.accepted_count, seen.waiting_count) == (1, 1, 0)
        stub = DeliveryServiceStub(process.service("officer"))
        pause = pb.PauseDeliveryRequest(version=version, request_id=new_id(), reason="wrong link")
        assert (await stub.PauseDelivery(pause)).progress.HasField("pause_time")
        joined = await register(process, "late")
        assert joined.upcoming_notice_version == version
        assert (await progress(process, version)).queued_count == 1
        resume = pb.ResumeDeliveryRequest(version=version, request_id=new_id())
        assert not (await stub.ResumeDelivery(resume)).progress.HasField("pause_time")

        async def both() -> bool:
            return (await progress(process, version)).accepted_count == 2

        await until("the later one is told", both)
        listed = await process.customers().ListDeliveries(
            customers_pb2.ListDeliveriesRequest(version=version)
        )
        assert [one.customer for one in listed.deliveries] == ["customers/acme", "customers/late"]
        assert [one.audience for one in listed.deliveries] == [True, False]
        ids = {message["Message-ID"] for message in sink.messages()}
        assert {one.message_id for one in listed.deliveries} == ids


async def test_only_an_approver_opens_the_gate_and_the_reason_stays(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    async with running(tmp_path, service_database, "127.0.0.1:9") as process:
        await register(process, "acme")
        version = await announce(process)
        request = pb.OverrideGateRequest(
            version=version, request_id=new_id(), reason="the mail provider closed our account"
        )
        with pytest.raises(IdvError) as caught:
            await DeliveryServiceStub(process.service("officer")).OverrideGate(request)
        assert caught.value.reason == Reason.ERROR_REASON_PERMISSION_DENIED
        approver = DeliveryServiceStub(process.service("approver"))
        done = (await approver.OverrideGate(request)).progress
        assert done.HasField("clear_time")
        assert done.waiting_count == 1
        assert (await approver.OverrideGate(request)).progress.clear_time == done.clear_time


async def test_the_link_in_the_mail_acknowledges_by_its_form_alone(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    mails = tmp_path / "mail"
    mails.mkdir()
    async with MailSink(mails) as sink, running(tmp_path, service_database, sink.address) as process:
        await register(process, "acme")
        version = await announce(process)
        await until("the gate is clear", partial(cleared, process, version))
        link = link_in(sink.messages()[0])
        stub = DeliveryServiceStub(process.service("officer"))
        request = pb.ListAcknowledgementsRequest(version=version)
        async with aiohttp.ClientSession() as browser:
            for method in ("GET", "HEAD", "GET"):
                async with browser.request(method, link) as answer:
                    assert answer.status == 200
            assert not (await stub.ListAcknowledgements(request)).acknowledgements
            forged = link.replace(".acme.", ".bolt.")
            for url, form, status in (
                (forged, "accepted", 404),
                (link[:-1], "accepted", 404),
                (link, "other", 400),
                (link, "accepted", 200),
                (link, "accepted", 409),
                (link, "seen", 200),
            ):
                async with browser.post(url, data={"kind": form}) as answer:
                    assert answer.status == status
            (seen, accepted) = (await stub.ListAcknowledgements(request)).acknowledgements
            assert (seen.customer, seen.kind) == ("customers/acme", 1)
            assert accepted.channel == pb.ACKNOWLEDGEMENT_CHANNEL_LINK
            process.travel(days=200)
            async with browser.post(link, data={"kind": "seen"}) as answer:
                assert answer.status == 410


async def test_a_material_version_is_refused_where_no_mail_is_sent(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    async with running(tmp_path, service_database) as process:
        with pytest.raises(IdvError) as caught:
            await announce(process)
        assert caught.value.reason == Reason.ERROR_REASON_NOTICE_MATERIAL
