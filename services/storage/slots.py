"""The slot file: keys that can be destroyed, because each lies in a fixed place that is overwritten and
synced.

One file on a local file system that writes in place (no copy-on-write, no overlay). A header holds the
counter of versions; then follow equal slots, each free or holding one key. Header and slots lie within one
sector each and carry a checksum, so a write happens wholly or not at all. The counter is durable before a
version is used: none is ever used twice. Processes exclude one another by `flock`.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import secrets
import stat
import struct
import threading
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

_MAGIC = b"idv-key-slots-1\0"
_HEADER = struct.Struct(">16sQQ16s")  # magic, number of slots, last version used, checksum
_HEADER_SIZE = 4096
_SLOT = struct.Struct(">Q32s32s16s")  # version (0: free), digest of the name, key, checksum
_SLOT_SIZE = 128
_NAME = struct.Struct(f"8x32s{_SLOT_SIZE - 40}x")  # of a slot, the digest of the name alone
KEY_SIZE = 32
_FREE = bytes(_SLOT_SIZE)


class SlotFileError(Exception):
    """The slot file is missing, damaged, readable by others, or full."""


class _Slot(NamedTuple):
    place: int
    version: int
    name: bytes
    key: bytes


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _checked(layout: struct.Struct, *fields: object) -> bytes:
    """Packs fields and ends them with a checksum of the rest."""
    unsigned = layout.pack(*fields, bytes(16))[:-16]
    return unsigned + hashlib.sha256(unsigned).digest()[:16]


def _read(layout: struct.Struct, raw: bytes, what: str) -> tuple[Any, ...]:
    if hashlib.sha256(raw[: layout.size - 16]).digest()[:16] != raw[layout.size - 16 : layout.size]:
        raise SlotFileError(f"{what} of the key slot file is damaged")
    return layout.unpack(raw[: layout.size])[:-1]


class SlotFile:
    """Keys by name and version. Blocking; thread-safe; shared by processes of one host."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = threading.Lock()
        self._file = self._open(path)
        self._count, _ = self._header()
        size = os.fstat(self._file).st_size
        if size != _HEADER_SIZE + self._count * _SLOT_SIZE:
            raise SlotFileError(f"{path} has {size} bytes, not what {self._count} slots take")
        self._map = mmap.mmap(self._file, size, access=mmap.ACCESS_READ)
        self._places: dict[int, int] = {}  # a version never moves: once seen, it is there or nowhere
        self._check()

    @staticmethod
    def create(path: Path, slots: int) -> None:
        """Makes a file of free slots unless there is one; every byte is allocated and synced before it has
        its name.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            header = _checked(_HEADER, _MAGIC, slots, 0).ljust(_HEADER_SIZE, b"\0")
            _write(descriptor, header + bytes(slots * _SLOT_SIZE), 0)
            os.fsync(descriptor)
            try:
                os.link(fresh, path)
            except FileExistsError:
                return
            _sync_folder(path.parent)
        finally:
            os.close(descriptor)
            fresh.unlink()

    def close(self) -> None:
        """Releases the file."""
        self._map.close()
        os.close(self._file)

    def make(self, name: str) -> int:
        """Puts a new random key under the name and returns its version, greater than any before;
        SlotFileError when full.
        """
        with self._locked(fcntl.LOCK_EX):
            index = self._free()
            version = self._next_version()
            self._overwrite(index, _checked(_SLOT, version, _digest(name), os.urandom(KEY_SIZE)))
            self._places[version] = index
            return version

    def key(self, name: str, version: int, *, wait: bool = True) -> bytes | None:
        """The key, or None when it was destroyed or never was.

        With `wait=False` it raises BlockingIOError instead of waiting for someone who writes.
        """
        with self._locked(fcntl.LOCK_SH, wait=wait):
            place = self._places.get(version)
            if place is None:
                place = next((slot.place for slot in self._named(name) if slot.version == version), None)
            if place is None:
                return None
            self._places[version] = place
            slot = self._slot(place)
            return slot.key if slot and (slot.version, slot.name) == (version, _digest(name)) else None

    def destroy_below(self, versions: Mapping[str, int]) -> int:
        """Overwrites, for each name, every key below its version; for good on return.

        Returns how many there were. Many names cost one sync.
        """
        below = {_digest(name): version for name, version in versions.items()}
        with self._locked(fcntl.LOCK_EX):
            held = [slot for place in self._places_of(below) if (slot := self._slot(place))]
            doomed = [slot.place for slot in held if slot.version < below[slot.name]]
            for place in doomed:
                _write(self._file, _FREE, _HEADER_SIZE + place * _SLOT_SIZE)
            os.fsync(self._file)
            return len(doomed)

    def last_version(self) -> int:
        """The last version that was given out."""
        with self._locked(fcntl.LOCK_SH):
            return self._header()[1]

    def free(self) -> int:
        """How many slots are free."""
        with self._locked(fcntl.LOCK_SH):
            return sum(1 for index in range(self._count) if self._raw(index) == _FREE)

    @staticmethod
    def _open(path: Path) -> int:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise SlotFileError(f"the key slot file {path} cannot be opened: {error.strerror}") from None
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            os.close(descriptor)
            raise SlotFileError(f"{path} can be read by others: set its mode to 0600")
        return descriptor

    def _header(self) -> tuple[int, int]:
        """Number of slots and last version used."""
        raw = os.pread(self._file, _HEADER.size, 0)
        if len(raw) < _HEADER.size or not raw.startswith(_MAGIC):
            raise SlotFileError(f"{self._path} is no key slot file")
        _, slots, version = _read(_HEADER, raw, "the header")
        return slots, version

    def _check(self) -> None:
        """Reads every slot once: each whole, no version twice, none above the counter."""
        with self._locked(fcntl.LOCK_SH):
            _, last = self._header()
            slots = [slot for index in range(self._count) if (slot := self._slot(index))]
        versions = [slot.version for slot in slots]
        self._places = {slot.version: slot.place for slot in slots}
        if len(set(versions)) != len(versions) or max(versions, default=0) > last:
            raise SlotFileError(
                f"{self._path} holds versions that its counter does not allow: an older copy was put back"
            )

    def _next_version(self) -> int:
        _, last = self._header()
        self._sync(_checked(_HEADER, _MAGIC, self._count, last + 1), 0)
        return last + 1

    def _raw(self, index: int) -> bytes:
        start = _HEADER_SIZE + index * _SLOT_SIZE
        return self._map[start : start + _SLOT_SIZE]

    def _places_of(self, names: Container[bytes]) -> list[int]:
        """The slots of these digests of names; reads the names alone, without a copy of any key."""
        with memoryview(self._map) as whole, whole[_HEADER_SIZE:] as slots:
            return [place for place, (name,) in enumerate(_NAME.iter_unpack(slots)) if name in names]

    def _slot(self, index: int) -> _Slot | None:
        raw = self._raw(index)
        if raw == _FREE:
            return None
        version, name, key = _read(_SLOT, raw, f"slot {index}")
        return _Slot(index, version, name, key)

    def _named(self, name: str) -> Iterator[_Slot]:
        """The slots of a name; found in the map, so that no other key is copied into memory."""
        wanted, start = _digest(name), _HEADER_SIZE
        while (found := self._map.find(wanted, start)) >= 0:
            start = found + 1
            slot = self._slot((found - _HEADER_SIZE) // _SLOT_SIZE)
            if slot is not None and slot.name == wanted:
                yield slot

    def _free(self) -> int:
        for index in range(self._count):
            if self._raw(index) == _FREE:
                return index
        raise SlotFileError(
            f"all {self._count} key slots are in use: expiry is late, or the file is too small"
        )

    def _overwrite(self, index: int, content: bytes) -> None:
        self._sync(content.ljust(_SLOT_SIZE, b"\0"), _HEADER_SIZE + index * _SLOT_SIZE)

    def _sync(self, content: bytes, offset: int) -> None:
        _write(self._file, content, offset)
        os.fsync(self._file)

    @contextmanager
    def _locked(self, kind: int, *, wait: bool = True) -> Iterator[None]:
        if not self._thread.acquire(blocking=wait):
            raise BlockingIOError
        try:
            fcntl.flock(self._file, kind if wait else kind | fcntl.LOCK_NB)
            try:
                yield
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        finally:
            self._thread.release()


def _write(descriptor: int, content: bytes, offset: int) -> None:
    """Writes all of it; a file system out of space raises OSError."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
