"""What changes between two versions is judged on the terms alone, and explained."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.notice.materiality import compare, is_material
from services.notice.terms import Terms, parse_terms
from tests.notice_parts import ITEMS, TERMS

BEFORE = parse_terms(TERMS, ITEMS)
LOG = {"code": "log.events", "sources": ["sdk"]}
DNS = {"code": "device.network.dns_ip", "sources": ["sdk"], "optional": True}


def changed(**fields: Any) -> Terms:
    return Terms.model_validate_json(json.dumps(BEFORE.model_dump(mode="json") | fields))


@pytest.mark.parametrize(
    ("after", "clause"),
    [
        (changed(items=[LOG, DNS, {"code": "face_image", "sources": ["sdk"]}]), "items.face_image"),
        (changed(items=[LOG | {"sources": ["sdk", "customer"]}, DNS]), "items.log.events.sources.customer"),
        (changed(items=[LOG, DNS | {"optional": False}]), "items.device.network.dns_ip.optional"),
        (changed(purposes=["verification", "troubleshooting"]), "purposes.troubleshooting"),
        (changed(recipients=["A laboratory"]), "recipients.A laboratory"),
        (changed(regions=["SG"]), "regions.SG"),
        (changed(retention_days=31), "retention_days"),
        (changed(rights=["know"]), "rights.delete"),
    ],
)
def test_what_people_must_know_before_is_material(after: Terms, clause: str) -> None:
    (change,) = compare(BEFORE, after)
    assert (change.clause, change.material) == (clause, True)
    assert change.reason


@pytest.mark.parametrize(
    ("after", "clause"),
    [
        (changed(items=[DNS]), "items.log.events"),
        (changed(items=[LOG | {"optional": True}, DNS]), "items.log.events.optional"),
        (changed(retention_days=29), "retention_days"),
        (changed(rights=["know", "delete", "limit"]), "rights.limit"),
    ],
)
def test_what_only_takes_away_is_shown_and_not_material(after: Terms, clause: str) -> None:
    (change,) = compare(BEFORE, after)
    assert (change.clause, change.material) == (clause, False)


def test_moving_a_source_from_one_to_another_is_material_for_the_one_it_adds() -> None:
    changes = compare(BEFORE, changed(items=[LOG | {"sources": ["customer"]}, DNS]))
    assert [(change.clause, change.material) for change in changes] == [
        ("items.log.events.sources.customer", True),
        ("items.log.events.sources.sdk", False),
    ]


def test_one_item_taken_and_one_added_is_material() -> None:
    assert is_material(compare(BEFORE, changed(items=[{"code": "face_image", "sources": ["sdk"]}, DNS])))


def test_another_order_or_name_changes_nothing() -> None:
    named = DNS | {"name": {"en": "Name server"}}
    assert compare(BEFORE, changed(items=[named, LOG], rights=["delete", "know"])) == ()


def test_a_first_version_changes_nothing_for_anybody() -> None:
    assert compare(None, BEFORE) == ()
