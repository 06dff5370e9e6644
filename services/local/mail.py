"""A mail server that delivers into a folder: what the suite sends can be read there and goes nowhere else."""

from __future__ import annotations

import asyncio
import email
import email.policy
import secrets
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from services.local.files import write_private
from services.local.ports import LOOPBACK, free_port
from services.local.server import Server

_MAX_MESSAGE_BYTES = 10 << 20


class MailSink(Server):
    """An SMTP server on loopback. A message is on disk before the client is told that it was accepted.

    Each is one `.eml` file as it was sent, after one line with the recipients of its envelope. File names are
    random: they name nobody.

    Args:
        directory: where the messages go; must exist.
        port: default a free one.
    """

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.busy: set[str] = set()
        """Recipients whose mail is put off for now, with a 450, as a full mailbox's is."""
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """`127.0.0.1:port`."""
        return f"{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, LOOPBACK, self.port)

    async def stop(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.close()
            self._server = None

    def messages(self) -> list[EmailMessage]:
        """Everything received so far, oldest first; `message["X-Envelope-To"]` names the recipients."""
        paths = sorted(self.directory.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
        return [_parsed(path) for path in paths]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Called by the SMTP protocol for each recipient; the answer is what the client sees."""
        if address in self.busy:
            return "450 4.2.1 the mailbox is busy, try again later"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 recipient taken"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Called by the SMTP protocol for each message; the answer is what the client sees."""
        recipients = ", ".join(envelope.rcpt_tos).encode()
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        path = self.directory / f"{secrets.token_hex(8)}.eml"
        await asyncio.to_thread(write_private, path, b"X-Envelope-To: " + recipients + b"\r\n" + content)
        return "250 2.0.0 stored"

    def _protocol(self) -> Any:
        return SMTP(
            self,
            hostname="localhost",
            ident="idv local mail",
            enable_SMTPUTF8=True,
            data_size_limit=_MAX_MESSAGE_BYTES,
            loop=asyncio.get_running_loop(),
        )


def _parsed(path: Path) -> EmailMessage:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    if not isinstance(message, EmailMessage):
        raise TypeError(f"{path} holds no message")
    return message
