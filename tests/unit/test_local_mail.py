"""The mail sink: a message is on disk before it is accepted, and its file names nobody."""

from __future__ import annotations

import asyncio
import os
import smtplib
from email.message import EmailMessage
from pathlib import Path

from services.local.mail import MailSink


def _send(port: int, message: EmailMessage) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.send_message(message)


async def test_an_accepted_message_is_kept_whole_with_its_recipients(tmp_path: Path) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "notices@idv.local", "privacy@acme.example"
    message["Subject"] = "Änderung"
    message.set_content("A version of the notice was announced.\n")
    async with MailSink(tmp_path) as sink:
        await asyncio.to_thread(_send, sink.port, message)
        (received,) = sink.messages()
    assert received["Subject"] == "Änderung"
    assert received["X-Envelope-To"] == "privacy@acme.example"
    assert received.get_content().strip() == "A version of the notice was announced."


async def test_file_names_of_messages_name_nobody(tmp_path: Path) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "notices@idv.local", "privacy@acme.example"
    async with MailSink(tmp_path) as sink:
        await asyncio.to_thread(_send, sink.port, message)
    (path,) = os.scandir(tmp_path)
    assert "acme" not in path.name
    assert path.stat().st_mode & 0o077 == 0
