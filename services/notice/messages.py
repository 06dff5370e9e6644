"""Versions and reviews as messages of the contract."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from idv.notice.v1 import notice_pb2
from idv.types.v1 import processing_pb2

from services.notice import lifecycle
from services.notice.content import Version
from services.notice.differences import Kind
from services.notice.lifecycle import Life
from services.notice.reviewing import Comparison, Review
from services.notice.store import StoredChange
from services.notice.text import Text
from services.notice.versions import Shelf
from services.runtime.instants import timestamp

_PART_KINDS = {
    Kind.KEPT: notice_pb2.TEXT_PART_KIND_KEPT,
    Kind.REMOVED: notice_pb2.TEXT_PART_KIND_REMOVED,
    Kind.ADDED: notice_pb2.TEXT_PART_KIND_ADDED,
}
_CHANGE_KINDS = {
    "created": notice_pb2.NOTICE_CHANGE_KIND_DRAFTED,
    "announced": notice_pb2.NOTICE_CHANGE_KIND_ANNOUNCED,
    "withdrawn": notice_pb2.NOTICE_CHANGE_KIND_WITHDRAWN,
    "cleared": notice_pb2.NOTICE_CHANGE_KIND_CLEARED,
    "overridden": notice_pb2.NOTICE_CHANGE_KIND_OVERRIDDEN,
    "paused": notice_pb2.NOTICE_CHANGE_KIND_PAUSED,
    "resumed": notice_pb2.NOTICE_CHANGE_KIND_RESUMED,
}


def stamp(moment: datetime | None) -> Timestamp | None:
    """An instant as a timestamp; None stays unset."""
    return None if moment is None else timestamp(moment)


def notice(version: Version, shelf: Shelf, texts: Iterable[Text] = ()) -> notice_pb2.Notice:
    """A version as it stands at the shelf's instant, with its texts as they are to be read."""
    life = version.life
    return notice_pb2.Notice(
        name=f"notices/{version.number}",
        version=version.number,
        state=notice_pb2.NoticeState.Value(f"NOTICE_STATE_{shelf.state(version).name}"),
        terms=terms(version),
        texts=[notice_pb2.NoticeText(language=t.language, title=t.title, markdown=t.markdown) for t in texts],
        create_time=stamp(life.create_time),
        announce_time=stamp(life.announce_time),
        effective_time=stamp(life.effective_time),
        in_force_time=stamp(life.start),
        superseded_time=stamp(_end(life, shelf)),
        material=bool(version.material),
        digest=version.digest,
    )


def terms(version: Version) -> notice_pb2.Terms:
    """The terms of a version."""
    content = version.terms
    return notice_pb2.Terms(
        version=version.number,
        retention_days=content.retention_days,
        purposes=[processing_pb2.Purpose.Value(f"PURPOSE_{name.upper()}") for name in content.purposes],
        items=[
            notice_pb2.TermsItem(
                code=item.code,
                optional=item.optional,
                sources=[processing_pb2.Source.Value(f"SOURCE_{name.upper()}") for name in item.sources],
            )
            for item in content.items
        ],
        recipients=content.recipients,
        regions=content.regions,
        rights=content.rights,
    )


def terms_update(shelf: Shelf, now: datetime) -> notice_pb2.WatchTermsResponse:
    """All announced versions for those who follow them; the withdrawn are gone."""
    return notice_pb2.WatchTermsResponse(
        intervals=[
            notice_pb2.TermsInterval(
                terms=terms(version),
                in_force_time=stamp(version.life.start),
                announce_time=stamp(version.life.announce_time),
                digest=version.digest,
                effective_time=stamp(version.life.effective_time),
            )
            for version in shelf.versions
            if version.life.announce_time and not version.life.withdraw_time
        ],
        as_of_time=stamp(now),
    )


def review(result: Review) -> notice_pb2.ReviewNoticeResponse:
    """A review; each refusal as a sentence with its remedy, and again in parts."""
    return notice_pb2.ReviewNoticeResponse(
        changes=_changes(result.comparison),
        material=result.material,
        refusals=[f"{error.message}: {error.remedy}" for error in result.refusals],
        previous_version=result.previous or 0,
        texts=_texts(result.comparison),
        audience_count=result.audience,
        minimum_lead=_span(result.lead),
        earliest_effective_time=stamp(result.earliest),
        estimated_delivery=_span(result.telling),
        refusal_details=[
            notice_pb2.Refusal(
                reason=error.reason,
                message=error.message,
                remedy=error.remedy or "",
                field=error.field or "",
            )
            for error in result.refusals
        ],
    )


def comparison(result: Comparison) -> notice_pb2.CompareNoticesResponse:
    """Two versions compared."""
    return notice_pb2.CompareNoticesResponse(changes=_changes(result), texts=_texts(result))


def change(one: StoredChange, *, whole: bool) -> notice_pb2.NoticeChange:
    """A change of state; with who and why if `whole`."""
    announced = one.kind == "announced"
    return notice_pb2.NoticeChange(
        sequence=one.sequence,
        version=one.number,
        kind=_CHANGE_KINDS.get(one.kind, notice_pb2.NOTICE_CHANGE_KIND_UNSPECIFIED),
        change_time=stamp(one.time),
        digest=one.digest,
        effective_time=stamp(one.effective_time) if announced else None,
        material=bool(one.material) and one.kind != "created",
        declared=cast("notice_pb2.Materiality.ValueType", one.declared),
        actor=one.actor if whole else "",
        reason=(one.reason or "") if whole else "",
        told=notice_pb2.AudienceTold(**one.told) if one.told is not None else None,
    )


def _changes(compared: Comparison) -> list[notice_pb2.TermsChange]:
    return [
        notice_pb2.TermsChange(clause=change.clause, reason=change.reason, material=change.material)
        for change in compared.changes
    ]


def _texts(compared: Comparison) -> list[notice_pb2.TextDifference]:
    return [
        notice_pb2.TextDifference(
            language=text.language,
            parts=[notice_pb2.TextPart(kind=_PART_KINDS[part.kind], text=part.text) for part in text.parts],
        )
        for text in compared.texts
        if text.changed
    ]


def _span(duration: timedelta | None) -> Duration | None:
    if duration is None:
        return None
    message = Duration()
    message.FromTimedelta(duration)
    return message


def _end(life: Life, shelf: Shelf) -> datetime | None:
    terms_of_force = lifecycle.terms_of_force(shelf.lives)
    return next((term.end for term in terms_of_force if term.number == life.number), None)
