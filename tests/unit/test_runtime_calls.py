"""Every call, whatever its kind, passes the same path: identity, access, contract, handler, mapped errors."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from idv.errors import IdvError, Reason

from services.runtime.calls import waiting_for
from services.runtime.identity import CallerKind, current_caller
from tests.echo_service import KINDS, SERVICE, Echo, call
from tests.runtime_process import SESSION, TENANT, running

OTHER_SESSION = SESSION[:-1] + "2"
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
async def test_an_allowed_call_is_answered(kind: str, tmp_path: Path) -> None:
    async with running(tmp_path) as process, process.customer() as channel:
        answers = await call(channel, kind, Echo(parent=TENANT, text="hello"))
        assert {answer.text for answer in answers} == {"hello"}


@every_kind
async def test_a_call_without_credential_is_refused(kind: str, tmp_path: Path) -> None:
    async with running(tmp_path) as process, process.anonymous() as channel:
        with pytest.raises(IdvError) as caught:
            await call(channel, kind, Echo(parent=TENANT))
        assert caught.value.reason == Reason.ERROR_REASON_UNAUTHENTICATED


@every_kind
async def test_another_customers_resource_is_refused(kind: str, tmp_path: Path) -> None:
    async with running(tmp_path) as process, process.customer() as channel:
        with pytest.raises(IdvError) as caught:
            await call(channel, kind, Echo(parent="customers/rival"))
        assert caught.value.reason == Reason.ERROR_REASON_WRONG_TENANT


@every_kind
async def test_a_broken_rule_is_named_without_its_value(kind: str, tmp_path: Path) -> None:
    async with running(tmp_path) as process, process.customer() as channel:
        with pytest.raises(IdvError) as caught:
            await call(channel, kind, Echo(parent=TENANT, text="far-too-long-secret"))
        assert caught.value.reason == Reason.ERROR_REASON_INVALID_ARGUMENT
        assert [violation.field for violation in caught.value.violations] == ["text"]
        assert "secret" not in repr(caught.value.violations) + str(caught.value)


@pytest.mark.parametrize("kind", ["Upload", "Chat"])
async def test_each_later_message_of_a_stream_is_checked(kind: str, tmp_path: Path) -> None:
    async with running(tmp_path) as process, process.customer() as channel:
        with pytest.raises(IdvError) as caught:
            await call(channel, kind, Echo(parent=TENANT, text="fine"), Echo(text="x" * 11))
        assert caught.value.reason == Reason.ERROR_REASON_INVALID_ARGUMENT


@every_kind
async def test_an_unforeseen_failure_says_nothing_but_a_trace_id(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(_request: Any) -> None:
        raise ValueError("canary-4711")

    async with running(tmp_path, fail) as process, process.customer() as channel:
        with pytest.raises(IdvError) as caught:
            await call(channel, kind, Echo(parent=TENANT))
        error = caught.value
        assert error.reason == Reason.ERROR_REASON_INTERNAL
        logged = capsys.readouterr().out
        assert error.metadata["trace_id"] in logged
        assert "ValueError" in logged
        assert "canary-4711" not in logged + str(error) + repr(error.metadata)


async def test_a_failure_behind_the_service_is_logged_with_what_it_waited_for_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def away(_request: Any) -> None:
        with waiting_for("the database"):
            raise IdvError(Reason.ERROR_REASON_UNAVAILABLE, "away") from ConnectionRefusedError("canary-4711")

    async with running(tmp_path, away) as process, process.customer() as channel:
        with pytest.raises(IdvError):
            await call(channel, "Unary", Echo(parent=TENANT))
    logged = capsys.readouterr().out
    (line,) = [json.loads(text) for text in logged.splitlines() if '"event": "call"' in text]
    assert line["reason"] == "UNAVAILABLE"
    assert line["waiting_for"] == "the database"
    assert line["exception_causes"] == ["ConnectionRefusedError"]
    assert "canary-4711" not in logged


@every_kind
async def test_a_typed_error_reaches_the_client_whole(kind: str, tmp_path: Path) -> None:
    async def refuse(_request: Any) -> None:
        raise IdvError(
            Reason.ERROR_REASON_OVERLOADED,
            "too many at once",
            remedy="wait",
            metadata={"limit": "32"},
            retry_after=1.5,
        )

    async with running(tmp_path, refuse) as process, process.customer() as channel:
        with pytest.raises(IdvError) as caught:
            await call(channel, kind, Echo(parent=TENANT))
        error = caught.value
        assert (error.reason, error.message, error.remedy) == (
            Reason.ERROR_REASON_OVERLOADED,
            "too many at once",
            "wait",
        )
        assert (error.metadata, error.retry_after, error.remote) == ({"limit": "32"}, 1.5, True)
        assert isinstance(error.__cause__, grpc.RpcError)
        assert error.__cause__.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("kind", ["Upload", "Chat"])
async def test_no_client_keeps_a_stream_open_for_longer_than_the_setting(kind: str, tmp_path: Path) -> None:
    """What an upload holds, such as memory, is given back, however long its client would wait."""

    async def hang(_request: Any) -> None:
        await asyncio.Event().wait()

    async with (
        running(tmp_path, hang, server={"upload_deadline": 0.2}) as process,
        process.customer() as channel,
    ):
        with pytest.raises(IdvError) as caught:
            async with asyncio.timeout(10):
                await call(channel, kind, Echo(parent=TENANT), timeout=3600)
        assert caught.value.reason == Reason.ERROR_REASON_DEADLINE_EXCEEDED


@every_kind
async def test_the_server_answers_before_the_deadline_and_names_the_cause(kind: str, tmp_path: Path) -> None:
    async def hang(_request: Any) -> None:
        await asyncio.Event().wait()

    async with running(tmp_path, hang) as process, process.customer() as channel:
        with pytest.raises(IdvError) as caught:
            await call(channel, kind, Echo(parent=TENANT), timeout=0.4)
        assert caught.value.reason == Reason.ERROR_REASON_DEADLINE_EXCEEDED
        assert "working on the request" in caught.value.message


async def test_a_caller_that_leaves_cancels_the_handler(tmp_path: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang(_request: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with running(tmp_path, hang) as process, process.customer() as channel:
        pending = asyncio.create_task(call(channel, "Unary", Echo(parent=TENANT)))
        await begun.wait()
        pending.cancel()
        await asyncio.wait_for(ended.wait(), timeout=5)


async def test_the_handler_sees_who_calls(tmp_path: Path) -> None:
    seen = []

    async def look(_request: Any) -> None:
        seen.append(current_caller())

    async with running(tmp_path, look) as process:
        for channel in (
            process.customer(),
            process.service(),
            process.anonymous(process.signer.session_token()),
        ):
            async with channel:
                await call(channel, "Unary", Echo(parent=TENANT))
    customer, service, session = seen
    assert (customer.kind, customer.customer, customer.credential) == (CallerKind.CUSTOMER, "acme", "jwt")
    assert (service.kind, service.name, service.credential) == (CallerKind.SERVICE, "friend", "certificate")
    assert (session.kind, session.name, session.customer) == (CallerKind.SESSION, SESSION, "acme")


async def test_a_session_reaches_no_other_session(tmp_path: Path) -> None:
    async with running(tmp_path) as process, process.anonymous(process.signer.session_token()) as channel:
        await call(channel, "Unary", Echo(parent=SESSION))
        with pytest.raises(IdvError) as caught:
            await call(channel, "Unary", Echo(parent=OTHER_SESSION))
    assert caught.value.reason == Reason.ERROR_REASON_WRONG_SESSION


async def test_a_service_that_the_rule_does_not_name_is_denied(tmp_path: Path) -> None:
    async with running(tmp_path) as process, process.service("stranger") as channel:
        with pytest.raises(IdvError) as caught:
            await call(channel, "Unary", Echo(parent=TENANT))
    assert caught.value.reason == Reason.ERROR_REASON_PERMISSION_DENIED


async def test_a_certificate_and_a_token_at_once_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as process, process.service(token=process.signer.token()) as channel:
        with pytest.raises(IdvError) as caught:
            await call(channel, "Unary", Echo(parent=TENANT))
    assert caught.value.reason == Reason.ERROR_REASON_UNAUTHENTICATED


async def test_a_scope_that_the_token_lacks_is_named(tmp_path: Path) -> None:
    async with (
        running(tmp_path) as process,
        process.anonymous(process.signer.token(scope="other")) as channel,
    ):
        with pytest.raises(IdvError) as caught:
            await call(channel, "Unary", Echo(parent=TENANT))
    assert caught.value.reason == Reason.ERROR_REASON_PERMISSION_DENIED
    assert "echo" in caught.value.message


async def test_bytes_that_are_no_message_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as process, process.customer() as channel:
        send = channel.unary_unary(f"/{SERVICE}/Unary", request_serializer=None, response_deserializer=None)
        with pytest.raises(IdvError) as caught:
            await send(b"\xff\xff\xff")
    assert caught.value.reason == Reason.ERROR_REASON_INVALID_ARGUMENT


async def test_a_method_that_nobody_serves_is_told_as_such(tmp_path: Path) -> None:
    async with running(tmp_path) as process, process.customer() as channel:
        send = channel.unary_unary(f"/{SERVICE}/Other", request_serializer=None, response_deserializer=None)
        with pytest.raises(IdvError) as caught:
            await send(b"")
    assert caught.value.reason == Reason.ERROR_REASON_NOT_SERVED


@every_kind
async def test_a_method_that_a_generated_servicer_leaves_out_is_not_served(kind: str, tmp_path: Path) -> None:
    async def leave_out(_request: Any) -> None:
        raise NotImplementedError("Method not implemented!")

    async with running(tmp_path, leave_out) as process, process.customer() as channel:
        with pytest.raises(IdvError) as caught:
            await call(channel, kind, Echo(parent=TENANT))
    assert caught.value.reason == Reason.ERROR_REASON_NOT_SERVED
