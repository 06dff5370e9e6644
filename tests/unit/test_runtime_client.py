"""The client's side: blocking and asyncio channels, replaced connections, failing request iterators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from idv import channel
from idv.errors import IdvError, Reason, status_code

from tests.echo_service import KINDS, SERVICE, Echo, call
from tests.runtime_process import TENANT, Process, running


def _call_blocking(process: Process, kind: str, *messages: Any) -> list[Any]:
    credentials = channel.Credentials.read(process.authority.certificate)
    token = process.signer.token
    with channel.sync(process.runtime.addresses["tls"], credentials, token=token, timeout=5) as blocking:
        requests, responses = KINDS[kind]
        make = getattr(blocking, f"{'stream' if requests else 'unary'}_{'stream' if responses else 'unary'}")
        send = make(
            f"/{SERVICE}/{kind}",
            request_serializer=Echo.SerializeToString,
            response_deserializer=Echo.FromString,
        )
        answer = send(iter(messages) if requests else messages[0])
        return list(answer) if responses else [answer]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_blocking_channel_answers_and_raises_typed_errors(kind: str, tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        answers = await asyncio.to_thread(_call_blocking, process, kind, Echo(parent=TENANT, text="hi"))
        assert {answer.text for answer in answers} == {"hi"}
        with pytest.raises(IdvError) as caught:
            await asyncio.to_thread(_call_blocking, process, kind, Echo(parent="customers/rival"))
    assert caught.value.reason == Reason.ERROR_REASON_WRONG_TENANT


@pytest.mark.parametrize("kind", ["Upload", "Chat"])
@pytest.mark.parametrize("asynchronous", [True, False])
async def test_what_an_iterator_of_requests_raises_reaches_the_caller(
    kind: str, asynchronous: bool, tmp_path: Path
) -> None:
    async def broken() -> AsyncIterator[Any]:
        yield Echo(parent=TENANT)
        raise LookupError("no more bytes")

    def broken_too() -> Iterator[Any]:
        yield Echo(parent=TENANT)
        raise LookupError("no more bytes")

    async with running(tmp_path) as process, process.customer() as client:
        make = client.stream_unary if kind == "Upload" else client.stream_stream
        send = make(
            f"/{SERVICE}/{kind}",
            request_serializer=Echo.SerializeToString,
            response_deserializer=Echo.FromString,
        )
        answer = send(broken() if asynchronous else broken_too(), timeout=5)
        with pytest.raises(LookupError, match="no more bytes"):
            await (answer if kind == "Upload" else _read(answer))


async def _read(responses: Any) -> list[Any]:
    return [response async for response in responses]


async def test_a_replaced_connection_serves_stubs_that_exist_already(tmp_path: Path) -> None:
    async with running(tmp_path) as process, process.customer() as client:
        send = client.unary_unary(
            f"/{SERVICE}/Unary",
            request_serializer=Echo.SerializeToString,
            response_deserializer=Echo.FromString,
        )
        await send(Echo(parent=TENANT))
        credentials = channel.Credentials.read(process.authority.certificate).channel()
        fresh = grpc.aio.secure_channel(process.runtime.addresses["tls"], credentials)
        await client.replace(fresh).close()
        assert (await send(Echo(parent=TENANT, text="again"))).text == "again"


@pytest.mark.parametrize("retried", [(), (SERVICE,)])
async def test_only_a_channel_that_was_told_to_repeats_calls(
    retried: tuple[str, ...], tmp_path: Path
) -> None:
    asked = []

    async def recover(_request: Any) -> None:
        asked.append(1)
        if len(asked) < 3:
            raise IdvError(Reason.ERROR_REASON_UNAVAILABLE, "not yet")

    async with running(tmp_path, recover) as process:
        credentials = channel.Credentials.read(process.authority.certificate)
        token, target = process.signer.token(), process.runtime.addresses["tls"]
        async with channel.aio(target, credentials, token=token, retried=retried) as client:
            if retried:
                assert await call(client, "Unary", Echo(parent=TENANT))
            else:
                with pytest.raises(IdvError):
                    await call(client, "Unary", Echo(parent=TENANT))
    assert len(asked) == (3 if retried else 1)


async def test_no_channel_repeats_what_the_server_tried_again_itself(tmp_path: Path) -> None:
    """Else each hop multiplies the tries of the next, and the deadline passes before anybody answers."""
    asked = []

    async def give_up(_request: Any) -> None:
        asked.append(1)
        raise IdvError(Reason.ERROR_REASON_UNAVAILABLE, "still away", retry_after=1.0, tried=True)

    async with running(tmp_path, give_up) as process:
        credentials = channel.Credentials.read(process.authority.certificate)
        token, target = process.signer.token(), process.runtime.addresses["tls"]
        async with channel.aio(target, credentials, token=token, retried=(SERVICE,)) as client:
            with pytest.raises(IdvError, match="still away") as caught:
                await call(client, "Unary", Echo(parent=TENANT))
    assert len(asked) == 1
    assert caught.value.tried  # a server in between passes it on


async def test_a_server_that_is_away_is_unavailable_and_the_cause_is_kept(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        credentials = channel.Credentials.read(process.authority.certificate)
    async with channel.aio("127.0.0.1:1", credentials) as client:
        with pytest.raises(IdvError) as caught:
            await call(client, "Unary", Echo(parent=TENANT))
    assert caught.value.reason == Reason.ERROR_REASON_UNAVAILABLE
    assert "127.0.0.1" not in str(caught.value)
    assert isinstance(caught.value.__cause__, grpc.RpcError)


@pytest.mark.parametrize("reason", Reason.values())
def test_every_reason_travels_and_comes_back(reason: Reason.ValueType) -> None:
    error = IdvError(reason, "what happened", field="parent", remedy="do this", retry_after=2.5)
    again = IdvError.from_status(error.to_status())
    assert (again.reason, again.message, again.field) == (reason, "what happened", "parent")
    assert (again.remedy, again.retry_after, again.metadata) == ("do this", 2.5, {})
    assert again.code is status_code(reason) is not grpc.StatusCode.OK


def test_a_reason_of_a_newer_release_falls_back_to_its_code() -> None:
    status = IdvError(Reason.ERROR_REASON_RESTRICTED, "x").to_status()
    newer = status.SerializeToString().replace(b"RESTRICTED", b"RESTRICTET")
    status = status_pb2.Status.FromString(newer)
    status.code = grpc.StatusCode.UNAVAILABLE.value[0]
    assert IdvError.from_status(status).reason == Reason.ERROR_REASON_UNAVAILABLE


class Endless:
    """What a method does that never answers."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def __call__(self, _request: Any) -> None:
        self.begun.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_whose_connection_is_closed_under_it_is_unavailable_and_its_task_lives(
    kind: str, tmp_path: Path
) -> None:
    endless = Endless()
    async with running(tmp_path, endless, grace_seconds=0) as process, process.customer() as client:
        cut = asyncio.create_task(call(client, kind, Echo(parent=TENANT)))
        await asyncio.wait_for(endless.begun.wait(), 5)
        credentials = channel.Credentials.read(process.authority.certificate).channel()
        fresh = grpc.aio.secure_channel(process.runtime.addresses["tls"], credentials)
        await client.replace(fresh).close()
        await asyncio.wait([cut], timeout=5)
        assert not cut.cancelled(), "a periodic job or a follower would have ended with the connection"
        with pytest.raises(IdvError) as caught:
            await cut
    assert caught.value.reason == Reason.ERROR_REASON_UNAVAILABLE


@pytest.mark.parametrize("kind", KINDS)
async def test_a_caller_that_is_cancelled_stays_cancelled(kind: str, tmp_path: Path) -> None:
    endless = Endless()
    async with running(tmp_path, endless, grace_seconds=0) as process, process.customer() as client:
        leaving = asyncio.create_task(call(client, kind, Echo(parent=TENANT)))
        await asyncio.wait_for(endless.begun.wait(), 5)
        leaving.cancel()
        await asyncio.wait([leaving], timeout=5)
        assert leaving.cancelled()
