"""Asks witnesses to cosign the log's newest checkpoint, by the C2SP tlog-witness protocol.

A witness cosigns only what extends all that it saw before. The log does not wait for witnesses: what they
cosigned is kept and told along, and an absent one gets the newest checkpoint when it is back. One that
*refuses* knows another history, or a longer one, than this database holds: that is an alarm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
from idv.checkpoint import NoteError, encode, split_note
from idv.cosignature import Cosignature, WitnessKey, attach, verify_line

from services.retention import witness_store
from services.retention.log import TransparencyLog
from services.retention.log_store import Head
from services.runtime.database import Database
from services.runtime.logs import Log

_SECONDS: Final = 10.0
"""Within this time a witness has to answer."""
_MOST: Final = 65536
"""Bytes of an answer that are read; a cosignature needs about 200."""
_CONFLICT: Final = 409


@dataclass(frozen=True)
class Witness:
    """Where a witness takes checkpoints, and the key that it cosigns with."""

    url: str
    key: WitnessKey


class AwayError(Exception):
    """The witness did not answer, or cannot now: it is asked again."""


class RefusedError(Exception):
    """The witness does not cosign this log as it is; the message says why in a word or two."""


class Witnesses:
    """Collects the cosignatures of `witnesses`; a checkpoint counts as witnessed by `quorum` of them.

    `count` is told the outcome of each attempt: `cosigned`, `away` or `refused`.
    """

    def __init__(
        self,
        database: Database,
        log: TransparencyLog,
        witnesses: Sequence[Witness],
        quorum: int,
        logger: Log,
        count: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._database, self._log, self._logger, self._count = database, log, logger, count
        self._witnesses, self._quorum = tuple(witnesses), quorum

    @property
    def keys(self) -> list[str]:
        """The keys of the witnesses asked."""
        return [str(witness.key) for witness in self._witnesses]

    async def run(self) -> None:
        """Has the newest checkpoint cosigned by each witness that has not yet."""
        head = await self._log.head()
        async with self._database.transaction() as connection:
            known = [
                (one, await witness_store.cosigned_size(connection, str(one.key))) for one in self._witnesses
            ]
        todo = [(one, size) for one, size in known if size < head.size]
        if todo:
            timeout = aiohttp.ClientTimeout(total=_SECONDS)
            async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
                await asyncio.gather(*(self._ask(session, one, size, head) for one, size in todo))

    async def newest(self) -> Head | None:
        """The newest witnessed checkpoint, its note with the cosignatures; None where there is none yet."""
        if not self._witnesses:
            return None
        async with self._database.transaction() as connection:
            head = await witness_store.newest_witnessed(connection, self.keys, self._quorum)
            return None if head is None else await self._with_lines(head)

    async def cosigned(self, head: Head) -> Head:
        """The checkpoint with the cosignatures it has so far."""
        return await self._with_lines(head) if self._witnesses else head

    async def _with_lines(self, head: Head) -> Head:
        async with self._database.transaction() as connection:
            lines = await witness_store.lines(connection, head.size)
        return head._replace(note=attach(head.note, lines))

    async def _ask(self, session: aiohttp.ClientSession, witness: Witness, old: int, head: Head) -> None:
        try:
            line, cosignature = await self._submit(session, witness, old, head)
        except AwayError as error:
            self._count("away")
            self._logger.warning("a witness is away", address=witness.key.name, state=str(error))
        except RefusedError as error:
            self._count("refused")
            self._logger.error("a witness refuses the log", address=witness.key.name, state=str(error))
        else:
            async with self._database.transaction() as connection:
                at = cosignature.time
                await witness_store.add(connection, head.size, str(witness.key), line, at)
            self._count("cosigned")

    async def _submit(
        self, session: aiohttp.ClientSession, witness: Witness, old: int, head: Head
    ) -> tuple[str, Cosignature]:
        """The cosignature over `head`. Its witness may have seen more than is kept here: then it says so."""
        status, body = await self._post(session, witness, old, head)
        if status == _CONFLICT:
            seen = _size(body)
            if seen > head.size:
                raise RefusedError(f"it knows {seen} leaves, this log has {head.size}")
            if seen == old:
                raise RefusedError("it knows another checkpoint of this size")
            status, body = await self._post(session, witness, seen, head)
            if status == _CONFLICT and _size(body) != seen:
                raise AwayError("another replica was first")
        if status >= 500 or status == 429:
            raise AwayError(f"status {status}")
        if status != 200:
            raise RefusedError(f"status {status}")
        return _cosignature(body, head, witness.key)

    async def _post(
        self, session: aiohttp.ClientSession, witness: Witness, old: int, head: Head
    ) -> tuple[int, str]:
        proof = await self._log.consistency_proof(old, head.size)
        lines = "".join(f"{encode(hash_)}\n" for hash_ in proof.hashes)
        body = f"old {old}\n{lines}\n{head.note}"
        url = f"{witness.url.rstrip('/')}/add-checkpoint"
        try:
            async with session.post(url, data=body.encode(), allow_redirects=False) as answer:
                content = await answer.content.read(_MOST)
                return answer.status, content.decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AwayError(type(error).__name__) from error


def _size(body: str) -> int:
    text = body.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RefusedError("its answer to an old checkpoint names no size")
    return int(text)


def _cosignature(body: str, head: Head, key: WitnessKey) -> tuple[str, Cosignature]:
    """The first line that `key` signed; lines by other keys are ignored, as the protocol says."""
    text, _ = split_note(head.note)
    for line in body.splitlines():
        try:
            return line, verify_line(line, text, key)
        except NoteError:
            continue
    raise RefusedError("its answer holds no cosignature by its key")
