"""A mail from its template: subject, text and HTML in the Customer's language, as the bytes that are sent.

A template is a folder of `templates/`, with `subject.txt`, `body.txt` and `body.html`, each in every language
that is shipped (`subject.txt.en`). They see nothing but the facts given here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from idv.notice.v1 import customers_pb2 as pb
from idv.retention.v1 import rights_pb2
from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.notice.accounts.customer import Account, envelope_address
from services.notice.languages import preferred
from services.notice.terms import Language

LANGUAGES: tuple[Language, ...] = ("en", "zh")
TEMPLATES = Path(__file__).with_name("templates")
FOLDERS: Mapping[pb.MessageKind.ValueType, str] = {
    pb.MESSAGE_KIND_END_USER_REQUEST: "end_user_request",
    pb.MESSAGE_KIND_END_USER_REQUEST_REMINDER: "end_user_request_reminder",
    pb.MESSAGE_KIND_DELETION_DONE: "deletion_done",
}
"""The folder of each kind."""

_REQUEST_KINDS: Mapping[Language, Mapping[int, str]] = {
    "en": {
        rights_pb2.REQUEST_KIND_KNOW: "to know what is held",
        rights_pb2.REQUEST_KIND_DELETE: "deletion",
        rights_pb2.REQUEST_KIND_CORRECT: "correction",
        rights_pb2.REQUEST_KIND_LIMIT: "restriction of processing",
        rights_pb2.REQUEST_KIND_OPT_OUT: "to opt out",
    },
    "zh": {
        rights_pb2.REQUEST_KIND_KNOW: "查询所保存的数据",
        rights_pb2.REQUEST_KIND_DELETE: "删除",
        rights_pb2.REQUEST_KIND_CORRECT: "更正",
        rights_pb2.REQUEST_KIND_LIMIT: "限制处理",
        rights_pb2.REQUEST_KIND_OPT_OUT: "退出收集",
    },
}


@dataclass(frozen=True, slots=True)
class Sender:
    """Who the mail is from."""

    address: str
    name: str

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Matter:
    """What a mail is about: nothing here comes from an end user."""

    kind: pb.MessageKind.ValueType
    case_number: str
    receive_time: datetime | None
    due_time: datetime | None
    request_kind: int = 0
    """`idv.retention.v1.RequestKind`, where an end user's request is relayed."""
    outcome: str = "done"
    """Of a deletion: `done`, `partial` or `failed`."""


class Composer:
    """Renders templates; made once."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=lambda name: name is not None and ".html." in name,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def compose(self, matter: Matter, account: Account, mail: str, now: datetime) -> bytes:
        """The mail to a Customer, its Message-ID fixed by `mail`, the id of its row.

        Lines end in CRLF and are ASCII: any mail server can take it.
        """
        language = preferred(account.language, LANGUAGES)
        message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
        message["From"] = Address(self.sender.name, addr_spec=self.sender.address)
        message["To"] = Address(account.display_name, addr_spec=envelope_address(account.email))
        message["Subject"] = self._render(matter, account, language, "subject.txt").strip()
        message["Date"] = format_datetime(now)
        message["Message-ID"] = f"<{mail}@{self.sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notice answers it
        encoding = "quoted-printable" if language == "en" else "base64"
        message.set_content(self._render(matter, account, language, "body.txt"), cte=encoding)
        body = self._render(matter, account, language, "body.html")
        message.add_alternative(body, subtype="html", cte=encoding)
        message["Content-Language"] = {"en": "en", "zh": "zh-Hans"}[language]
        return message.as_bytes()

    def _render(self, matter: Matter, account: Account, language: Language, part: str) -> str:
        zone = ZoneInfo(account.time_zone)
        template = self._environment.get_template(f"{FOLDERS[matter.kind]}/{part}.{language}")
        text = template.render(
            customer=account.display_name,
            case_number=matter.case_number,
            asked=_REQUEST_KINDS[language].get(matter.request_kind, ""),
            received=_day(matter.receive_time, zone),
            due=_day(matter.due_time, zone),
            zone=account.time_zone,
            outcome=matter.outcome,
        )
        return re.sub(r"\n{3,}", "\n\n", text)


def _day(instant: datetime | None, zone: ZoneInfo) -> str:
    """An instant to the minute where the Customer is; the form that every language reads (ISO 8601)."""
    return "" if instant is None else f"{instant.astimezone(zone):%Y-%m-%d %H:%M}"
