"""The one path of every call: identity, access rule, contract rules, handler; and every error mapped.

Handlers are wrapped once, when a servicer is added: what never changes for a method is built then and not for
each call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any, Final, NoReturn

import grpc
from google.protobuf.message import DecodeError
from idv.errors import IdvError, Reason

from services.runtime import access, calls
from services.runtime.call_records import CallRecord, Recorder
from services.runtime.identity import Authenticator, Caller, Metadata, Peer, run_as
from services.runtime.logs import Log
from services.runtime.settings import ServerSettings
from services.runtime.telemetry import Telemetry
from services.runtime.tokens import UnknownKeyError
from services.runtime.validation import MessageValidator

_REFUSED_BY_PEER: Final = frozenset(
    {Reason.ERROR_REASON_UNAUTHENTICATED, Reason.ERROR_REASON_PERMISSION_DENIED}
)
_RETRY_SECONDS: Final = 1.0
_READ_ON_BYTES: Final = 32 << 20
_READ_ON_SECONDS: Final = 2.0


class Core:
    """Serves calls the same way for every service; shared by all methods of a process."""

    def __init__(
        self, authenticator: Authenticator, telemetry: Telemetry, log: Log, limits: ServerSettings
    ) -> None:
        self.authenticator = authenticator
        self.recorder = Recorder(telemetry, log)
        self.limits = limits
        self.validator = MessageValidator()
        self.streams: dict[asyncio.Timeout, calls.RunningCall] = {}

    def guard(self, handler: Any, path: str, rule: access.AccessRule) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler of `path` ("/package.Service/Method") behind the whole path of a call."""
        method = _Method(self, handler, path.lstrip("/"), rule)
        wrap: Any = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        # Without serializers gRPC passes bytes: so a malformed message, too, ends in an error of ours.
        return wrap(method.serve)  # type: ignore[no-any-return]

    def end_feeds(self) -> None:
        """Ends every feed with UNAVAILABLE, whatever its deadline: its reader finds another replica."""
        now = asyncio.get_running_loop().time()
        for timer, running in self.streams.items():
            if running.is_feed and not timer.expired():
                running.deadline = None
                timer.reschedule(now)


class _Method:
    """One method: its handler, its rule, and what its calls share."""

    def __init__(self, core: Core, handler: Any, name: str, rule: access.AccessRule) -> None:
        self.core = core
        self.rule = rule
        self.name = name
        self.streams_requests: bool = handler.request_streaming
        self.streams_responses: bool = handler.response_streaming
        self.parse: Callable[[bytes], Any] = handler.request_deserializer
        self.render: Callable[[Any], bytes] = handler.response_serializer
        self.behavior = (
            handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
        )
        limits = core.limits
        self.default_seconds = limits.upload_deadline if self.streams_requests else limits.unary_deadline
        self._compile_rules()

    def _compile_rules(self) -> None:
        """Makes the validator read the message's rules now: a wrong one must stop the start, not a call."""
        with suppress(IdvError):  # an empty message need not be a good one
            self.core.validator.check(self.parse(b""))

    async def serve(self, request: Any, context: Any) -> Any:
        """Runs one call from credential to answer; ends in a return, or in an abort with the mapped error."""
        peer = context.auth_context()
        metadata = context.invocation_metadata() or ()
        running = calls.RunningCall(self._limit(context))
        calls.enter(running)
        with self.core.recorder.open(self.name, running, peer, metadata) as record:
            timer = asyncio.timeout_at(running.deadline)
            try:
                async with timer:
                    answer = await self._admit_and_handle(request, context, record, peer, metadata, timer)
            except asyncio.CancelledError:
                record.failed(IdvError(Reason.ERROR_REASON_CANCELLED, "the caller went away"))
                raise
            except grpc.aio.AbortError:
                raise  # a library's servicer ended the call itself
            except Exception as failure:  # whatever it is, nothing of it may reach the caller
                error = self._mapped(failure, timer, running, record)
                record.failed(error)
            else:
                record.succeeded()
                return answer
            finally:
                running.end()
        if self.streams_requests:
            await _read_on(request)
        return await _abort(context, error)

    def _limit(self, context: Any) -> float | None:
        seconds: float | None = context.time_remaining()
        if seconds is None:
            if self.streams_responses:
                return None  # a feed runs until its reader leaves
            seconds = self.default_seconds
        elif self.streams_requests:  # what an upload holds is not the client's to keep for hours
            seconds = min(seconds, self.default_seconds)
        return asyncio.get_running_loop().time() + calls.shaved(seconds)

    async def _admit_and_handle(
        self,
        request: Any,
        context: Any,
        record: CallRecord,
        peer: Peer,
        metadata: Metadata,
        timer: asyncio.Timeout,
    ) -> Any:
        caller = await self._identify(peer, metadata)
        record.caller = caller
        run_as(caller)
        access.check_caller(caller, self.rule)
        if self.streams_requests:
            message = await self._admit_stream(request, caller)
        else:
            message = self._admit(request, caller)
        if self.streams_responses:
            return await self._respond(self.behavior(message, context), context, timer, record.running)
        return self.render(await self.behavior(message, context))

    async def _identify(self, peer: Peer, metadata: Metadata) -> Caller:
        authenticator = self.core.authenticator
        try:
            return authenticator.identify(peer, metadata)
        except UnknownKeyError:
            await authenticator.refresh()  # the issuer may have rotated its keys
            return authenticator.identify(peer, metadata)

    def _admit(self, request: bytes, caller: Caller) -> Any:
        message = self._parsed(request)
        access.check_tenant(caller, self.rule, message)
        self.core.validator.check(message)
        return message

    def _parsed(self, request: bytes) -> Any:
        try:
            return self.parse(request)
        except DecodeError as error:
            raise IdvError(
                Reason.ERROR_REASON_INVALID_ARGUMENT, "the request is no message of this method"
            ) from error

    async def _admit_stream(self, requests: AsyncIterator[bytes], caller: Caller) -> AsyncIterator[Any]:
        """Admits the first message, which names the tenant, before the handler starts."""
        first = await anext(requests, None)
        return self._checked(None if first is None else self._admit(first, caller), requests)

    async def _checked(self, first: Any, requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        if first is None:
            return
        yield first
        async for request in requests:
            message = self._parsed(request)
            self.core.validator.check(message)
            yield message

    async def _respond(
        self, responses: Any, context: Any, timer: asyncio.Timeout, running: calls.RunningCall
    ) -> None:
        self.core.streams[timer] = running
        try:
            async with aclosing(responses):
                async for response in responses:
                    await context.write(self.render(response))
        finally:
            del self.core.streams[timer]

    def _mapped(
        self, failure: Exception, timer: asyncio.Timeout, running: calls.RunningCall, record: CallRecord
    ) -> IdvError:
        """The error to answer. A refusal of *this* service by another is our fault, not our caller's."""
        if isinstance(failure, TimeoutError) and timer.expired():
            return _late(running) if running.deadline is not None else _going_away()
        if isinstance(failure, IdvError) and failure.reason != Reason.ERROR_REASON_INTERNAL:
            ours = failure.remote and failure.reason in _REFUSED_BY_PEER and not failure.violations
            if not ours:
                return failure
        if isinstance(failure, NotImplementedError):  # what generated servicers raise
            return IdvError(Reason.ERROR_REASON_NOT_SERVED, f"this release does not serve {self.name} yet")
        record.unforeseen(failure)
        return IdvError(
            Reason.ERROR_REASON_INTERNAL,
            "an internal error happened",
            metadata={"trace_id": running.trace_id},
            remedy="report the trace id to the operator",
        )


async def _read_on(requests: AsyncIterator[bytes]) -> None:
    """Takes in and drops what the client of a refused stream still sends, within bounds.

    A client whose write fails reports INTERNAL and never reads the status that was sent to it: it must be
    able to finish writing first.
    """
    left = _READ_ON_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(_READ_ON_SECONDS):
            async for request in requests:
                left -= len(request)
                if left < 0:
                    return


async def _abort(context: Any, error: IdvError) -> NoReturn:
    await context.abort(error.code, error.message, trailing_metadata=error.to_trailers())
    raise AssertionError("abort raises")


def _late(running: calls.RunningCall) -> IdvError:
    cause = f"waiting for {running.waiting_for}" if running.waiting_for else "working on the request"
    return IdvError(
        Reason.ERROR_REASON_DEADLINE_EXCEEDED,
        f"the deadline passed while {cause}",
        remedy="retry with the same request id and a later deadline",
        retry_after=_RETRY_SECONDS,
    )


def _going_away() -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_UNAVAILABLE,
        "this replica is stopping",
        remedy="open the stream again",
        retry_after=_RETRY_SECONDS,
    )
