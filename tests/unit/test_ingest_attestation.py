"""An attestation supports a session only if it is whole, fresh, and made under the notice then in force."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from idv.errors import IdvError, Reason
from idv.types.v1.processing_pb2 import LEGAL_BASIS_CONSENT, Attestation

from services.ingest import attestation
from services.ingest.notice_terms import Terms
from services.runtime.instants import timestamp
from tests.unit.ingest_terms import NOON, history

HISTORY = history((1, NOON - timedelta(days=90)), (2, NOON - timedelta(days=5)))
MISSING = Reason.ERROR_REASON_ATTESTATION_MISSING
STALE = Reason.ERROR_REASON_ATTESTATION_STALE
RANGE = Reason.ERROR_REASON_TIME_OUT_OF_RANGE


def whole(**changes: object) -> Attestation:
    made = Attestation(
        reference="evidence-1",
        attest_time=timestamp(NOON - timedelta(minutes=1)),
        legal_basis=LEGAL_BASIS_CONSENT,
        explicit_consent=True,
        items=["face_image", "log"],
        notice_version=2,
    )
    for field, value in changes.items():
        made.ClearField(field)  # type: ignore[arg-type]
        if value is not None:
            made.MergeFrom(Attestation(**{field: value}))  # type: ignore[arg-type]
    return made


def check(made: Attestation | None, asked: list[str] | None = None) -> Terms:
    return attestation.check(
        made, asked or ["face_image"], now=NOON, oldest=timedelta(days=30), shown_at=HISTORY.at
    )


def test_a_whole_attestation_gives_the_terms_that_were_shown() -> None:
    assert check(whole()).version == 2


@pytest.mark.parametrize(
    "field", ["reference", "attest_time", "legal_basis", "items", "notice_version", "explicit_consent"]
)
def test_each_missing_part_is_named(field: str) -> None:
    with pytest.raises(IdvError) as caught:
        check(whole(**{field: None}))
    assert (caught.value.reason, caught.value.field) == (MISSING, f"attestation.{field}")
    assert caught.value.remedy


def test_a_missing_attestation_is_named() -> None:
    with pytest.raises(IdvError) as caught:
        check(None)
    assert (caught.value.reason, caught.value.field) == (MISSING, "attestation")


def test_explicit_consent_is_needed_for_faces_and_documents_alone() -> None:
    assert check(whole(explicit_consent=None), ["log"]).version == 2
    for asked in ("face_image", "identity_document"):
        with pytest.raises(IdvError):
            check(whole(explicit_consent=None), ["log", asked])


@pytest.mark.parametrize(
    ("attested", "reason"),
    [
        (NOON - timedelta(days=30, seconds=1), STALE),
        (NOON + timedelta(minutes=6), STALE),
        (datetime(1999, 12, 31, tzinfo=NOON.tzinfo), RANGE),
    ],
)
def test_a_time_too_old_in_the_future_or_absurd_is_refused(
    attested: datetime, reason: Reason.ValueType
) -> None:
    with pytest.raises(IdvError) as caught:
        check(whole(attest_time=timestamp(attested)))
    assert (caught.value.reason, caught.value.field) == (reason, "attestation.attest_time")


@pytest.mark.parametrize("seconds", [-(1 << 62), 1 << 62])
def test_a_time_that_no_calendar_has_is_refused(seconds: int) -> None:
    with pytest.raises(IdvError) as caught:
        check(whole(attest_time=Timestamp(seconds=seconds)))
    assert caught.value.reason == RANGE


@pytest.mark.parametrize(
    ("attested", "version", "good"),
    [
        (NOON - timedelta(days=6), 1, True),
        (NOON - timedelta(days=6), 2, False),
        (NOON - timedelta(minutes=1), 1, False),
        (NOON - timedelta(days=5) - timedelta(minutes=4), 2, True),
        (NOON - timedelta(days=5) + timedelta(minutes=4), 1, True),
        (NOON - timedelta(minutes=1), 3, False),
    ],
)
def test_the_version_shown_must_have_been_in_force_within_the_skew_of_clocks(
    attested: datetime, version: int, *, good: bool
) -> None:
    made = whole(attest_time=timestamp(attested), notice_version=version)
    if good:
        assert check(made).version == version
        return
    with pytest.raises(IdvError) as caught:
        check(made)
    assert (caught.value.reason, caught.value.field) == (STALE, "attestation.notice_version")


def test_an_attestation_before_the_first_notice_is_refused() -> None:
    shown: Callable[[datetime], Terms | None] = history((1, NOON)).at
    with pytest.raises(IdvError) as caught:
        attestation.check(
            whole(attest_time=timestamp(NOON - timedelta(hours=1)), notice_version=1),
            ["log"],
            now=NOON,
            oldest=timedelta(days=30),
            shown_at=shown,
        )
    assert caught.value.reason == STALE
