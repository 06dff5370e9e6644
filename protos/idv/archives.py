"""An export on its way into a file, and whether a finished one is whole: every file by its SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from idv.retention.v1 import rights_pb2

Progress = Callable[[int, int], None]
"""Called with the bytes received so far, and the size of the records in them: the archive is some more."""
Part = rights_pb2.ExportSubjectResponse | rights_pb2.ExportCustomerResponse

EXPORT_SECONDS = 24 * 3600.0
"""Seconds for one attempt at an export: for so long it can be resumed."""
_PIECE = 1024 * 1024
_ENDING = ".part"


class ArchiveError(Exception):
    """The archive is not what its manifest says; the message tells what is wrong, naming no person."""


class PartialFile:
    """The bytes received so far, beside where the archive is to be, for its owner only.

    Its name, `NAME.REQUEST_ID.part`, carries the request id: another process resumes from it. `finish` gives
    the file its name.
    """

    def __init__(self, file: Path, request_id: str) -> None:
        self._file = file
        self.path = file.with_name(f"{file.name}.{request_id}{_ENDING}")
        self.request_id = request_id
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        self._stream = os.fdopen(handle, "ab")

    @classmethod
    def begin(cls, file: Path, request_id: str | None = None) -> Self:
        """The partial file of that request; without id the one that is there, or new. Raises OSError."""
        found = [] if request_id else sorted(file.parent.glob(f"{_literal(file.name)}.*{_ENDING}"))
        if found:
            request_id = found[0].name.removesuffix(_ENDING).rpartition(".")[2]
        return cls(file, request_id or str(uuid.uuid4()))

    @property
    def offset(self) -> int:
        """How many bytes are received: the offset to resume from."""
        return self._stream.tell()

    def take(self, part: Part, progress: Progress | None) -> None:
        """Appends the next bytes. Raises ArchiveError where they are not the next."""
        if part.offset != self.offset:
            raise ArchiveError("the bytes received do not follow those before")
        self._stream.write(part.chunk)
        if progress is not None:
            progress(self.offset, part.record_bytes)

    def keep(self) -> None:
        """Leaves what is received, durable, for another process to resume; nothing leaves no file."""
        empty = not self.offset
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        if empty:
            self.path.unlink()

    def finish(self) -> Path:
        """Gives the archive its name, once it is whole and durable; a file of that name is replaced."""
        self.keep()
        return self.path.replace(self._file)


@dataclass(frozen=True)
class Verified:
    """A whole archive: its manifest's facts, and how many files and bytes were compared."""

    customer: str
    request_id: str
    as_of_time: str
    file_count: int
    size_bytes: int


def verify(file: Path) -> Verified:
    """Compares every file of an archive with its manifest. Raises ArchiveError, OSError."""
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            listed = {entry["path"]: (entry["size"], entry["sha256"]) for entry in manifest["entries"]}
            if {*listed, "manifest.json"} != set(archive.namelist()):
                raise ArchiveError("the archive does not hold exactly the files that its manifest lists")
            for path, expected in listed.items():
                if _measured(archive, path) != expected:
                    raise ArchiveError(f"{path} is not as the manifest says")
            return Verified(
                *(manifest["customer"], manifest["request_id"], manifest["as_of_time"]),
                *(len(listed), sum(size for size, _ in listed.values())),
            )
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise ArchiveError(
            "the file is no whole export: it is cut off, altered, or of another kind"
        ) from error


def _measured(archive: zipfile.ZipFile, path: str) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    with archive.open(path) as stream:
        while piece := stream.read(_PIECE):
            size += len(piece)
            digest.update(piece)
    return size, digest.hexdigest()


def _literal(name: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)
