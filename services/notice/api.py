"""The notice service's methods: requests translated, and passed on to the versions and their feed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from google.protobuf.message import Message
from idv.errors import IdvError, Reason
from idv.notice.v1 import notice_pb2 as pb
from idv.notice.v1.notice_pb2_grpc import NoticeServiceServicer

from services.notice import errors, messages
from services.notice.calls import fingerprint
from services.notice.catalogue import CatalogueItem
from services.notice.content import Version
from services.notice.folder import Sources
from services.notice.lifecycle import State
from services.notice.render import as_markdown
from services.notice.reviewing import Question
from services.notice.rules import Declared, Wish
from services.notice.stream import TermsFeed
from services.notice.versions import Call, Shelf, Versions
from services.runtime.clock import Clock
from services.runtime.identity import CallerKind, current_caller
from services.runtime.instants import instant
from services.runtime.resources import parse

_PAGE: Final = 100
_PUBLIC: Final = frozenset({State.ANNOUNCED, State.IN_FORCE, State.SUPERSEDED})
_OFFICER: Final = "officer"


class NoticeApi(NoticeServiceServicer):
    """Versions of the notice, for the officer, for other services, and for anyone."""

    def __init__(
        self, versions: Versions, feed: TermsFeed, clock: Clock, items: Mapping[str, CatalogueItem]
    ) -> None:
        self._versions = versions
        self._feed = feed
        self._clock = clock
        self._items = items

    async def CreateNotice(self, request: pb.CreateNoticeRequest, context: Any) -> pb.CreateNoticeResponse:
        """Drafts a version; see `Versions.draft`."""
        sources = Sources(request.terms_yaml, _texts(request))
        version, shelf = await self._versions.draft(
            sources, _call("CreateNotice", request, request.request_id)
        )
        return pb.CreateNoticeResponse(notice=await self._whole(version, shelf))

    async def ReviewNotice(self, request: pb.ReviewNoticeRequest, context: Any) -> pb.ReviewNoticeResponse:
        """What a version changes and what its announcement would meet; see `Versions.review`."""
        given = request.HasField("effective_time")
        effective = instant(request.effective_time, field="effective_time") if given else None
        question = Question(_actor(), effective, Wish(Declared(request.declared), request.reason))
        return messages.review(await self._versions.review(_number(request.name), question))

    async def CompareNotices(
        self, request: pb.CompareNoticesRequest, context: Any
    ) -> pb.CompareNoticesResponse:
        """Any two versions that the caller may see. Raises NOT_FOUND."""
        shelf = await self._versions.shelf()
        before, after = (_seen(shelf, _number(name)) for name in (request.before_name, request.after_name))
        return messages.comparison(await self._versions.compare(before, after))

    async def ListNoticeChanges(
        self, request: pb.ListNoticeChangesRequest, context: Any
    ) -> pb.ListNoticeChangesResponse:
        """Changes of state after a sequence number; who and why for the officer alone."""
        found = await self._versions.changes(request.after_sequence, request.page_size or _PAGE)
        return pb.ListNoticeChangesResponse(
            changes=[messages.change(one, whole=_is_officer()) for one in found]
        )

    async def AnnounceNotice(
        self, request: pb.AnnounceNoticeRequest, context: Any
    ) -> pb.AnnounceNoticeResponse:
        """Announces a draft; see `Versions.announce`."""
        given = request.HasField("effective_time")
        effective = instant(request.effective_time, field="effective_time") if given else None
        call = _call("AnnounceNotice", request, request.request_id)
        wish = Wish(Declared(request.declared), request.reason)
        version, shelf = await self._versions.announce(_number(request.name), effective, call, wish)
        await self._feed.refresh()  # followers of this replica need not wait for its next look
        return pb.AnnounceNoticeResponse(notice=await self._whole(version, shelf))

    async def WithdrawNotice(
        self, request: pb.WithdrawNoticeRequest, context: Any
    ) -> pb.WithdrawNoticeResponse:
        """Withdraws a version before its effect; see `Versions.withdraw`."""
        call = _call("WithdrawNotice", request, request.request_id)
        version, shelf = await self._versions.withdraw(_number(request.name), request.reason, call)
        await self._feed.refresh()
        return pb.WithdrawNoticeResponse(notice=await self._whole(version, shelf))

    async def GetNotice(self, request: pb.GetNoticeRequest, context: Any) -> pb.GetNoticeResponse:
        """A version by number, or the one in force at an instant. Raises NOT_FOUND."""
        given = request.HasField("as_of_time")
        at = instant(request.as_of_time, field="as_of_time") if given else None
        shelf = await self._versions.shelf(at)
        if request.name:
            version = _seen(shelf, _number(request.name))
        else:
            current = shelf.in_force()
            if current is None:
                raise errors.not_found(None)
            version = current
        return pb.GetNoticeResponse(notice=await self._whole(version, shelf))

    async def ListNotices(self, request: pb.ListNoticesRequest, context: Any) -> pb.ListNoticesResponse:
        """The versions that the caller may see, the newest first, without their texts."""
        shelf = await self._versions.shelf()
        below = _token(request.page_token)
        seen = [
            v for v in reversed(shelf.versions) if _visible(v, shelf) and (below is None or v.number < below)
        ]
        size = request.page_size or _PAGE
        page = seen[:size]
        token = str(page[-1].number) if len(seen) > size else ""
        return pb.ListNoticesResponse(
            notices=[messages.notice(v, shelf) for v in page], next_page_token=token
        )

    async def WatchTerms(
        self, request: pb.WatchTermsRequest, context: Any
    ) -> AsyncIterator[pb.WatchTermsResponse]:
        """All announced versions, now and after every change, until the caller goes."""
        async for shelf in self._feed.follow():
            yield messages.terms_update(shelf, self._clock.now())

    async def _whole(self, version: Version, shelf: Shelf) -> pb.Notice:
        texts = await self._versions.texts(version.number)
        read = [replace(text, markdown=as_markdown(text, version.terms, self._items)) for text in texts]
        return messages.notice(version, shelf, read)


def _visible(version: Version, shelf: Shelf) -> bool:
    """Whether the caller may see the version: the officer sees all, others what was announced and stands."""
    return _is_officer() or shelf.state(version) in _PUBLIC


def _seen(shelf: Shelf, number: int) -> Version:
    """The version, if the caller may see it. Raises NOT_FOUND."""
    version = shelf.number(number)
    if not _visible(version, shelf):
        raise errors.not_found(number)
    return version


def _is_officer() -> bool:
    caller = current_caller()
    return caller.kind is CallerKind.SERVICE and caller.name == _OFFICER


def _actor() -> str:
    """The calling service, and the person whom its certificate names."""
    caller = current_caller()
    return f"{caller.name}/{caller.person}" if caller.person else caller.name


def _texts(request: pb.CreateNoticeRequest) -> dict[str, str]:
    """The Markdown by language. Raises INVALID_ARGUMENT for a language that is given twice."""
    texts: dict[str, str] = {}
    for index, text in enumerate(request.texts):
        if text.language in texts:
            field = f"texts[{index}].language"
            raise IdvError(
                Reason.ERROR_REASON_INVALID_ARGUMENT,
                "two texts are in one language",
                field=field,
                remedy="send one text for each language",
            )
        texts[text.language] = text.markdown
    return texts


def _call(method: str, request: Message, request_id: str) -> Call:
    return Call(_actor(), UUID(request_id), fingerprint(method, request))


def _number(name: str) -> int:
    """The number in `notices/{number}`. Raises INVALID_ARGUMENT."""
    text = parse("notices/{number}", name, field="name")[0]
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise IdvError(
            Reason.ERROR_REASON_INVALID_ARGUMENT,
            "name is not a resource name of the form notices/{number}",
            field="name",
            remedy="pass the name as the service returned it",
        )
    return int(text)


def _token(token: str) -> int | None:
    """The number to go on below; None at the start. Raises INVALID_ARGUMENT."""
    if not token:
        return None
    if not token.isascii() or not token.isdigit() or len(token) > 9:
        raise IdvError(
            Reason.ERROR_REASON_INVALID_ARGUMENT,
            "the page token is not one of this list's",
            field="page_token",
            remedy="pass the token as the service returned it, or none",
        )
    return int(token)
