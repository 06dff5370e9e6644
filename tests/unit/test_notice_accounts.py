"""What an account may say: addresses, languages, time zones, items and webhooks, and nothing that injects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.notice.accounts.customer import Account, envelope_address, faults, normal_email

OPTIONAL = {"device.network.dns_ip", "device.hardware.idfv"}
GOOD = Account("acme", "Acme Bank", "privacy@acme.example", "en", "EU", "Europe/Berlin")


def fields(**values: Any) -> list[str]:
    return [fault.field for fault in faults(replace(GOOD, **values), OPTIONAL)]


def test_a_good_account_has_no_fault() -> None:
    assert fields() == []
    assert fields(language="zh-Hans", time_zone="Asia/Shanghai", region="", display_name="安徽银行") == []
    assert (
        fields(optional_items=("device.network.dns_ip",), webhook_uri="https://acme.example:8443/done") == []
    )


@pytest.mark.parametrize(
    "address",
    [
        "",
        "acme.example",
        "a@b@acme.example",
        "a@acme.example\r\nBcc: b@else.example",
        "a\nb@acme.example",
        "a@acme.example, b@else.example",
        "Acme <a@acme.example>",
        '"a b"@acme.example',
        "a@localhost",
        "a@[127.0.0.1]",
        "a..b@acme.example",
        "\u00fc@acme.example",
        "a@-acme.example",
        "a@" + "x" * 64 + ".example",
        "a" * 65 + "@acme.example",
        "a@acme.example\x00",
    ],
)
def test_what_is_no_single_deliverable_address_is_refused(address: str) -> None:
    assert fields(email=address) == ["email"]


def test_a_fault_never_quotes_the_value() -> None:
    account = replace(GOOD, email="canary@", display_name="canary\n", time_zone="canary", language="canary!")
    assert all("canary" not in fault.reason for fault in faults(account, OPTIONAL))


def test_an_internationalised_domain_is_kept_in_unicode_and_sent_in_ascii() -> None:
    assert normal_email("info@B\u00dcCHER.example") == "info@b\u00fccher.example"
    assert normal_email("info@xn--bcher-kva.example") == "info@b\u00fccher.example"
    assert envelope_address("info@b\u00fccher.example") == "info@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("display_name", ""),
        ("display_name", "Acme\r\nBcc: b@else.example"),
        ("display_name", "Acme\u202egnp.exe"),
        ("region", "EU\n"),
        ("language", "english language"),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../../etc/passwd"),
        ("optional_items", ("device.hardware.imei",)),
        ("optional_items", ("device.hardware",)),
        ("optional_items", ("device.network.dns_ip",) * 2),
        ("webhook_uri", "http://acme.example/"),
        ("webhook_uri", "https://user:secret@acme.example/"),
        ("webhook_uri", "https://"),
        ("webhook_uri", "https://acme.example/\r\nHost: else"),
        ("webhook_uri", "https://acme.example:99999/"),
        ("webhook_uri", "https://[::1"),
    ],
)
def test_each_fault_is_named_by_its_field(field: str, value: Any) -> None:
    assert fields(**{field: value}) == [field]


def test_every_fault_is_told_at_once() -> None:
    account = Account("A", "", "x", "?", "\n", "x", ("y",), "z")
    named = {fault.field for fault in faults(account, OPTIONAL)}
    assert named == {
        *("name", "display_name", "email", "language"),
        *("region", "time_zone", "optional_items", "webhook_uri"),
    }
