"""What messages may hold, and the names of resources."""

from __future__ import annotations

from typing import Any

import pytest
from idv.errors import IdvError, Reason

from services.runtime import resources
from services.runtime.validation import MessageValidator, refuse_unknown_fields, unknown_fields
from tests.echo_service import Echo

SESSION = "0197f0a0-0000-7000-8000-000000000001"
UNKNOWN = b"\xfa\x01\x0fimei-4711474711"  # field 31, 15 bytes of text


def _with_unknown(message: Any) -> Any:
    return Echo.FromString(message.SerializeToString() + UNKNOWN)


def test_a_known_message_holds_nothing_unknown() -> None:
    assert unknown_fields(Echo(text="a", child=Echo(text="b"), many=[Echo()])) == []


def test_an_unknown_field_is_found_at_any_depth_by_its_path() -> None:
    message = _with_unknown(
        Echo(child=_with_unknown(Echo()), many=[Echo(), Echo(child=_with_unknown(Echo()))])
    )
    assert unknown_fields(message) == ["#31", "child.#31", "many[1].child.#31"]


def test_refusing_unknown_fields_names_paths_and_no_values() -> None:
    refuse_unknown_fields(Echo(text="a"))
    with pytest.raises(IdvError) as caught:
        refuse_unknown_fields(_with_unknown(Echo()), field="device")
    assert caught.value.reason == Reason.ERROR_REASON_UNKNOWN_FIELD
    assert caught.value.field == "device.#31"
    assert "imei" not in repr(caught.value.to_status())


def test_each_broken_rule_is_a_violation_with_its_path() -> None:
    message = Echo(text="x" * 11, many=[Echo(), Echo(text="canary-4711-canary")])
    with pytest.raises(IdvError) as caught:
        MessageValidator().check(message)
    assert [violation.field for violation in caught.value.violations] == ["text", "many[1].text"]
    assert "canary" not in repr(caught.value.to_status())


def test_names_are_made_and_taken_apart() -> None:
    name = resources.record_name("acme", SESSION, SESSION)
    assert resources.parse_record(name, field="name") == ("acme", SESSION, SESSION)
    assert resources.owner_of(name, field="name") == ("acme", SESSION)
    assert resources.parse_customer("customers/acme", field="parent") == "acme"
    deletion = resources.deletion_name("acme", SESSION)
    assert resources.parse_deletion(deletion, field="name") == ("acme", SESSION)
    assert resources.owner_of(deletion, field="name") == ("acme", None)
    assert resources.parse("notices/{notice}", "notices/7", field="name") == ("7",)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "customers/",
        "customers/a",
        "customers/ACME",
        "customers/acme/",
        "customers/acme\n",
        "x/customers/acme",
    ],
)
def test_a_malformed_name_is_refused_naming_field_and_form(name: str) -> None:
    with pytest.raises(IdvError) as caught:
        resources.parse_customer(name, field="parent")
    assert caught.value.reason == Reason.ERROR_REASON_INVALID_ARGUMENT
    assert caught.value.field == "parent"
    assert "customers/{customer}" in caught.value.message


@pytest.mark.parametrize("session", [SESSION.replace("f", "F"), SESSION[:-1], SESSION + "/records/x", "-"])
def test_a_session_is_named_in_exactly_one_way(session: str) -> None:
    with pytest.raises(IdvError):
        resources.parse_session(resources.session_name("acme", session), field="s")
