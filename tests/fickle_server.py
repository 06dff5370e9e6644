"""A mail server for tests that treats each mail as fate has it, and remembers what it took."""

from __future__ import annotations

import asyncio
import email
import email.policy
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.mail_parts import DROP, STALL, ToldServer

FATES = {
    "taken": ("CONTENT", "250 2.0.0 taken"),
    "unknown": ("RCPT", "550 5.1.1 unknown"),
    "grey": ("RCPT", "450 4.2.0 greylisted"),
    "full": ("CONTENT", "452 4.2.2 full"),
    "refused": ("CONTENT", "554 5.7.1 refused"),
    "dropped": ("CONTENT", DROP),
    "stalled": ("CONTENT", STALL),
}
"""By name: at which verb of a mail's transaction its fate strikes, and with which answer."""


@dataclass
class FickleServer(ToldServer):
    """A `ToldServer` whose answers change from mail to mail."""

    fates: Iterator[str] = field(default_factory=lambda: itertools.repeat("taken"))
    taken: dict[str, str] = field(default_factory=dict)
    """Recipient by Message-ID, of each mail that was answered with 250."""
    meanwhile: Callable[[str], Awaitable[None]] | None = None
    """Called once, with the recipient, between a content's arrival and its answer."""

    async def _answer(self, writer: asyncio.StreamWriter, verb: str, otherwise: str) -> bool:
        if verb == "RCPT":
            self.replies.clear()
            struck, answer = FATES[next(self.fates)]
            self.replies[struck] = answer
        if verb == "CONTENT":
            await self._arrived(self.contents[-1])
        return await super()._answer(writer, verb, otherwise)

    async def _arrived(self, content: bytes) -> None:
        message = email.message_from_bytes(content, policy=email.policy.default)
        recipient = message["To"].addresses[0].addr_spec
        answer = self.replies.get("CONTENT", "250")
        if answer.startswith("250"):
            self.taken[str(message["Message-ID"])] = recipient
        if self.meanwhile is not None:
            happen, self.meanwhile = self.meanwhile, None
            await happen(recipient)
            self.replies["CONTENT"] = answer


@asynccontextmanager
async def fickle() -> AsyncIterator[FickleServer]:
    """A running server that takes every mail until it is told otherwise."""
    server, sessions = FickleServer(), set[asyncio.Task[None]]()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(server.serve(reader, writer))
        sessions.add(task)
        task.add_done_callback(sessions.discard)

    listening = await asyncio.start_server(begin, "127.0.0.1", 0)
    server.address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for task in list(sessions):
            task.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
