"""The bytes of an export: a ZIP archive that any tool reads, with an index that runs nothing."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.retention.export_html import printable
from services.retention.export_index import Facts, page, record_page, text
from services.retention.zip_stream import Entry, descriptor, directory_entry, end, local_header

BODIES = st.dictionaries(
    st.from_regex(r"[a-z0-9/._-]{1,40}", fullmatch=True), st.binary(max_size=300), max_size=12
)


def written(bodies: dict[str, bytes]) -> bytes:
    archive, directory = bytearray(), bytearray()
    for path, body in bodies.items():
        entry = Entry(path, len(body), zlib.crc32(body), sha256(body).hexdigest())
        directory += directory_entry(entry, len(archive))
        begin = len(archive)
        archive += local_header(path) + body + descriptor(entry)
        assert len(archive) - begin == entry.length
    return bytes(archive + directory) + end(len(bodies), len(directory), len(archive))


@given(BODIES)
def test_any_content_is_read_back_by_an_independent_library(bodies: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(written(bodies))) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == bodies
    assert written(bodies) == written(bodies)


def test_an_offset_beyond_four_gibibytes_is_told_whole() -> None:
    entry = Entry("large.bin", 5 << 32, 7, "")
    found = directory_entry(entry, 6 << 32)
    assert (5 << 32).to_bytes(8, "little") in found
    assert (6 << 32).to_bytes(8, "little") in found


async def _joined(pieces: AsyncIterator[bytes]) -> str:
    return b"".join([piece async for piece in pieces]).decode()


async def _rows() -> AsyncIterator[dict[str, Any]]:
    yield {
        "name": "customers/acme/sessions/s/records/r",
        "category": "<script>alert(1)</script>",
        "receive_time": "now",
        "expire_time": "later",
        "size": 7,
        "paths": ['records/s/"onmouseover="x.json'],
    }


async def test_hostile_text_stays_text_in_the_index() -> None:
    subject = '<img src=x onerror="x">\n</p>\u202e\x1b[2J'
    facts = Facts(
        "customers/acme", subject, datetime(2026, 11, 24, tzinfo=UTC), {"sessions": 1, "records": 1}, [1]
    )
    shown = await _joined(page(facts, _rows()))
    for hostile in ("<img", "<script>", 'href="records/s/"', "\u202e", "\x1b"):
        assert hostile not in shown
    assert "default-src 'none'" in shown
    plain = await _joined(text(facts, _rows()))
    assert printable(subject) in plain
    assert "\x1b" not in plain


def test_items_are_read_as_a_page_and_stay_text() -> None:
    record = {
        "name": "customers/acme/sessions/s/records/r",
        "category": "log",
        "receive_time": "2026-11-24T10:15:00Z",
        "expire_time": "2026-12-24T10:15:00Z",
        "notice_version": 1,
    }
    hostile = "</td><script>alert(1)</script>\u202e"
    shown = record_page(record, {"events": [{"event_name": hostile, "count": 3, "ok": True}], "none": []})
    for told in ("Event name", "<td>3</td>", "<td>yes</td>", "24 Nov 2026, 10:15 UTC", "&lt;script&gt;"):
        assert told in shown.decode()
    for unwanted in ("<script", "\u202e"):
        assert unwanted not in shown.decode()
