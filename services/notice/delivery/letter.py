"""The mail that tells a Customer of a version: rendered once for each language and time zone, then filled in.

Rendering a mail takes longer than sending one. What differs from Customer to Customer (name, link, address)
is marked in the rendered text, and the text is encoded in pieces: quoted-printable (RFC 2045, 6.7) may be
broken between any two of them.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, formataddr
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import escape

from services.notice.accounts.customer import Account
from services.notice.languages import preferred
from services.notice.mail.composing import LANGUAGES, Sender
from services.notice.terms import Language

_TEMPLATES = Path(__file__).with_name("templates")
_NAME, _LINK = "\ue000", "\ue001"
"""Private-use signs: no display name or template holds them."""
_SOFT_BREAK = b"=\r\n"
_MAX_RENDERED = 512
_LOCALE = {"en": "en", "zh": "zh-Hans"}


@dataclass(frozen=True, slots=True)
class Telling:
    """What is told of a version, the same for every Customer."""

    version: int
    effective_time: datetime
    link_end: datetime
    page: str
    """URL of the version's public page."""
    clauses: Mapping[Language, tuple[str, ...]]
    """What changes, in words."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Encoded text between two marks, with the mark that follows it."""

    encoded: bytes
    mark: str


@dataclass(frozen=True, slots=True)
class _Rendered:
    subject: str
    text: tuple[_Piece, ...]
    html: tuple[_Piece, ...]
    language: Language


class Letters:
    """Renders and fills in; keeps what it rendered, up to a bounded number."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self._from = _address(sender.name, sender.address)
        self._rendered: dict[tuple[int, Language, str], _Rendered] = {}
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=lambda name: name is not None and ".html." in name,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def compose(
        self, telling: Telling, account: Account, recipient: str, message_id: str, link: str, now: datetime
    ) -> bytes:
        """The mail as it is sent: ASCII, lines ending in CRLF.

        Raises ValueError for a name or address with a line break, which registration refuses.
        """
        rendered = self._of(telling, account)
        boundary = f"=_{message_id.strip('<>').partition('@')[0]}"
        head = (
            f"From: {self._from}\r\n"
            f"To: {_address(account.display_name, recipient)}\r\n"
            f"Subject: {rendered.subject}\r\n"
            f"Date: {format_datetime(now)}\r\n"
            f"Message-ID: {message_id}\r\n"
            "Auto-Submitted: auto-generated\r\n"  # RFC 3834: no vacation notice answers it
            f"Content-Language: {_LOCALE[rendered.language]}\r\n"
            "MIME-Version: 1.0\r\n"
            f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'
        )
        name, html_name = account.display_name, str(escape(account.display_name))
        text = _filled(rendered.text, {_NAME: name, _LINK: link})
        html = _filled(rendered.html, {_NAME: html_name, _LINK: str(escape(link))})
        return (
            head.encode("ascii")
            + _part(boundary, "plain", text)
            + _part(boundary, "html", html)
            + f"--{boundary}--\r\n".encode()
        )

    def _of(self, telling: Telling, account: Account) -> _Rendered:
        language = preferred(account.language, LANGUAGES)
        key = (telling.version, language, account.time_zone)
        if key not in self._rendered:
            if len(self._rendered) >= _MAX_RENDERED:
                self._rendered.clear()
            self._rendered[key] = self._render(telling, language, account.time_zone)
        return self._rendered[key]

    def _render(self, telling: Telling, language: Language, time_zone: str) -> _Rendered:
        zone = ZoneInfo(time_zone)
        effective = telling.effective_time.astimezone(zone)

        def part(name: str) -> str:
            return self._environment.get_template(f"{name}.{language}").render(
                customer=_NAME,
                link=_LINK,
                version=telling.version,
                effective=f"{effective:%Y-%m-%d %H:%M}",
                effective_day=f"{effective:%Y-%m-%d}",
                link_end=f"{telling.link_end.astimezone(zone):%Y-%m-%d}",
                zone=time_zone,
                page=telling.page,
                clauses=telling.clauses[language],
            )

        return _Rendered(
            subject=_header(part("subject.txt").strip(), len("Subject: ")),
            text=_pieces(part("body.txt")),
            html=_pieces(part("body.html")),
            language=language,
        )


def _pieces(rendered: str) -> tuple[_Piece, ...]:
    pieces, start = [], 0
    for at, sign in enumerate(rendered):
        if sign in (_NAME, _LINK):
            pieces.append(_Piece(_encoded(rendered[start:at]), sign))
            start = at + 1
    return (*pieces, _Piece(_encoded(rendered[start:]), ""))


def _encoded(text: str) -> bytes:
    """Quoted-printable, each line break as CRLF; no line is longer than 76 signs."""
    return binascii.b2a_qp(text.encode()).replace(b"\n", b"\r\n")


def _filled(pieces: tuple[_Piece, ...], values: Mapping[str, str]) -> bytes:
    filled = []
    for piece in pieces:
        filled.append(piece.encoded)
        if piece.mark:
            filled += (_SOFT_BREAK, _encoded(values[piece.mark]), _SOFT_BREAK)
    return b"".join(filled)


def _part(boundary: str, kind: str, body: bytes) -> bytes:
    head = (
        f"--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    return head.encode() + body + b"\r\n"


def _address(name: str, address: str) -> str:
    if any(sign in text for sign in "\r\n" for text in (name, address)):
        raise ValueError("a name or address holds a line break")
    if name.isascii():
        return formataddr((name, address)) if len(name) < 60 else f"{_header(name, 4)}\r\n <{address}>"
    return f"{_header(name, len('To: '))}\r\n <{address}>"


def _header(text: str, before: int) -> str:
    """Text of a header, in encoded words where it is not ASCII, folded."""
    charset = "us-ascii" if text.isascii() else "utf-8"
    return Header(text, charset, maxlinelen=75, header_name="x" * (before - 2)).encode(linesep="\r\n")
