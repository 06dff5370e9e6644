"""Chapter: version 2 collects one item more: every Customer is told of it before it takes effect."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any, Final

from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2, deliveries_pb2, notice_pb2
from idv.notice.v1.customers_pb2_grpc import CustomerServiceStub
from idv.notice.v1.deliveries_pb2_grpc import DeliveryServiceStub
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub
from idv.types.v1 import data_pb2, receipt_pb2

from services.cli.client import CALL_SECONDS, NOBODY
from services.cli.demo.announcing import drafted, fetched
from services.cli.demo.calls import new_id, open_session, refusal, session_request, submit
from services.cli.demo.cast import Person
from services.cli.demo.expiring import leaf_of
from services.cli.demo.stage import ACME, OFFICER, Chapter, Stage, Step, eventually, promised
from services.cli.failure import NotAsPromisedError
from services.cli.log import proven
from services.cli.messages import instant, shown_time, timestamp
from services.cli.records import counted

SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {"notice": {"amendment": {"minimum_lead_days": 3}}}
"""What the stack must differ in: a version announced for three days ahead, so that mail is still tried."""

_VERSION: Final = 2
_ITEM: Final = "device.application.sdk_version"
_ITEM_NAME: Final = "Version of the SDK"
_SLOW: Final = "privacy@initech.example"
_OTHERS: Final = {"globex": "privacy@globex.example", "initech": _SLOW}
_NEXT_TRY: Final = timedelta(hours=6)
"""By then a mail that was put off has been tried again."""


async def reviewed(stage: Stage) -> str:
    """The review finds what is material, with clause and reason; at once, or too near, is refused."""
    customers = stage.suite.stub(CustomerServiceStub, "notice", OFFICER)
    for name, address in _OTHERS.items():
        customer = customers_pb2.Customer(
            name=f"customers/{name}", display_name=name.title(), email=address, time_zone="Etc/UTC"
        )
        request = customers_pb2.CreateCustomerRequest(customer=customer, request_id=new_id())
        await customers.CreateCustomer(request, timeout=CALL_SECONDS)
    draft = await drafted(stage, _VERSION)
    stub = stage.suite.stub(NoticeServiceStub, "notice", OFFICER)
    review = await stub.ReviewNotice(
        notice_pb2.ReviewNoticeRequest(name=draft.name, effective_time=timestamp(_soon(stage))),
        timeout=CALL_SECONDS,
    )
    found = [change for change in review.changes if change.material]
    promised(review.material and bool(found), "the added item was not found material")
    promised(review.audience_count == len(_OTHERS) + 1, f"{review.audience_count} would be told")
    at_once = notice_pb2.AnnounceNoticeRequest(name=draft.name, request_id=new_id())
    await refusal(stub.AnnounceNotice(at_once, timeout=CALL_SECONDS), Reason.ERROR_REASON_NOTICE_MATERIAL)
    near = notice_pb2.AnnounceNoticeRequest(
        name=draft.name, request_id=new_id(), effective_time=timestamp(_soon(stage))
    )
    await refusal(stub.AnnounceNotice(near, timeout=CALL_SECONDS), Reason.ERROR_REASON_TIME_OUT_OF_RANGE)
    return (
        f"{found[0].clause}: {found[0].reason}; {review.audience_count} Customers to be told, at the "
        f"earliest for {shown_time(review.earliest_effective_time)}; at once, or tomorrow: refused"
    )


async def told(stage: Stage) -> str:
    """Announced with an instant: two Customers get their mail, the third one's mailbox is busy."""
    stage.stack.mail.busy.add(_SLOW)
    before = len(_mails(stage))
    stub = stage.suite.stub(NoticeServiceStub, "notice", OFFICER)
    effective = stage.stack.clock.now().replace(microsecond=0) + timedelta(days=3, minutes=1)
    request = notice_pb2.AnnounceNoticeRequest(
        name=f"notices/{_VERSION}", request_id=new_id(), effective_time=timestamp(effective)
    )
    await stub.AnnounceNotice(request, timeout=CALL_SECONDS)
    stage.amended_time = effective

    async def look() -> deliveries_pb2.DeliveryProgress | None:
        progress = await _progress(stage)
        return progress if progress.accepted_count == len(_OTHERS) else None

    progress = await eventually(look, "the mails of version 2 are not sent")
    mails = _mails(stage)[before:]
    promised(len(mails) == progress.accepted_count, f"{len(mails)} mails in the sink")
    return (
        f"for {effective:%Y-%m-%dT%H:%M:%SZ}; {len(mails)} mails in the sink: “{mails[0]['Subject']}”; "
        f"{_SLOW}: 450, queued"
    )


async def shown_before(stage: Stage) -> str:
    """The page says at its head what comes, and from when; the version in force is the first still."""
    page = await _page_with(stage, f"versions/{_VERSION}")
    promised(_ITEM_NAME not in page, "the page lists the item before it is in force")
    return f"its banner links to version {_VERSION} and to the difference; its table has no “{_ITEM_NAME}”"


async def waits(stage: Stage) -> str:
    """The announced instant comes and goes: one Customer has not been told, so version 1 stays in force."""
    if stage.amended_time is None:
        raise NotAsPromisedError("not reached: version 2 was not announced")
    stage.stack.travel(to=stage.amended_time + timedelta(minutes=1))
    notice = await _in_force(stage)
    promised(notice.version == 1, f"version {notice.version} is in force")
    progress = await _progress(stage)
    promised(progress.waiting_count == 1, f"the gate waits for {progress.waiting_count}")
    request = session_request(stage, ACME, Person("nobody"), ("log", _ITEM))
    refused = await refusal(open_session(stage, ACME, request), Reason.ERROR_REASON_ITEM_NOT_IN_NOTICE)
    return f"a minute later version 1 is in force, the gate waits for 1; {refused}"


async def in_force(stage: Stage) -> str:
    """The last Customer's mail is taken: the gate clears, once, and version 2 is in force from then on."""
    stage.stack.mail.busy.discard(_SLOW)
    stage.stack.travel(by=_NEXT_TRY)

    async def look() -> deliveries_pb2.DeliveryProgress | None:
        progress = await _progress(stage)
        return progress if progress.HasField("clear_time") else None

    progress = await eventually(look, "the gate does not clear")

    async def follow() -> notice_pb2.Notice | None:
        notice = await _in_force(stage)
        return notice if notice.version == _VERSION else None

    notice = await eventually(follow, "version 2 does not come into force")
    promised(notice.in_force_time == progress.clear_time, "it is not in force from the instant it was clear")
    second_before = timestamp(instant(notice.in_force_time) - timedelta(seconds=1))
    earlier = await _in_force(stage, notice_pb2.GetNoticeRequest(as_of_time=second_before))
    promised(earlier.version == 1, "an earlier instant got another answer")
    return (
        f"{progress.accepted_count} of {progress.total_count} told; in force from "
        f"{shown_time(notice.in_force_time)}; a second earlier: version {earlier.version}"
    )


async def accepted(stage: Stage) -> str:
    """The new item enters: attested under version 2, and asked for by name, as it is optional."""
    person = Person("the first under version 2")

    async def opened() -> bool | None:
        request = session_request(stage, ACME, person, ("log", _ITEM), _VERSION)
        try:
            answer = await open_session(stage, ACME, request)
        except IdvError as error:
            if error.reason in (Reason.ERROR_REASON_ITEM_NOT_IN_NOTICE, Reason.ERROR_REASON_TERMS_UNKNOWN):
                return None
            raise
        person.session, person.token = answer.session, answer.upload_token
        return True

    await eventually(opened, "ingest does not follow version 2")
    items = data_pb2.ItemSet(host_application=data_pb2.HostApplication(sdk_version="5.2.0"))
    (record,) = (await submit(stage, person, items)).records
    promised(record.notice_version == _VERSION, f"the record names version {record.notice_version}")
    return (
        f"{_ITEM} stored under version {record.notice_version}, kept until {shown_time(record.expire_time)}"
    )


async def shown_after(stage: Stage) -> str:
    """The page shows version 2, and its history both."""
    page = await _page_with(stage, _ITEM_NAME)
    history = await fetched(f"{stage.suite.ready.public_page}en/versions") or ""
    promised(
        all(f"versions/{number}" in history for number in (1, _VERSION)), "the history leaves a version out"
    )
    stub = stage.suite.stub(NoticeServiceStub, "notice", OFFICER)
    changes = (
        await stub.ListNoticeChanges(notice_pb2.ListNoticeChangesRequest(), timeout=CALL_SECONDS)
    ).changes
    kinds = ", ".join(
        notice_pb2.NoticeChangeKind.Name(one.kind).removeprefix("NOTICE_CHANGE_KIND_").lower()
        for one in changes
        if one.version == _VERSION
    )
    return f"{len(page)} characters with “{_ITEM_NAME}”; the history keeps both; version 2: {kinds}"


async def logged(stage: Stage) -> str:
    """That everybody was told is a leaf of the log, with its inclusion proof."""
    leaf = await leaf_of(stage, receipt_pb2.ENTRY_KIND_NOTICE_CHANGE, version=_VERSION, change="cleared")
    _, proof, _ = await proven(stage.suite, leaf)
    hashes = counted(len(proof.hashes), "hash", "hashes")
    return f"“cleared” is leaf {leaf} of {proof.tree_size}, its proof of {hashes} verified"


def _soon(stage: Stage) -> datetime:
    return stage.stack.clock.now() + timedelta(days=1)


def _mails(stage: Stage) -> list[EmailMessage]:
    """Those about this version: other mail, of ended deletions, may come meanwhile."""
    return [one for one in stage.stack.mail.messages() if f"version {_VERSION} " in str(one["Subject"])]


async def _in_force(stage: Stage, request: notice_pb2.GetNoticeRequest | None = None) -> notice_pb2.Notice:
    stub = stage.suite.stub(NoticeServiceStub, "notice", NOBODY)
    answer = await stub.GetNotice(request or notice_pb2.GetNoticeRequest(), timeout=CALL_SECONDS)
    return answer.notice


async def _progress(stage: Stage) -> deliveries_pb2.DeliveryProgress:
    stub = stage.suite.stub(DeliveryServiceStub, "notice", OFFICER)
    request = deliveries_pb2.GetDeliveryProgressRequest(version=_VERSION)
    return (await stub.GetDeliveryProgress(request, timeout=CALL_SECONDS)).progress


async def _page_with(stage: Stage, text: str) -> str:
    """The English page, once it has this text."""

    async def look() -> str | None:
        page = await fetched(f"{stage.suite.ready.public_page}en")
        return page if page is not None and text in page else None

    return await eventually(look, f"the public page does not show {text!r}")


CHAPTER = Chapter(
    "One item more, and everybody told first",
    "Version 2 adds an optional item. That is material: every Customer is mailed, and it is in force only "
    "when the last one has been told. This stack asks for three days' lead.",
    (
        Step("P8", "The review finds it material", reviewed),
        Step("P8", "Announced: Customers are mailed", told),
        Step("P7", "The page announces it to everybody", shown_before),
        Step("P8", "Its instant passes: it waits for one", waits),
        Step("P8", "The last is told: it is in force", in_force),
        Step("P2", "The new item is taken from now on", accepted),
        Step("P7", "Page and history show it", shown_after),
        Step("P9", "The log holds that all were told", logged),
    ),
)
