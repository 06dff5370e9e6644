"""Drives a stack with canaries in every field: through what succeeds, and into every refusal."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Awaitable, Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.types.v1 import data_pb2, processing_pb2

from services.local.specimens import Specimen, card, face, jpeg, pdf, png, webp
from tests import descriptors, example_requests
from tests.canaries import Canaries
from tests.integration.callers import NOBODY, Caller, Callers, service
from tests.integration.verification import EVERYTHING, OPTIONAL, Opened, Verification

CUSTOMER = "acme"

# An officer's own terms, published anyway: their faults are told in their own words.
MAY_BE_QUOTED = {"idv.notice.v1.CreateNoticeRequest.terms_yaml"}


class Planting:
    """What was planted, and everything that refusals said about it."""

    def __init__(self, callers: Callers, data: Canaries, said: Canaries) -> None:
        self.callers = callers
        self.verification = Verification(callers)
        self.data = data
        self.said = said
        self.refusals: list[IdvError] = []
        self.subject = data.text(128)
        data.digest_of(self.subject.encode())

    async def refused(self, attempt: Awaitable[Any]) -> None:
        """Keeps what the refusal said; fails when there was none."""
        try:
            await attempt
        except IdvError as error:
            self.refusals.append(error)
        else:
            raise AssertionError("this should have been refused")

    async def everything_that_succeeds(self) -> None:
        """Collects all kinds of data, reads each for each purpose, lists, and deletes the half of it."""
        verification = self.verification
        opened, kept = await self._open(), await self._open()
        records = await verification.submit(opened, self._items())
        await verification.submit(kept, self._items())
        for specimen, what in self._specimens():
            self.data.digest_of(specimen.body)
            answer = await verification.upload(opened, specimen, what)
            self.data.digest_of(answer.stored_sha256)
            records.append(answer.record)
        for record in records:
            body = await verification.read(record.name)
            self.data.digest_of(body)
            await verification.read(
                record.name,
                reader="support",
                purpose=processing_pb2.PURPOSE_TROUBLESHOOTING,
                person=self.data.text(),
                ticket="T-1",
            )
        retention = self.callers.stub(DeletionServiceStub, "retention", self.callers.customer(CUSTOMER))
        by_subject = deletions_pb2.ListRecordsRequest(parent=f"customers/{CUSTOMER}", subject=self.subject)
        assert (await retention.ListRecords(by_subject)).records
        accesses = deletions_pb2.ListAccessesRequest(parent=f"customers/{CUSTOMER}")
        assert (await retention.ListAccesses(accesses)).accesses
        deletion = await verification.delete(
            CUSTOMER, deletions_pb2.DeletionTarget(session=opened.name), request_id=str(uuid.uuid4())
        )
        await verification.deletion(deletion.name)

    async def _open(self) -> Opened:
        items = (*EVERYTHING, *OPTIONAL)
        attestation = self.verification.attestation(items, reference=self.data.text(128))
        return await self.verification.open(CUSTOMER, self.subject, items, attestation=attestation)

    def _items(self) -> data_pb2.ItemSet:
        planted: data_pb2.ItemSet = self.data.planted(
            data_pb2.ItemSet.DESCRIPTOR, self.callers.stack.clock.now()
        )
        planted.host_application.ClearField("sdk_version")  # the version in force does not list it
        return planted

    def _specimens(self) -> Iterator[tuple[Specimen, data_pb2.FaceImage | data_pb2.IdentityDocument]]:
        mark, picture, document = self.data.mark, face("a"), card("b")
        yield jpeg(picture, mark), data_pb2.FaceImage(capture=data_pb2.FACE_CAPTURE_SELFIE)
        yield png(picture, mark), data_pb2.FaceImage()
        yield webp(document, mark), data_pb2.IdentityDocument()
        yield pdf(document, mark), data_pb2.IdentityDocument(kind=data_pb2.DOCUMENT_KIND_PASSPORT)

    async def every_refusal_of_data(self) -> None:
        """Sends planted data that admission must refuse, each for another reason."""
        verification, customer = self.verification, self.callers.customer(CUSTOMER)
        opened = await verification.open(CUSTOMER, self.subject, ("device.hardware", "face_image"))
        hardware = data_pb2.ItemSet(device_hardware=self._items().device_hardware)
        required = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model=self.data.text(128)))
        await self.refused(verification.submit(opened, hardware))  # optional items that nobody asked for
        await self.refused(verification.submit(opened, data_pb2.ItemSet(log_data=self._items().log_data)))
        await self.refused(verification.submit(opened, required, caller=customer))  # the wrong source
        slipped = (
            required.device_hardware.SerializeToString() + b"\xea\x04\x20" + self.data.mark.encode().ljust(32)
        )
        newer = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware.FromString(slipped))
        await self.refused(verification.submit(opened, newer))  # a field that the contract does not know
        request_id = str(uuid.uuid4())
        await verification.submit(opened, required, request_id=request_id)
        required.device_hardware.brand = self.data.text(128)
        await self.refused(verification.submit(opened, required, request_id=request_id))
        await self.refused(
            verification.open(CUSTOMER, self.subject, attestation=processing_pb2.Attestation())
        )
        stale = verification.attestation(EVERYTHING, reference=self.data.text(128))
        stale.attest_time.FromJsonString("1999-12-31T23:59:59Z")
        await self.refused(verification.open(CUSTOMER, self.subject, attestation=stale))
        for specimen in self._bad_media():
            await self.refused(verification.upload(opened, specimen, data_pb2.FaceImage()))
        good, wrong = jpeg(face("c"), self.data.mark), hashlib.sha256(b"else").digest()
        await self.refused(verification.upload(opened, good, data_pb2.FaceImage(), sha256=wrong))
        sdk = Caller(token=self.data.text())
        await self.refused(verification.submit(opened, required, caller=sdk))

    def _bad_media(self) -> Iterator[Specimen]:
        mark = self.data.mark
        good = jpeg(face("d"), mark)
        yield Specimen("image/jpeg", b"")
        yield Specimen("image/jpeg", mark.encode() * 100)
        yield Specimen("image/png", good.body)
        yield Specimen("image/jpeg", good.body[: len(good.body) // 3])
        yield Specimen("image/jpeg", good.body[:64] + mark.encode() * 64)
        yield Specimen("application/pdf", b"%PDF-1.7\n" + mark.encode() * 64)

    async def every_text_of_every_request(self, names: example_requests.Names) -> None:
        """Puts a canary into each text and bytes field of each method's request in turn, and calls it.

        As who may call, where some of it succeeds, and as nobody.
        """
        for method in descriptors.methods():
            for path in text_paths(example_requests.minimal(method, names)):
                if f"{method.input_type.full_name}.{path[-1]}" in MAY_BE_QUOTED:
                    continue
                for caller in (self._allowed(method), NOBODY):
                    request = example_requests.minimal(method, names)
                    plant(request, path, self.said.text())
                    try:
                        await self.callers.call(method, request, caller)
                    except IdvError as error:
                        self.refusals.append(error)

    def _allowed(self, method: MethodDescriptor) -> Caller:
        rule = descriptors.rule(method)
        if rule.customer:
            return self.callers.customer(CUSTOMER)
        return service(rule.services[0]) if rule.services else NOBODY


def text_paths(message: Message, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every text and bytes field of a message and of the messages present in it."""
    for field in message.DESCRIPTOR.fields:
        path = (*above, field.name)
        if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            yield path
        elif field.message_type and not field.is_repeated and message.HasField(field.name):
            yield from text_paths(getattr(message, field.name), path)


def plant(message: Message, path: tuple[str, ...], text: str) -> None:
    """Sets the field at a path, or adds an entry to it."""
    for name in path[:-1]:
        message = getattr(message, name)
    field = message.DESCRIPTOR.fields_by_name[path[-1]]
    value = text if field.type == FieldDescriptor.TYPE_STRING else text.encode()
    if field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)
