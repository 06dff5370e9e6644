"""The blocking client and the asyncio one offer the same, and prepare the same requests."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path

import pytest
from idv import aio_client, client, requests
from idv.media import CHUNK_BYTES, Media
from idv.types.v1 import data_pb2, item_pb2, processing_pb2

FACE = data_pb2.FaceImage(capture=data_pb2.FACE_CAPTURE_SELFIE)


@pytest.mark.parametrize("name", client.__all__)
def test_both_clients_have_the_same_methods_with_the_same_parameters(name: str) -> None:
    blocking, concurrent = getattr(client, name), getattr(aio_client, name)
    surfaces = [
        {
            method: [
                (one.name, one.kind, one.default) for one in inspect.signature(found).parameters.values()
            ]
            for method, found in inspect.getmembers(one, callable)
            if not method.startswith("_")
        }
        for one in (blocking, concurrent)
    ]
    assert surfaces[0] == surfaces[1]
    assert surfaces[0].keys() >= {"close"}


def test_an_upload_is_the_header_and_every_byte_in_order_and_tells_how_far_it_is() -> None:
    body = bytes(range(256)) * 3000
    media = Media(body, "image/jpeg", FACE)
    header = media.header("customers/acme/sessions/1", "", requests.new_id())
    heard: list[tuple[int, int]] = []
    first, *chunks = media.messages(header, lambda sent, total: heard.append((sent, total)))
    assert (first.header.size_bytes, first.header.sha256) == (len(body), hashlib.sha256(body).digest())
    assert first.header.face_image == FACE
    assert b"".join(one.chunk for one in chunks) == body
    assert max(len(one.chunk) for one in chunks) == CHUNK_BYTES
    assert [sent for sent, _ in heard] == [0, *range(CHUNK_BYTES, len(body), CHUNK_BYTES), len(body)]
    assert {total for _, total in heard} == {len(body)}


def test_a_document_goes_as_a_document() -> None:
    document = data_pb2.IdentityDocument(kind=data_pb2.DOCUMENT_KIND_PASSPORT)
    header = Media(b"%PDF", "application/pdf", document).header("s", "", requests.new_id())
    assert header.WhichOneof("subject_matter") == "identity_document"


def test_the_name_of_a_file_tells_its_type_or_it_is_refused(tmp_path: Path) -> None:
    picture, other = tmp_path / "a.JPG", tmp_path / "a.bmp"
    for file in (picture, other):
        file.write_bytes(b"body")
    assert Media.read(picture, FACE).media_type == "image/jpeg"
    with pytest.raises(ValueError, match=r"a\.bmp"):
        Media.read(other, FACE)


def test_records_are_asked_for_of_a_session_or_a_subject() -> None:
    for ask in (requests.retention_records, requests.storage_records):
        assert ask("acme", None, "user-1").WhichOneof("filter") == "subject"
        assert ask("acme", "customers/acme/sessions/1", None).WhichOneof("filter") == "session"
        for both in ((None, None), ("s", "u")):
            with pytest.raises(ValueError, match="one of session and subject"):
                ask("acme", *both)


@pytest.mark.parametrize("field", [field.name for field in data_pb2.ItemSet.DESCRIPTOR.fields])
def test_the_items_of_a_typed_record_are_read(field: str) -> None:
    items = data_pb2.ItemSet()
    message = getattr(items, field)
    message.SetInParent()
    category = message.DESCRIPTOR.GetOptions().Extensions[item_pb2.category]
    record = processing_pb2.Record(category=category, media_type="application/x-protobuf")
    read = requests.Opened(record, b"", message.SerializeToString()).items()
    assert type(read) is type(message)
    assert read == message


def test_a_picture_has_no_typed_items() -> None:
    picture = processing_pb2.Record(category="face_image", media_type="image/jpeg")
    assert requests.Opened(picture, b"", b"\xff\xd8").items() is None
