"""The one path of every call, whatever its kind: identity, access rule, contract rules, handler; and every
error mapped.

Handlers are wrapped once, when a servicer is added: what never changes for a method is built then and not
for each call.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any, Final

import grpc
from idv.errors import STATUS_METADATA, IdvError, Reason
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind

from services.runtime import access, calls
from services.runtime.identity import CERTIFICATE_PROPERTY, Authenticator, Caller, Metadata, Peer, run_as
from services.runtime.logs import Log
from services.runtime.settings import ServerSettings
from services.runtime.telemetry import Telemetry, trace_id
from services.runtime.tokens import UnknownKeyError
from services.runtime.validation import MessageValidator

_REFUSED_BY_PEER: Final = frozenset(
    {Reason.ERROR_REASON_UNAUTHENTICATED, Reason.ERROR_REASON_PERMISSION_DENIED}
)
_RETRY_SECONDS: Final = 1.0


class Core:
    """Serves calls the same way for every service; shared by all methods of a process."""

    def __init__(
        self, authenticator: Authenticator, telemetry: Telemetry, log: Log, limits: ServerSettings
    ) -> None:
        self.authenticator = authenticator
        self.telemetry = telemetry
        self.log = log
        self.limits = limits
        self.validator = MessageValidator()
        self.duration = telemetry.meter.create_histogram(
            "rpc.server.duration", "s", "Duration of calls by method, code and reason."
        )

    def guard(self, handler: Any, path: str, rule: access.AccessRule) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler of `path` ("/package.Service/Method") behind the whole path of a call."""
        method = _Method(self, handler, path, rule)
        wrap = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        return wrap(
            method.serve,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


class _Method:
    """One method: its handler, its rule, and what its calls share."""

    def __init__(self, core: Core, handler: Any, path: str, rule: access.AccessRule) -> None:
        self.core = core
        self.rule = rule
        self.path = path
        self.name = path.lstrip("/")
        self.streams_requests: bool = handler.request_streaming
        self.behavior = (
            handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        )
        self.default_deadline = self._default_deadline(handler)
        self.ok = {"rpc.method": self.name, "rpc.grpc.status_code": "OK"}

    def _default_deadline(self, handler: Any) -> float | None:
        if handler.response_streaming:
            return None  # a feed runs until its reader leaves
        limits = self.core.limits
        return limits.upload_deadline if handler.request_streaming else limits.unary_deadline

    async def serve(self, request: Any, context: Any) -> Any:
        """Runs one call from credential to answer; ends in a return, or in an abort with the mapped error."""
        started = time.perf_counter()
        metadata = context.invocation_metadata() or ()
        peer = context.auth_context()
        record = _Record(self, peer, metadata)
        seconds = context.time_remaining()
        if seconds is None:
            seconds = self.default_deadline
        limit = None if seconds is None else asyncio.get_running_loop().time() + calls.shaved(seconds)
        running = calls.RunningCall(limit)
        calls.enter(running)
        error: IdvError
        with record.span as span:
            running.traceparent = record.traceparent()
            try:
                async with asyncio.timeout_at(limit) as timer:
                    result = await self._admit_and_handle(request, context, record, peer, metadata)
            except IdvError as refusal:
                error = record.relayed(refusal)
            except grpc.aio.AbortError:
                raise  # a library servicer ended the call itself
            except asyncio.CancelledError:
                record.finish(started, Reason.ERROR_REASON_CANCELLED, "CANCELLED")
                raise
            except TimeoutError as failure:
                error = record.late(running) if timer.expired() else record.unforeseen(failure)
            except Exception as failure:
                error = record.unforeseen(failure)
            else:
                record.finish(started, None, "OK")
                return result
            if span is not None:
                span.set_attribute("idv.reason", error.reason_name)
            record.finish(started, error.reason, error.code.name, error)
        status = error.to_status()
        return await context.abort(
            error.code, error.message, trailing_metadata=((STATUS_METADATA, status.SerializeToString()),)
        )

    async def _admit_and_handle(
        self, request: Any, context: Any, record: _Record, peer: Peer, metadata: Metadata
    ) -> Any:
        caller = await self._identify(peer, metadata)
        record.caller = caller
        run_as(caller)
        access.check_caller(caller, self.rule)
        if self.streams_requests:
            request = await self._admit_stream(request, caller)
        else:
            self._admit(request, caller)
        answer = self.behavior(request, context)
        if inspect.isasyncgen(answer):
            async for response in answer:
                await context.write(response)
            return None
        return await answer

    async def _identify(self, peer: Peer, metadata: Metadata) -> Caller:
        try:
            return self.core.authenticator.identify(peer, metadata)
        except UnknownKeyError:
            await self.core.authenticator.refresh()  # the issuer may have rotated its keys
            return self.core.authenticator.identify(peer, metadata)

    def _admit(self, message: Any, caller: Caller) -> None:
        access.check_tenant(caller, self.rule, message)
        self.core.validator.check(message)

    async def _admit_stream(self, messages: AsyncIterator[Any], caller: Caller) -> AsyncIterator[Any]:
        """Waits for the first message, which names the tenant, before the handler starts; checks each later
        one as it comes.
        """
        first = await anext(messages, None)
        if first is not None:
            self._admit(first, caller)
        return self._checked(first, messages)

    async def _checked(self, first: Any, messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        if first is None:
            return
        yield first
        async for message in messages:
            self.core.validator.check(message)
            yield message


class _Record:
    """What a call leaves behind: a metric always, a line when it failed or is sampled, a span when it is
    sampled.
    """

    __slots__ = ("_core", "_method", "caller", "sampled", "span", "trace")

    def __init__(self, method: _Method, peer: Peer, metadata: Metadata) -> None:
        core = method.core
        self._method = method
        self._core = core
        self.caller: Caller | None = None
        self.trace = ""
        parent = None
        if CERTIFICATE_PROPERTY in peer:  # whoever else could have every call of theirs traced
            parent = next((str(value) for key, value in metadata if key == calls.TRACEPARENT), None)
        self.sampled = core.telemetry.sampled() if parent is None else calls.is_sampled(parent)
        self.span: Any = nullcontext()
        if self.sampled and core.telemetry.records_spans:
            above = propagate.extract({calls.TRACEPARENT: parent}) if parent else None
            self.span = core.telemetry.tracer.start_as_current_span(
                method.name,
                context=above,
                kind=SpanKind.SERVER,
                record_exception=False,  # an exception's text can hold values
                set_status_on_exception=False,
            )

    def traceparent(self) -> str | None:
        """The trace context for calls to other services; remembers the trace's id."""
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return None
        self.trace = trace_id(context)
        return f"00-{self.trace}-{context.span_id:016x}-01"

    def relayed(self, error: IdvError) -> IdvError:
        """The error to answer: another service's refusal of *this* service is our fault and not our
        caller's.
        """
        if error.remote and error.reason in _REFUSED_BY_PEER and not error.violations:
            return self.unforeseen(error)
        if error.reason == Reason.ERROR_REASON_INTERNAL:
            return self.unforeseen(error)
        return error

    def late(self, running: calls.RunningCall) -> IdvError:
        """The error of a call whose time is over, naming what it waited for."""
        cause = f"waiting for {running.waiting_for}" if running.waiting_for else "working on the request"
        return IdvError(
            Reason.ERROR_REASON_DEADLINE_EXCEEDED,
            f"the deadline passed while {cause}",
            remedy="retry with the same request id and a later deadline",
            retry_after=_RETRY_SECONDS,
        )

    def unforeseen(self, failure: BaseException) -> IdvError:
        """Logs where a failure happened and answers nothing of it but the trace id to ask for."""
        self.trace = self.trace or secrets.token_hex(16)
        self._core.log.error(
            "a call failed unexpectedly", method=self._method.name, trace_id=self.trace, exc_info=failure
        )
        return IdvError(
            Reason.ERROR_REASON_INTERNAL,
            "an internal error happened",
            metadata={"trace_id": self.trace},
            remedy="report the trace id to the operator",
        )

    def finish(
        self, started: float, reason: Reason.ValueType | None, code: str, error: IdvError | None = None
    ) -> None:
        """Measures the call and writes its line."""
        seconds = time.perf_counter() - started
        if reason is None:
            self._core.duration.record(seconds, self._method.ok)
            if not self.sampled:
                return
        else:
            name = Reason.Name(reason).removeprefix("ERROR_REASON_")
            attributes = {"rpc.method": self._method.name, "rpc.grpc.status_code": code, "idv.reason": name}
            self._core.duration.record(seconds, attributes)
        self._core.log.info(
            "call",
            method=self._method.name,
            code=code,
            reason=None if reason is None else name,
            fields=[violation.field for violation in error.violations] if error else None,
            duration_ms=round(seconds * 1000, 2),
            caller=self.caller.kind.value if self.caller else None,
            trace_id=self.trace or None,
        )
