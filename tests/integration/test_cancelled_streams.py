"""A stream that its client leaves, whichever it is: the service goes on, and nothing half-done is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2
from idv.types.v1 import data_pb2, processing_pb2

from services.local.stack import LocalStack
from tests import descriptors, example_requests
from tests.integration.callers import Callers, service
from tests.integration.test_any_method import caller_of
from tests.integration.verification import Opened, Verification

SENT = [each for each in descriptors.methods() if each.client_streaming]
RECEIVED = [each for each in descriptors.methods() if each.server_streaming]
NAME = "name"


@dataclass(frozen=True)
class Held:
    """What the streams are about."""

    opened: Opened
    record: str
    deletion: str

    def request(self, method: MethodDescriptor) -> Message:
        """A request of the method that is served."""
        names = example_requests.Names("customers/acme", self.opened.name, self.opened.token)
        request = example_requests.minimal(method, names)
        if NAME in method.input_type.fields_by_name:
            setattr(request, NAME, self.deletion if "Deletion" in method.name else self.record)
        if method.name == "ReadRecord":
            request.purpose = processing_pb2.PURPOSE_VERIFICATION  # type: ignore[attr-defined]  # it has one
        return request


@pytest_asyncio.fixture(scope="module")
async def held(verification: Verification) -> Held:
    """A record, and a deletion of another."""
    opened = await verification.open("acme", "left-in-the-middle")
    items = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="M1"))
    kept, gone = [(await verification.submit(opened, items))[0].name for _ in range(2)]
    deletion = await verification.delete("acme", deletions_pb2.DeletionTarget(record=gone))
    return Held(opened, kept, deletion.name)


def complaints(stack: LocalStack, method: MethodDescriptor) -> list[str]:
    """What the service logged as an error of its own."""
    name = method.containing_service.file.package.split(".")[1]
    lines = stack.layout.log(name).read_text().splitlines()
    return [line for line in lines if '"level": "error"' in line]


async def left(call: asyncio.Future[Message]) -> None:
    """Cancels a call, and waits for its end."""
    call.cancel()
    await asyncio.wait([asyncio.ensure_future(call)])


@pytest.mark.parametrize("method", SENT, ids=lambda method: method.full_name)
async def test_of_a_stream_that_is_left_while_it_is_sent_nothing_is_stored(
    callers: Callers, verification: Verification, held: Held, method: MethodDescriptor
) -> None:
    before = complaints(callers.stack, method)
    listed = await verification.records("acme", session=held.opened.name)
    sent = asyncio.Event()

    async def first_of_many() -> AsyncIterator[Message]:
        yield held.request(method)
        sent.set()
        await asyncio.Event().wait()

    call = asyncio.ensure_future(callers.begin(method, first_of_many(), caller_of(callers, method)))
    await sent.wait()
    await left(call)
    assert await verification.records("acme", session=held.opened.name) == listed
    assert await verification.read(held.record), "it serves on"
    assert complaints(callers.stack, method) == before


async def rest(responses: AsyncIterator[Message]) -> None:
    """Whatever was on its way, and then the end, which is none."""
    async for _ in responses:
        pass
    raise asyncio.CancelledError  # everything had been sent before


@pytest.mark.parametrize("method", RECEIVED, ids=lambda method: method.full_name)
async def test_a_stream_that_is_left_while_it_is_received_is_served_again(
    callers: Callers, held: Held, method: MethodDescriptor
) -> None:
    before, request = complaints(callers.stack, method), held.request(method)
    caller = service("verification") if method.name == "ReadRecord" else caller_of(callers, method)
    for messages in (0, 1):
        call = callers.begin(method, request, caller)
        responses = aiter(call)
        for _ in range(messages):
            assert await anext(responses)
        call.cancel()
        with pytest.raises((asyncio.CancelledError, IdvError)):
            await rest(responses)
    assert await callers.call(method, request, caller) is not None
    assert complaints(callers.stack, method) == before
