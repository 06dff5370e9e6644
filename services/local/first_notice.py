"""Brings the shipped notice into force, so that a fresh stack takes data: what an officer does once."""

from __future__ import annotations

import uuid
from importlib import resources
from pathlib import Path

from idv.channel import AioChannel
from idv.notice.v1 import notice_pb2
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub

from services.notice.folder import read_folder
from services.notice.terms import LANGUAGES
from services.notice.text import parse_text

_REQUESTS = uuid.UUID("3f1d9a52-6f8e-4c07-9d3b-2d6a4c1b7e90")
"""Request ids are derived from it, so that an interrupted start is repeated and not doubled."""


async def announce_first_notice(channel: AioChannel) -> None:
    """Draft and announce version 1, to take effect at once, unless any version was announced before.

    Args:
        channel: to notice, as the officer.

    Raises:
        IdvError: notice refused.
    """
    stub = NoticeServiceStub(channel)
    known = await stub.ListNotices(notice_pb2.ListNoticesRequest())
    if any(notice.HasField("announce_time") for notice in known.notices):
        return
    created = await stub.CreateNotice(_shipped())
    await stub.AnnounceNotice(
        notice_pb2.AnnounceNoticeRequest(name=created.notice.name, request_id=_request_id("announce"))
    )


def _shipped() -> notice_pb2.CreateNoticeRequest:
    with resources.as_file(resources.files("services.notice") / "versions" / "1") as folder:
        sources = read_folder(Path(folder))
    return notice_pb2.CreateNoticeRequest(
        request_id=_request_id("draft"),
        terms_yaml=sources.terms_yaml,
        texts=[
            notice_pb2.NoticeText(language=language, title=parse_text(language, text).title, markdown=text)
            for language in LANGUAGES
            if (text := sources.texts.get(language)) is not None
        ],
    )


def _request_id(step: str) -> str:
    return str(uuid.uuid5(_REQUESTS, step))
