"""What a call leaves behind: a count; a line when it failed or is sampled; a span when it is sampled."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final, Self

from idv.errors import IdvError, Reason
from opentelemetry import propagate
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.trace import SpanKind

from services.runtime import calls
from services.runtime.identity import CERTIFICATE_PROPERTY, Caller, Metadata, Peer
from services.runtime.logs import Log, causes
from services.runtime.telemetry import Telemetry

_OK: Final = "OK"
_REASON: Final = "idv.reason"
_MEASURED: Final = 8
_ELSEWHERE: Final = frozenset(
    {
        Reason.ERROR_REASON_UNAVAILABLE,
        Reason.ERROR_REASON_OVERLOADED,
        Reason.ERROR_REASON_DEADLINE_EXCEEDED,
    }
)
"""Failures whose cause lies behind this service: the line says what it waited for, and what went wrong."""


class Recorder:
    """Opens the record of each call of a process, and counts.

    `rpc.server.calls` counts every call exactly. `rpc.server.duration` measures every failure and one in
    eight successes: taking part in a histogram costs as much as all the rest of a record.
    """

    def __init__(self, telemetry: Telemetry, log: Log) -> None:
        self.telemetry = telemetry
        self.log = log
        self._counts: dict[tuple[str, str, str], int] = {}
        self._duration = telemetry.meter.create_histogram(
            "rpc.server.duration", "s", "Duration of failures and of one in eight successes."
        )
        telemetry.meter.create_observable_counter(
            "rpc.server.calls", [self._observe], description="Calls by method, code and reason."
        )

    def open(self, method: str, running: calls.RunningCall, peer: Peer, metadata: Metadata) -> CallRecord:
        """The record of a call that begins now; only holders of certificates bring a trace with them."""
        parent = None
        if CERTIFICATE_PROPERTY in peer:
            parent = calls.traceparent_in(metadata)
        sampled = self.telemetry.sampled() if parent is None else calls.is_sampled(parent)
        running.join(parent)
        record = CallRecord(self, method, running, sampled=sampled)
        if sampled and self.telemetry.records_spans:
            record.span = self._span(method, parent)
        return record

    def count(self, method: str, seconds: float, code: str = _OK, reason: str = "") -> None:
        """Counts a call that ended."""
        key = (method, code, reason)
        count = self._counts[key] = self._counts.get(key, 0) + 1
        if code != _OK or count % _MEASURED == 1:
            self._duration.record(seconds, _attributes(key))

    def _observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, _attributes(key)) for key, count in list(self._counts.items())]

    def _span(self, method: str, parent: str | None) -> Any:
        return self.telemetry.tracer.start_as_current_span(
            method,
            context=propagate.extract({calls.TRACEPARENT: parent}) if parent else None,
            kind=SpanKind.SERVER,
            record_exception=False,  # an exception's text can hold values
            set_status_on_exception=False,
        )


class CallRecord:
    """The record of one call, and its span while it runs."""

    __slots__ = ("_entered", "_method", "_recorder", "_sampled", "_started", "caller", "running", "span")

    def __init__(self, recorder: Recorder, method: str, running: calls.RunningCall, *, sampled: bool) -> None:
        self._recorder = recorder
        self._method = method
        self.running = running
        self._sampled = sampled
        self._started = time.perf_counter()
        self._entered: Any = None
        self.caller: Caller | None = None
        self.span: Any = None

    def __enter__(self) -> Self:
        if self.span is not None:
            self._entered = self.span.__enter__()
            context = self._entered.get_span_context()
            self.running.join(f"00-{context.trace_id:032x}-{context.span_id:016x}-01")
        return self

    def __exit__(self, *failure: Any) -> None:
        if self.span is not None:
            self.span.__exit__(*failure)

    def succeeded(self) -> None:
        """The call was answered."""
        seconds = time.perf_counter() - self._started
        self._recorder.count(self._method, seconds)
        if self._sampled:
            self._line(_OK, seconds)

    def failed(self, error: IdvError) -> None:
        """The call ended in an error."""
        seconds = time.perf_counter() - self._started
        code, reason = error.code.name, error.reason_name
        self._recorder.count(self._method, seconds, code, reason)
        if self._entered is not None:
            self._entered.set_attribute(_REASON, reason)
        more: dict[str, Any] = {"fields": [violation.field for violation in error.violations]}
        if error.reason in _ELSEWHERE:
            more |= {"waiting_for": self.running.waiting_for, "exception_causes": causes(error)}
        self._line(code, seconds, reason=reason, **more)

    def unforeseen(self, failure: Exception) -> None:
        """Logs the types of a failure and where it happened: all that will be known of it."""
        self._recorder.log.error(
            "a call failed unexpectedly",
            method=self._method,
            trace_id=self.running.trace_id,
            waiting_for=self.running.waiting_for,
            exc_info=failure,
        )

    def _line(self, code: str, seconds: float, **more: Any) -> None:
        self._recorder.log.info(
            "call",
            method=self._method,
            code=code,
            duration_ms=round(seconds * 1000, 2),
            caller=self.caller.kind.value if self.caller else None,
            trace_id=self.running.trace_id,
            **more,
        )


def _attributes(key: tuple[str, str, str]) -> dict[str, str]:
    method, code, reason = key
    attributes = {"rpc.method": method, "rpc.grpc.status_code": code}
    return attributes | {_REASON: reason} if reason else attributes
