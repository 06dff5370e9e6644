"""Why a body was refused, told in a way that knows no transport."""

from __future__ import annotations

from idv.types.v1 import errors_pb2 as errors


class MediaError(Exception):
    """A body that ingest refuses.

    `reason` is one of the MEDIA_, TOO_LARGE and EMPTY_BODY values of `ErrorReason`; the message is one
    sentence about the body as a whole and never quotes its content; `remedy` says what to send instead.
    """

    def __init__(self, reason: errors.ErrorReason.ValueType, message: str, remedy: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.remedy = remedy


def truncated(format_name: str) -> MediaError:
    """The fault of a body that ends before its format says it should."""
    return MediaError(
        errors.ERROR_REASON_MEDIA_TRUNCATED,
        f"the {format_name} ends before its format says it should",
        "send the whole file again",
    )


def undecodable(format_name: str, what: str) -> MediaError:
    """The fault of a body that breaks its format; `what` completes the sentence 'the JPEG ...'."""
    return MediaError(
        errors.ERROR_REASON_MEDIA_UNDECODABLE,
        f"the {format_name} {what}",
        f"send a {format_name} that common viewers open",
    )


def too_complex(message: str, remedy: str) -> MediaError:
    """The fault of a body whose decoding would take more than allowed."""
    return MediaError(errors.ERROR_REASON_MEDIA_TOO_COMPLEX, message, remedy)
