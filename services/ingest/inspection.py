"""Checks and strips whole bodies on worker threads, within the memory budget, and proves their digests."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from idv.errors import IdvError, Reason

from services.ingest.limits import PixelMemory
from services.ingest.media import check
from services.ingest.media.check import MediaLimits
from services.ingest.media.fault import MediaError
from services.ingest.media.stripped import Stripped

_FIELDS = {
    Reason.ERROR_REASON_EMPTY_BODY: "header.size_bytes",
    Reason.ERROR_REASON_TOO_LARGE: "header.size_bytes",
    Reason.ERROR_REASON_MEDIA_TYPE_MISMATCH: "header.media_type",
}


@dataclass(frozen=True, slots=True)
class Inspected:
    """What will be stored: the bytes, their SHA-256, and the names of what was removed, sorted."""

    body: bytes
    sha256: bytes
    removed: tuple[str, ...]


class Inspector:
    """One thread for each core, used while entered.

    `memory` is for pixels alone: who holds memory for a body waits for pixels, and never the other way round,
    so nobody waits in a circle.
    """

    def __init__(self, limits: MediaLimits, memory: PixelMemory) -> None:
        self.limits = limits
        self._memory = memory
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="media")

    async def __aenter__(self) -> Self:
        check.silence_parsers()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def inspect(self, received: bytearray, declared: str, sha256: bytes) -> Inspected:
        """The body as it will be stored.

        Raises CHECKSUM_MISMATCH, EMPTY_BODY, TOO_LARGE and the MEDIA_ refusals. The caller holds the memory
        for the body; the memory for its pixels is waited for here.
        """
        run, threads = asyncio.get_running_loop().run_in_executor, self._threads
        try:
            async with self._memory.held(check.stripping_bytes(declared, self.limits)):
                stripped, same = await run(threads, _prove_and_strip, received, declared, sha256, self.limits)
            async with self._memory.held(check.decoding_bytes(stripped)):
                return await run(threads, _decode_and_digest, stripped, declared, sha256 if same else None)
        except MediaError as fault:
            field = _FIELDS.get(fault.reason, "chunk")
            raise IdvError(fault.reason, fault.message, field=field, remedy=fault.remedy) from None


def _prove_and_strip(
    received: bytearray, declared: str, sha256: bytes, limits: MediaLimits
) -> tuple[Stripped, bool]:
    """What will be stored, and whether those are the very bytes received."""
    if not hmac.compare_digest(hashlib.sha256(received).digest(), sha256):
        raise IdvError(
            Reason.ERROR_REASON_CHECKSUM_MISMATCH,
            "the bytes that arrived are not those of the declared SHA-256",
            field="header.sha256",
            remedy="send the file again, with the SHA-256 of the bytes sent",
        )
    stripped = check.strip(bytes(received), declared, limits)
    return stripped, stripped.body == received


def _decode_and_digest(stripped: Stripped, declared: str, known: bytes | None) -> Inspected:
    check.decode(stripped, declared)
    digest = known or hashlib.sha256(stripped.body).digest()
    return Inspected(stripped.body, digest, tuple(sorted(stripped.removed)))
