"""Whether a Customer's attestation supports what it asks for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from idv.errors import IdvError, Reason
from idv.types.v1 import processing_pb2

from services.ingest.contract import instant
from services.ingest.notice_terms import Terms

SKEW = timedelta(minutes=5)
"""How far a Customer's clock may be from ours."""
_ABSURD = datetime(2000, 1, 1, tzinfo=UTC)
_EXPLICIT = frozenset({"face_image", "identity_document"})


def check(
    attestation: processing_pb2.Attestation | None,
    asked: Sequence[str],
    *,
    now: datetime,
    oldest: timedelta,
    shown_at: Callable[[datetime], Terms | None],
) -> Terms:
    """The terms that the end user was shown, for an attestation that supports a session now.

    `oldest` is the age beyond which it is stale; `shown_at` gives the version in force at an instant. Raises
    ATTESTATION_MISSING, ATTESTATION_STALE or TIME_OUT_OF_RANGE, naming the field.
    """
    if attestation is None:
        raise _missing("attestation", "the attestation")
    for field, named in (
        ("reference", "the attestation's reference"),
        ("attest_time", "the time of the attestation"),
        ("legal_basis", "the legal basis"),
        ("items", "the list of items that the end user authorised"),
        ("notice_version", "the notice version that the end user was shown"),
    ):
        present = (
            attestation.HasField("attest_time") if field == "attest_time" else getattr(attestation, field)
        )
        if not present:
            raise _missing(f"attestation.{field}", named)
    if _EXPLICIT & set(asked) and not attestation.explicit_consent:
        raise _missing(
            "attestation.explicit_consent", "explicit consent to face images and identity documents"
        )
    return _shown(attestation.notice_version, _attested(attestation, now, oldest), shown_at)


def _attested(attestation: processing_pb2.Attestation, now: datetime, oldest: timedelta) -> datetime:
    attested = instant(attestation.attest_time)
    field = "attestation.attest_time"
    if attested is None or attested < _ABSURD:
        raise IdvError(
            Reason.ERROR_REASON_TIME_OUT_OF_RANGE,
            "the time of the attestation is outside of what can be true",
            field=field,
            remedy="send the instant at which the end user authorised the processing",
        )
    if attested > now + SKEW:
        raise _stale("the attestation lies in the future", field)
    if attested < now - oldest:
        raise _stale(f"the attestation is older than {oldest.days} days", field)
    return attested


def _shown(version: int, attested: datetime, shown_at: Callable[[datetime], Terms | None]) -> Terms:
    """The version shown; around a change the Customer's clock decides which, within the skew."""
    for moment in (attested, attested - SKEW, attested + SKEW):
        terms = shown_at(moment)
        if terms is not None and terms.version == version:
            return terms
    raise _stale(
        f"notice version {version} was not in force when the end user authorised the processing",
        "attestation.notice_version",
    )


def _missing(field: str, named: str) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_ATTESTATION_MISSING,
        f"{named} is missing",
        field=field,
        remedy="send the Customer's attestation that the end user authorised the processing",
    )


def _stale(message: str, field: str) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_ATTESTATION_STALE,
        message,
        field=field,
        remedy="show the notice in force, have the end user authorise again, and attest that",
    )
