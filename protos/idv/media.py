"""A face image or identity document to upload, and the messages that carry it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from idv.ingest.v1 import ingest_pb2
from idv.types.v1 import data_pb2

CHUNK_BYTES: Final = 256 * 1024
"""Bytes of one message of an upload."""

MEDIA_TYPES: Final = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".pdf": "application/pdf",
}
"""By the end of a file's name; PDF only for documents."""

Progress = Callable[[int, int], None]
"""Called with the bytes handed to the connection so far and the bytes in all; from 0 again when repeated."""


@dataclass(frozen=True)
class Media:
    """The bytes as taken, their media type, and what they show."""

    body: bytes
    media_type: str
    shows: data_pb2.FaceImage | data_pb2.IdentityDocument

    @classmethod
    def read(cls, file: Path, shows: data_pb2.FaceImage | data_pb2.IdentityDocument) -> Self:
        """The content of `file`, whose name tells its type. Raises OSError, ValueError."""
        media_type = MEDIA_TYPES.get(file.suffix.lower())
        if media_type is None:
            raise ValueError(f"the name {file.name} does not tell its media type: give Media(body, type, …)")
        return cls(file.read_bytes(), media_type, shows)

    def header(self, session: str, session_token: str, request_id: str) -> ingest_pb2.MediaHeader:
        """The first message's content, with size and SHA-256 of the body."""
        header = ingest_pb2.MediaHeader(
            session=session,
            session_token=session_token,
            request_id=request_id,
            media_type=self.media_type,
            size_bytes=len(self.body),
            sha256=hashlib.sha256(self.body).digest(),
        )
        if isinstance(self.shows, data_pb2.FaceImage):
            header.face_image.CopyFrom(self.shows)
        else:
            header.identity_document.CopyFrom(self.shows)
        return header

    def messages(
        self, header: ingest_pb2.MediaHeader, progress: Progress | None = None
    ) -> Iterator[ingest_pb2.UploadMediaRequest]:
        """The header, then the body in chunks; `progress` hears of each chunk once it is taken."""
        yield ingest_pb2.UploadMediaRequest(header=header)
        total = len(self.body)
        for start in range(0, total, CHUNK_BYTES):
            if progress is not None:
                progress(start, total)
            yield ingest_pb2.UploadMediaRequest(chunk=self.body[start : start + CHUNK_BYTES])
        if progress is not None:
            progress(total, total)
