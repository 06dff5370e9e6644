"""A witness of the transparency log, on loopback: it cosigns what extends all that it saw, and nothing else.

It speaks the C2SP tlog-witness protocol with a key of its own, and keeps the newest checkpoint of each log on
disk before it answers. One on the machine that it watches shows how it works, and is no independent witness.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from idv import merkle
from idv.checkpoint import Checkpoint, NoteError, VerifierKey, decode, open_note
from idv.cosignature import WitnessKey, cosign
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.local.files import write_private
from services.local.ports import LOOPBACK, free_port
from services.local.server import Server
from services.retention.signing import generate, read_key
from services.runtime.clock import Clock
from services.runtime.web_server import WebServer

NAME = "witness.idv.local"
_MOST_BYTES = 1 << 17
_MOST_HASHES = 63


class _RefusedError(Exception):
    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Submission(NamedTuple):
    """What a log asks: to cosign the checkpoint in `note`, shown to extend the one of `old` leaves."""

    old: int
    proof: list[bytes]
    note: str

    @classmethod
    def parse(cls, body: bytes) -> Submission:
        """Reads the body of add-checkpoint. Raises ValueError where it is none."""
        head, blank, note = body.decode().partition("\n\n")
        first, *lines = head.split("\n")
        word, _, size = first.partition(" ")
        if not blank or word != "old" or not size.isascii() or str(int(size[:20])) != size:
            raise ValueError("the body does not begin with an old size")
        if len(lines) > _MOST_HASHES:
            raise ValueError("the proof has too many hashes")
        return cls(int(size), [decode(line, "a hash of the proof") for line in lines], note)


class Witness(Server):
    """A witness that knows the logs whose verifier keys are in `logs`.

    Args:
        directory: its key and what it saw last; must exist.
        logs: verifier keys, several for a log that changes its key.
        clock: for the time in its cosignatures.
        port: default a free one.
    """

    def __init__(
        self, directory: Path, logs: Iterable[VerifierKey], clock: Clock, *, port: int | None = None
    ) -> None:
        self.port = port or free_port()
        self.logs: Sequence[VerifierKey] = tuple(logs)
        self._seen = directory / "seen.json"
        self._clock = clock
        key = directory / "witness.pem"
        if not key.exists():
            generate(key)
        self._key: Ed25519PrivateKey = read_key(key)
        self._turn = asyncio.Lock()
        self._web: WebServer | None = None

    @property
    def url(self) -> str:
        """Where it takes checkpoints."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def key(self) -> WitnessKey:
        """Its public key."""
        return WitnessKey(NAME, self._key.public_key().public_bytes_raw())

    async def start(self) -> None:
        """Listen."""
        routes = [Route("/add-checkpoint", self._answer, methods=["POST"])]
        self._web = WebServer(Starlette(routes=routes), f"{LOOPBACK}:{self.port}")
        await self._web.__aenter__()

    async def stop(self) -> None:
        """Stop listening; what it saw stays."""
        if self._web:
            await self._web.__aexit__(None, None, None)
            self._web = None

    def seen(self, origin: str) -> Checkpoint | None:
        """The newest checkpoint that it cosigned of a log."""
        known = json.loads(self._seen.read_text()) if self._seen.exists() else {}
        return Checkpoint.parse(known[origin]) if origin in known else None

    async def _answer(self, request: Request) -> Response:
        try:
            body = await _read(request)
            async with self._turn:  # what it compares with must be what it keeps
                line = await asyncio.to_thread(self._cosign, body)
        except _RefusedError as refused:
            kind = "text/x.tlog.size" if refused.status == 409 else "text/plain"
            return Response(refused.text, refused.status, media_type=kind)
        return PlainTextResponse(f"{line}\n")

    def _cosign(self, body: bytes) -> str:
        try:
            asked = Submission.parse(body)
            origin = asked.note.split("\n", 1)[0]
            keys = [key for key in self.logs if key.name == origin]
            if not keys:
                raise _RefusedError(404)
            text = _signed_text(asked.note, keys)
            checkpoint = Checkpoint.parse(text)
        except (ValueError, NoteError) as error:
            raise _RefusedError(400, f"{error}\n") from error
        if asked.old > checkpoint.size:
            raise _RefusedError(400, "the old size is above the checkpoint's\n")
        self._check(asked, checkpoint)
        known = json.loads(self._seen.read_text()) if self._seen.exists() else {}
        write_private(self._seen, json.dumps(known | {origin: checkpoint.text()}, indent=2))
        return cosign(text, NAME, self._key, int(self._clock.now().timestamp()))

    def _check(self, asked: Submission, checkpoint: Checkpoint) -> None:
        seen = self.seen(checkpoint.origin) or Checkpoint(checkpoint.origin, 0, merkle.EMPTY_ROOT)
        if asked.old != seen.size or (asked.old == checkpoint.size and checkpoint.root != seen.root):
            raise _RefusedError(409, f"{seen.size}\n")
        try:
            merkle.verify_consistency(seen.size, checkpoint.size, seen.root, checkpoint.root, asked.proof)
        except merkle.ProofError as error:
            raise _RefusedError(422, f"{error}\n") from error


def _signed_text(note: str, keys: Sequence[VerifierKey]) -> str:
    try:
        return open_note(note, keys)[0]
    except NoteError as error:
        raise _RefusedError(403, f"{error}\n") from error


async def _read(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise _RefusedError(413)
    return body
