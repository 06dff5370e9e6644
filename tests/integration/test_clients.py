"""The Python clients against the running suite: what they promise beyond a generated stub."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from idv import aio_client, client
from idv.channel import Credentials
from idv.errors import IdvError, Reason
from idv.media import Media
from idv.receipts import ReceiptError
from idv.requests import Deleted
from idv.types.v1 import data_pb2, processing_pb2

from services.local.specimens import face, jpeg
from services.local.stack import LocalStack
from tests.integration.verification import Verification

ITEMS = ["device.hardware", "log", "face_image"]
HARDWARE = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(manufacturer="Example", model="E-17"))


def selfie(name: str) -> Media:
    """A picture of several messages."""
    body = jpeg(face(name, width=1600), quality=97).body
    assert len(body) > 256 * 1024
    return Media(body, "image/jpeg", data_pb2.FaceImage(capture=data_pb2.FACE_CAPTURE_SELFIE))


class Party:
    """What a Customer and the verification service need to know of the shared stack."""

    def __init__(self, stack: LocalStack, verification: Verification) -> None:
        self.stack = stack
        self.attestation = verification.attestation(ITEMS)
        certificate = stack.certificate("service:verification")
        self.authority = Credentials.read(certificate.authority)
        self.verifier = Credentials.read(
            certificate.authority, certificate.certificate, certificate.private_key
        )
        self.storage = stack.addresses["storage"].mtls

    def address(self, service: str) -> str:
        """Where a service takes tokens."""
        address = self.stack.addresses[service].tls
        assert address is not None
        return address

    def gateway(self) -> tuple[str, str, str, Credentials, str]:
        """What a gateway is made with."""
        addresses = (self.address("ingest"), self.address("retention"))
        return "acme", *addresses, self.authority, self.stack.token("acme")


@pytest.fixture
def party(stack: LocalStack, verification: Verification) -> Party:
    """Of the Customer `acme`."""
    return Party(stack, verification)


async def test_the_asyncio_client_collects_reads_and_deletes(party: Party) -> None:
    async with aio_client.Gateway(*party.gateway()) as acme:
        session = await acme.open_session("user-of-the-aio-client", ITEMS, party.attestation)
        stored = await session.upload(selfie("aio-client"))  # as the Customer: the token goes along
        async with aio_client.Session.connect(
            party.address("ingest"), party.authority, session.name, session.token
        ) as sdk:
            (record,) = await sdk.submit(HARDWARE)
        assert stored.record.source == processing_pb2.SOURCE_CUSTOMER
        assert record.source == processing_pb2.SOURCE_SDK
        held = [one.name async for one in acme.records(session=session.name)]
        assert sorted(held) == sorted([stored.record.name, record.name])
        async with aio_client.Verifier(party.storage, party.verifier) as verifier:
            opened = await verifier.read(record.name, processing_pb2.PURPOSE_VERIFICATION)
            assert opened.items() == HARDWARE.device_hardware
            found = [one.name async for one in verifier.records("acme", subject="user-of-the-aio-client")]
            assert sorted(found) == sorted(held)
        deleted = await acme.delete({"session": session.name})
        assert deleted.done
        assert deleted.verified(party.stack.log_public_key).kind == "deletion"


async def test_the_blocking_client_does_the_same(party: Party) -> None:
    def work() -> None:
        with client.Gateway(*party.gateway()) as acme:
            session = acme.open_session("user-of-the-client", ITEMS, party.attestation)
            with client.Session.connect(
                party.address("ingest"), party.authority, session.name, session.token
            ) as sdk:
                stored = sdk.upload(selfie("client"))
                sdk.submit(HARDWARE)
            with client.Verifier(party.storage, party.verifier) as verifier:
                opened = verifier.read(stored.record.name, processing_pb2.PURPOSE_VERIFICATION)
                assert len(opened.body) == opened.record.size_bytes
                assert len(list(verifier.records("acme", session=session.name))) == 2
            deleted = acme.delete({"subject": "user-of-the-client"})
            assert deleted.verified(party.stack.log_public_key).final_time is not None
            assert not list(acme.records(session=session.name))

    await asyncio.to_thread(work)


async def test_an_upload_whose_connection_is_lost_is_sent_again_and_makes_one_record(party: Party) -> None:
    media = selfie("cut")
    heard: list[int] = []
    async with aio_client.Gateway(*party.gateway()) as acme:
        session = await acme.open_session("user-of-a-bad-line", ITEMS, party.attestation)
        async with (
            cut_once(party.address("ingest"), after=len(media.body) // 2) as bad_line,
            aio_client.Session.connect(bad_line, party.authority, session.name, session.token) as sdk,
        ):
            stored = await sdk.upload(media, progress=lambda sent, _: heard.append(sent))
        assert [one.name async for one in acme.records(session=session.name)] == [stored.record.name]
    assert sum(later < earlier for earlier, later in pairwise(heard)) == 1, "it was begun again once"
    assert heard[-1] == len(media.body)


async def test_a_repeat_under_the_same_request_id_gets_the_first_answer(party: Party) -> None:
    media, request_id = selfie("repeat"), str(uuid.uuid4())
    async with aio_client.Gateway(*party.gateway()) as acme:
        session = await acme.open_session("user-of-a-repeat", ITEMS, party.attestation)
        first = await session.upload(media, request_id=request_id)
        assert (await session.upload(media, request_id=request_id)).record == first.record
        deletion, target = str(uuid.uuid4()), {"record": first.record.name}
        at_once = await acme.delete(target, request_id=deletion, wait=0)
        followed = await acme.delete(target, request_id=deletion)
        assert followed.deletion.name == at_once.deletion.name
        assert followed.done
        other = Deleted(followed.deletion, deletion, {"record": f"{first.record.name}0"})
        with pytest.raises(ReceiptError):
            other.verified(party.stack.log_public_key)


async def test_a_refusal_names_reason_field_and_remedy_and_is_not_repeated(party: Party) -> None:
    async with aio_client.Gateway(*party.gateway()) as acme:
        session = await acme.open_session("user-of-a-refusal", ITEMS, party.attestation)
        async with asyncio.timeout(5):
            with pytest.raises(IdvError) as refused:
                await session.submit(HARDWARE)
    assert (
        refused.value.reason == Reason.ERROR_REASON_SOURCE_NOT_ALLOWED
    )  # device data comes from the SDK alone
    assert refused.value.field
    assert refused.value.remedy


@asynccontextmanager
async def cut_once(target: str, after: int) -> AsyncIterator[str]:
    """Passes TCP connections on, but resets the first once `after` bytes came from the client."""
    host, _, port = target.rpartition(":")
    left = [after]
    running: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        onward_reader, onward_writer = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(
                _copied(reader, onward_writer, left), _copied(onward_reader, writer, [1 << 40])
            )
        except ConnectionError:
            pass  # cut here, or hung up by either end
        finally:
            for end in (writer, onward_writer):
                end.transport.abort()
            running.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int]) -> None:
    while chunk := await reader.read(65536):
        if left[0] <= len(chunk):
            left[0] = 1 << 40
            raise ConnectionResetError
        left[0] -= len(chunk)
        writer.write(chunk)
        await writer.drain()
    raise ConnectionResetError
