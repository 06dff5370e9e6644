"""One SMTP session (RFC 5321), kept open from mail to mail; with TLS (RFC 3207, 8314) unless told not to."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiosmtplib

from services.notice.mail.schedule import Attempt, Outcome, of_reply

_MAX_REPLY = 500
_QUIT_SECONDS = 2.0
_SURELY_OPEN = 1.0
"""Seconds after a mail for which its session is not asked whether it still stands before the next one."""


@dataclass(frozen=True, slots=True)
class Relay:
    """The mail server that mails are handed to."""

    host: str
    port: int
    tls: Literal["starttls", "implicit", "none"]
    """`starttls` and `implicit` never go on without TLS."""
    authority: Path | None
    """PEM of the authorities that may sign its certificate; None: those that the system trusts."""
    user: str | None
    password: str | None
    sender: str
    """Address of the envelope."""
    timeout_seconds: float
    """For a whole attempt, the session's beginning included."""


class SmtpSession:
    """Sends one mail at a time."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._client: aiosmtplib.SMTP | None = None
        self._used = 0.0

    async def send(self, recipient: str, content: bytes, sender: str | None = None) -> Attempt:
        """Sends a mail and says how that ended; whatever the server does, it raises nothing and ends in time.

        `sender` stands in the envelope in the place of the relay's.

        A session that broke while it lay idle is opened anew, once. After anything but acceptance it is
        closed: the next mail begins with a fresh one.
        """
        try:
            async with asyncio.timeout(self._relay.timeout_seconds):
                attempt = await self._attempt(recipient, content, sender or self._relay.sender)
        except TimeoutError:
            attempt = _put_off("no answer in time")
        if attempt.outcome is not Outcome.ACCEPTED:
            await self.close()
        return attempt

    async def close(self) -> None:
        """Ends the session, politely where the server answers."""
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            async with asyncio.timeout(_QUIT_SECONDS):
                await client.quit()
        client.close()

    async def _attempt(self, recipient: str, content: bytes, sender: str) -> Attempt:
        try:
            client = await self._open()
        except aiosmtplib.SMTPResponseException as error:
            # Also 5yz: it speaks of us and not of the mail, which the next session may well deliver.
            return _put_off(_reply(error.code, error.message))
        except (aiosmtplib.SMTPException, ssl.SSLError, OSError, ValueError) as error:
            return _put_off(f"no session: {type(error).__name__}")
        try:
            _, told = await client.sendmail(sender, [recipient], content)
        except aiosmtplib.SMTPRecipientsRefused as error:
            first = error.recipients[0]
            return of_reply(first.code, _reply(first.code, first.message))
        except aiosmtplib.SMTPSenderRefused as error:
            return _put_off(_reply(error.code, error.message))  # it too speaks of us
        except aiosmtplib.SMTPResponseException as error:
            return of_reply(error.code, _reply(error.code, error.message))
        except (aiosmtplib.SMTPException, ssl.SSLError, OSError, ValueError) as error:
            return _put_off(f"the session broke: {type(error).__name__}")
        self._used = time.monotonic()
        return Attempt(Outcome.ACCEPTED, _reply(250, told))

    async def _open(self) -> aiosmtplib.SMTP:
        client = self._client
        if client is not None and client.is_connected and self._used + _SURELY_OPEN > time.monotonic():
            return client
        if self._client is not None:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                await self._client.rset()  # does the server still listen? Before anything of the mail is sent
                return self._client
            self._client.close()
        relay = self._relay
        client = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            username=relay.user,
            password=relay.password,
            local_hostname=relay.sender.rpartition("@")[2],
            timeout=relay.timeout_seconds,
            use_tls=relay.tls == "implicit",
            start_tls=relay.tls == "starttls",
            tls_context=None if relay.tls == "none" else _context(relay.authority),
        )
        self._client = client
        try:
            await client.connect()
        except BaseException:
            self._client = None
            client.close()
            raise
        return client


def _context(authority: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _put_off(reply: str) -> Attempt:
    return Attempt(Outcome.PUT_OFF, reply)


def _reply(code: int, text: str) -> str:
    """A reply as evidence: one line of bounded length, whatever the server sent."""
    line = " ".join(f"{code} {text}".split())
    return "".join(sign for sign in line if sign.isprintable())[:_MAX_REPLY]
