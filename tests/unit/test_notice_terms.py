"""Terms are read strictly: every fault at once, each with its line, reason and remedy."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notice.faults import Fault, InvalidNoticeError
from services.notice.terms import parse_terms
from tests.alphabet import CHARACTERS
from tests.notice_parts import ITEMS, SHIPPED, TERMS


def faults(text: str) -> tuple[Fault, ...]:
    with pytest.raises(InvalidNoticeError) as caught:
        parse_terms(text, ITEMS)
    return caught.value.faults


def test_terms_say_what_the_yaml_says() -> None:
    terms = parse_terms(TERMS, ITEMS)
    assert terms.retention_days == 30
    assert terms.purposes == ("verification",)
    assert [(item.code, item.sources, item.optional) for item in terms.items] == [
        ("log.events", ("sdk",), False),
        ("device.network.dns_ip", ("sdk",), True),
    ]


def test_every_fault_is_named_at_once_with_its_line() -> None:
    found = faults(
        """\
retention_days: "30"
purposes: [verification, marketing]
rights: [know]
regions: [Mars]
price: 3
items:
  - code: device.network.dns_ip
    sources: []
  - code: device.imei
    sources: [sdk]
  - code: device.hardware.idvf
    sources: [broker]
    optional: maybe
"""
    )
    places = {(fault.line, fault.field) for fault in found}
    assert places == {
        (1, "retention_days"),
        (2, "purposes[1]"),
        (4, "regions[0]"),
        (5, "price"),
        (8, "items[0].sources"),
        (9, "items[1].code"),
        (11, "items[2].code"),
        (12, "items[2].sources[0]"),
        (13, "items[2].optional"),
    }
    assert all(fault.reason and fault.remedy for fault in found)


def test_a_misspelt_code_is_answered_with_the_code_that_was_meant() -> None:
    found = faults(TERMS.replace("log.events", "log.event"))
    assert [fault.remedy for fault in found] == ["Did you mean 'log.events'"]


def test_a_category_is_no_item_and_the_remedy_lists_what_it_holds() -> None:
    (fault,) = faults(TERMS.replace("log.events", "device.application"))
    assert "is a category" in fault.reason
    assert "device.application.install_time" in fault.remedy


@pytest.mark.parametrize("code", ["device.hardware.imei", "device.network.mac", "device.location", "idfa"])
def test_an_identifier_that_is_never_accepted_cannot_be_listed(code: str) -> None:
    (fault,) = faults(TERMS.replace("log.events", code))
    assert "no" in fault.reason
    assert fault.line == 5


def test_what_is_listed_twice_is_refused() -> None:
    twice = TERMS.replace("[verification]", "[verification, verification]").replace(
        "device.network.dns_ip", "log.events"
    )
    assert [(fault.line, fault.field) for fault in faults(twice)] == [
        (2, "purposes[1]"),
        (7, "items[1].code"),
    ]


@pytest.mark.parametrize("missing", ["retention_days", "purposes", "rights", "items"])
def test_a_missing_field_is_named(missing: str) -> None:
    kept = "\n".join(line for line in TERMS.splitlines() if not line.startswith(missing)) + "\n"
    text = TERMS[: TERMS.index("items:")] if missing == "items" else kept
    assert (missing, "Is missing") in {(fault.field, fault.reason) for fault in faults(text)}


@pytest.mark.parametrize("days", ["0", "-1", "366", "1e3", "30.5", "true", "null", ".inf", "9" * 5000])
def test_a_retention_that_is_no_sensible_number_of_days_is_refused(days: str) -> None:
    assert faults(TERMS.replace("retention_days: 30", f"retention_days: {days}"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Is no mapping"),
        ("- a list\n", "Is no mapping"),
        ("retention_days: [\n", "Not readable as YAML"),
        ("a: 1\n---\nb: 2\n", "Not readable as YAML"),
        ("a: &x [1]\nb: *x\n", "Anchors"),
        ("a: !!python/object/apply:os.system [id]\n", "missing"),
        ("a: 1\na: 2\n", "twice"),
        ("1: 2\n", "must be plain text"),
        ("a: " + "[" * 5000, "Nested deeper"),
        ("{a: " * 5000, "Nested deeper"),
        ("a: \0", "Not readable"),
        ("a: 2026-11-24\n", "Only text"),
    ],
)
def test_yaml_that_hides_or_expands_something_is_refused(text: str, reason: str) -> None:
    assert any(reason in fault.reason for fault in faults(text))


def test_names_cannot_carry_markup_or_turn_the_direction_of_text() -> None:
    for name in ("<b>x</b>", "a\u202eb", "", "x" * 81):
        named = TERMS.replace("    sources: [sdk]\n", f'    name: {{en: "{name}"}}\n    sources: [sdk]\n', 1)
        assert [fault.field for fault in faults(named)] == ["items[0].name.en"]


@given(st.text(CHARACTERS, max_size=200))
def test_no_text_breaks_the_reader_in_another_way(text: str) -> None:
    with suppress(InvalidNoticeError):
        parse_terms(text, ITEMS)


def test_the_first_version_lists_the_catalogue_of_its_time_as_the_contract_has_it() -> None:
    terms = parse_terms((SHIPPED / "terms.yaml").read_text(encoding="utf-8"), ITEMS)
    assert {item.code for item in terms.items} == set(ITEMS) - {"device.application.sdk_version"}
    for item in terms.items:
        assert item.optional is ITEMS[item.code].optional
        both = item.code in {"face_image", "identity_document", "log.events"}
        assert item.sources == (("customer", "sdk") if both else ("sdk",))
        assert set(item.name) == {"en", "zh"}
    assert terms.retention_days == 30
    assert set(terms.purposes) == {"verification", "troubleshooting", "rights_support"}
    optional = {item.code for item in terms.items if item.optional}
    assert optional == {
        "device.hardware.idfv",
        "device.hardware.cookie_uid",
        "device.network.dns_ip",
        "device.installed_applications",
    }
