"""The one typed error of the suite: raised by servers, carried as a status, raised again by clients.

Nobody parses messages: callers branch on `IdvError.reason`, a value of `idv.types.v1.ErrorReason`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

import grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2

from idv.types.v1 import errors_pb2
from idv.types.v1.errors_pb2 import ErrorReason as Reason

__all__ = ["DOMAIN", "STATUS_METADATA", "FieldViolation", "IdvError", "Reason", "status_code"]

DOMAIN = "idv"
"""The `google.rpc.ErrorInfo.domain` of every error of the suite."""

STATUS_METADATA = "grpc-status-details-bin"
"""The trailing metadata in which gRPC carries a `google.rpc.Status`."""

_REPEAT_METADATA = "grpc-retry-pushback-ms"
"""The trailing metadata in which a server tells a channel when to repeat a call; below 0: not by itself."""

_PREFIX = "ERROR_REASON_"
_REMEDY = "remedy"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_NUMBERS = {
    value.number: value.GetOptions().Extensions[errors_pb2.grpc_code]
    for value in errors_pb2.ErrorReason.DESCRIPTOR.values
}

# What a status says that carries no reason of ours: the transport itself, a proxy, or a server of another
# kind.
_WITHOUT_REASON: Mapping[grpc.StatusCode, tuple[Reason.ValueType, str]] = {
    grpc.StatusCode.CANCELLED: (Reason.ERROR_REASON_CANCELLED, "the call was cancelled"),
    grpc.StatusCode.INVALID_ARGUMENT: (Reason.ERROR_REASON_INVALID_ARGUMENT, "the request was refused"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        Reason.ERROR_REASON_DEADLINE_EXCEEDED,
        "the deadline passed before an answer came",
    ),
    grpc.StatusCode.PERMISSION_DENIED: (Reason.ERROR_REASON_PERMISSION_DENIED, "the caller is not allowed"),
    grpc.StatusCode.UNAUTHENTICATED: (Reason.ERROR_REASON_UNAUTHENTICATED, "the credential was refused"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        Reason.ERROR_REASON_OVERLOADED,
        "a limit of the connection was reached",
    ),
    grpc.StatusCode.UNIMPLEMENTED: (Reason.ERROR_REASON_NOT_SERVED, "the server does not know this method"),
    grpc.StatusCode.UNAVAILABLE: (
        Reason.ERROR_REASON_UNAVAILABLE,
        "the server cannot be reached, or refused the connection",
    ),
}


class FieldViolation(NamedTuple):
    """One field of a request that breaks a rule: its path and the rule in words, never its value."""

    field: str
    description: str


class IdvError(Exception):
    """A refusal or failure with a reason that a program can branch on.

    `message` is one sentence for a person: what happened and to which resource; never a value of an end
    user. `remedy` says what to do. `field` names the request field at fault, `violations` several.
    `metadata` holds short machine-readable facts. `retry_after` is in seconds. `remote` is true for an
    error that a client received. `tried`: the server tried again itself, in vain; no channel repeats the call
    by itself then, or each hop would multiply the tries of the next until the deadline is over.
    """

    def __init__(
        self,
        reason: Reason.ValueType,
        message: str,
        *,
        field: str | None = None,
        remedy: str | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        violations: Iterable[FieldViolation] = (),
        remote: bool = False,
        tried: bool = False,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.remedy = remedy
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after
        self.violations = tuple(violations) or ((FieldViolation(field, message),) if field else ())
        self.remote = remote
        self.tried = tried

    @property
    def field(self) -> str | None:
        """The first request field at fault, if the error is about one."""
        return self.violations[0].field if self.violations else None

    @property
    def reason_name(self) -> str:
        """The reason as it travels: its enum name without the prefix `ERROR_REASON_`."""
        return Reason.Name(self.reason).removeprefix(_PREFIX)

    @property
    def code(self) -> grpc.StatusCode:
        """The gRPC status code under which the reason travels."""
        return status_code(self.reason)

    def to_status(self) -> status_pb2.Status:
        """Renders the error with ErrorInfo and, where they apply, BadRequest and RetryInfo."""
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        info = error_details_pb2.ErrorInfo(reason=self.reason_name, domain=DOMAIN, metadata=self.metadata)
        if self.remedy:
            info.metadata[_REMEDY] = self.remedy
        status.details.add().Pack(info)
        if self.violations:
            bad = error_details_pb2.BadRequest()
            for violation in self.violations:
                bad.field_violations.add(field=violation.field, description=violation.description)
            status.details.add().Pack(bad)
        if self.retry_after is not None:
            delay = duration_pb2.Duration()
            delay.FromNanoseconds(int(self.retry_after * 1e9))
            status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
        return status

    def to_trailers(self) -> tuple[tuple[str, str | bytes], ...]:
        """The trailing metadata with which a server ends the call."""
        status = (STATUS_METADATA, self.to_status().SerializeToString())
        return (status, (_REPEAT_METADATA, "-1")) if self.tried else (status,)

    @classmethod
    def from_status(cls, status: status_pb2.Status) -> Self:
        """The error that a server rendered; a reason this release does not know falls back to its code."""
        code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
        reason, message = _WITHOUT_REASON.get(code, _UNKNOWN)
        info, bad, retry = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        )
        for detail in status.details:
            for known in (info, bad, retry):
                if detail.Is(known.DESCRIPTOR):
                    detail.Unpack(known)
        metadata: dict[str, str] = {}
        if info.domain == DOMAIN:
            metadata, message = dict(info.metadata), status.message
            reason = _named(info.reason, reason)
        return cls(
            reason,
            message,
            remedy=metadata.pop(_REMEDY, None),
            metadata=metadata,
            retry_after=retry.retry_delay.ToNanoseconds() / 1e9 if retry.HasField("retry_delay") else None,
            violations=[FieldViolation(v.field, v.description) for v in bad.field_violations],
            remote=True,
        )

    @classmethod
    def from_rpc(cls, error: grpc.RpcError) -> Self:
        """The error behind a failed call, synchronous or asyncio.

        What the transport itself reports (an address, a certificate's fault) stays in the RpcError, which
        callers keep as the cause: it must not travel on to somebody else's client.
        """
        trailers = dict(_trailers(error))
        if STATUS_METADATA in trailers:
            value = trailers[STATUS_METADATA]
            status = status_pb2.Status()
            status.ParseFromString(value if isinstance(value, bytes) else value.encode())
            known = cls.from_status(status)
            known.tried = _REPEAT_METADATA in trailers
            return known
        code = getattr(error, "code", lambda: grpc.StatusCode.UNKNOWN)()
        reason, message = _WITHOUT_REASON.get(code, _UNKNOWN)
        return cls(reason, message, remote=True)


_UNKNOWN = (Reason.ERROR_REASON_INTERNAL, "the server failed")


def status_code(reason: Reason.ValueType) -> grpc.StatusCode:
    """The gRPC code of a reason, as the contract's option `grpc_code` says."""
    return _CODES[_NUMBERS[reason]]


def _named(name: str, fallback: Reason.ValueType) -> Reason.ValueType:
    try:
        return Reason.Value(_PREFIX + name)
    except ValueError:  # a reason of a newer release
        return fallback


def _trailers(error: grpc.RpcError) -> Iterable[tuple[str, str | bytes]]:
    trailing = getattr(error, "trailing_metadata", lambda: None)()
    return trailing or ()
