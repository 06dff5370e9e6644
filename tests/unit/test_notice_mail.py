"""Mails as they are composed, and when they are tried again: no server, no database."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from idv.notice.v1 import customers_pb2 as pb
from pydantic import ValidationError

from services.notice.accounts.customer import Account
from services.notice.mail.composing import FOLDERS, LANGUAGES, TEMPLATES, Composer, Matter
from services.notice.mail.schedule import Outcome, of_reply
from services.notice.settings import MailSettings, NoticeSettings
from tests.mail_parts import ACME, MATTER, SCHEDULE, SENDER
from tests.set_clock import START


def composed(account: Account = ACME, matter: Matter = MATTER) -> EmailMessage:
    content = Composer(SENDER).compose(matter, account, "0198", START)
    assert content.isascii()
    assert all(len(line) <= 998 for line in content.split(b"\r\n"))
    assert b"\n" not in content.replace(b"\r\n", b"")
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


@pytest.mark.parametrize("kind", FOLDERS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_is_written_in_every_language_as_text_and_html(
    kind: pb.MessageKind.ValueType, language: str
) -> None:
    message = composed(replace(ACME, language=language), replace(MATTER, kind=kind))
    assert MATTER.case_number in message["Subject"]
    for part in ("plain", "html"):
        assert MATTER.case_number in body(message, part)
        assert "Acme Bank" in body(message, part)
        assert "{" not in body(message, part)


def test_every_folder_of_templates_belongs_to_a_kind() -> None:
    assert {path.name for path in TEMPLATES.iterdir()} == set(FOLDERS.values())
    names = {
        f"{part}.{language}" for part in ("subject.txt", "body.txt", "body.html") for language in LANGUAGES
    }
    for folder in TEMPLATES.iterdir():
        assert {path.name for path in folder.iterdir()} == names


def test_another_language_gets_english_and_a_chinese_region_chinese() -> None:
    assert composed(replace(ACME, language="fr"))["Content-Language"] == "en"
    chinese = composed(replace(ACME, language="zh-Hant-TW"))
    assert chinese["Content-Language"] == "zh-Hans"
    assert "\u6848\u4ef6" in chinese["Subject"]


def test_the_message_id_is_fixed_by_the_row_and_the_headers_say_that_a_program_writes() -> None:
    message = composed()
    assert message["Message-ID"] == "<0198@idv.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["From"].addresses[0].addr_spec == SENDER.address


def test_times_are_told_where_the_customer_is() -> None:
    assert "2026-11-24 11:00 (Europe/Berlin)" in body(composed(), "plain")
    assert "2026-11-24 18:00" in body(composed(replace(ACME, time_zone="Asia/Shanghai")), "plain")


def test_a_name_cannot_write_markup_or_headers() -> None:
    message = composed(replace(ACME, display_name='<b>"Acme", & {{ 7*7 }}</b>'))
    assert "&lt;b&gt;" in body(message, "html")
    assert "<b>" not in body(message, "html")
    assert "{{ 7*7 }}" in body(message, "plain")
    assert len(message["To"].addresses) == 1
    with pytest.raises(ValueError, match=r"(?i)newline|carriage|line feed|linefeed|invalid"):
        composed(replace(ACME, display_name="Acme\r\nBcc: b@else.example"))


def test_a_name_in_any_script_goes_into_the_header() -> None:
    assert (
        composed(replace(ACME, display_name="\u5b89\u5fbd\u94f6\u884c" * 16))["To"].addresses[0].display_name
    )


def test_an_internationalised_domain_goes_into_the_header_in_ascii() -> None:
    message = composed(replace(ACME, email="info@b\u00fccher.example"))
    assert message["To"].addresses[0].addr_spec == "info@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (250, Outcome.ACCEPTED),
        (251, Outcome.ACCEPTED),
        (354, Outcome.PUT_OFF),
        (421, Outcome.PUT_OFF),
        (451, Outcome.PUT_OFF),
        (550, Outcome.REFUSED),
        (-1, Outcome.PUT_OFF),
        (999, Outcome.PUT_OFF),
    ],
)
def test_a_reply_counts_by_its_class(code: int, outcome: Outcome) -> None:
    assert of_reply(code, "said").outcome is outcome


def test_the_schedule_backs_off_ends_on_the_end_and_then_gives_up() -> None:
    end = START + SCHEDULE.give_up
    assert SCHEDULE.next_time(START, 1, START) == START + timedelta(minutes=1)
    assert SCHEDULE.next_time(START, 3, START) == START + timedelta(minutes=15)
    assert SCHEDULE.next_time(START, 300, START) == START + timedelta(minutes=15)
    assert SCHEDULE.next_time(START, 9, end - timedelta(seconds=1)) == end
    assert SCHEDULE.next_time(START, 9, end) is None


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"sender": "nobody"}, "no e-mail address"),
        ({"sender_name": "a\nBcc: b"}, "pattern"),
        ({"takeover_seconds": 60, "timeout_seconds": 60}, "twice"),
        ({"user": "idv"}, "belong together"),
        ({"user": "idv", "password": "secret", "tls": "none"}, "without TLS"),
        ({"server": "mail.example"}, "host:port"),
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, object], told: str) -> None:
    good = {"server": "mail.example:587", "sender": "privacy@idv.example"}
    assert MailSettings.model_validate(good).tls == "starttls"
    with pytest.raises(ValidationError, match=told) as caught:
        MailSettings.model_validate(good | values)
    assert "secret" not in str(caught.value)


def test_only_a_local_environment_sends_in_the_clear(tmp_path: Path) -> None:
    mail = {"server": "127.0.0.1:25", "sender": "privacy@idv.example", "tls": "none"}
    with pytest.raises(ValidationError, match="without TLS"):
        NoticeSettings.model_validate({"environment": "production", "mail": mail})
