"""Materiality as laws over any two terms: what widens is material, what narrows is not, nothing is missed."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.notice.materiality import compare, is_material
from services.notice.terms import PurposeName, RightName, SourceName, Terms
from tests.notice_parts import ITEMS

CODES = sorted(ITEMS)[:6]
SOURCES = ("customer", "sdk")
PURPOSES = ("verification", "troubleshooting", "rights_support")
RIGHTS = ("know", "delete", "correct", "limit", "opt_out")


def some(values: tuple[str, ...], least: int = 0) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=least, unique=True)


def item(code: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"code": st.just(code), "sources": some(SOURCES, 1), "optional": st.booleans()}
    )


TERMS = st.fixed_dictionaries(
    {
        "retention_days": st.integers(1, 365),
        "purposes": some(PURPOSES, 1),
        "rights": some(RIGHTS, 1),
        "recipients": some(("A laboratory", "A court")),
        "regions": some(("SG", "CN-BJ", "EU")),
        "items": st.lists(st.sampled_from(CODES), min_size=1, unique=True).flatmap(
            lambda codes: st.tuples(*(item(code) for code in codes)).map(list)
        ),
    }
).map(lambda value: Terms.model_validate_json(json.dumps(value)))


def powers(terms: Terms) -> set[tuple[str, ...]]:
    """All that the terms permit the service, each as one fact: an independent statement of the rule."""
    permitted: set[tuple[str, ...]] = {("day", str(day)) for day in range(terms.retention_days)}
    for name in ("purposes", "recipients", "regions"):
        permitted |= {(name, value) for value in getattr(terms, name)}
    permitted |= {("denied", right) for right in set(RIGHTS) - set(terms.rights)}
    for each in terms.items:
        permitted |= {("item", each.code), *(("source", each.code, source) for source in each.sources)}
        if not each.optional:
            permitted.add(("unasked", each.code))
    return permitted


@given(TERMS, TERMS)
def test_a_change_is_material_exactly_when_the_service_may_do_more(before: Terms, after: Terms) -> None:
    assert is_material(compare(before, after)) == (not powers(after) <= powers(before))


@given(TERMS, TERMS)
def test_two_terms_that_permit_the_same_have_no_change_and_others_have(before: Terms, after: Terms) -> None:
    assert (compare(before, after) == ()) == (powers(before) == powers(after))


@given(TERMS, TERMS)
def test_each_change_names_its_clause_once_with_a_reason(before: Terms, after: Terms) -> None:
    changes = compare(before, after)
    assert len({change.clause for change in changes}) == len(changes)
    assert all(change.reason for change in changes)


@given(TERMS, TERMS, TERMS)
def test_no_detour_hides_a_material_change(first: Terms, second: Terms, third: Terms) -> None:
    """What is material from first to third is material in one of the steps there."""
    if is_material(compare(first, third)):
        assert is_material(compare(first, second)) or is_material(compare(second, third))


def test_every_name_of_a_list_is_covered_by_the_laws() -> None:
    assert set(PURPOSES) == set(PurposeName.__args__)  # type: ignore[attr-defined]
    assert set(RIGHTS) == set(RightName.__args__)  # type: ignore[attr-defined]
    assert set(SOURCES) == set(SourceName.__args__)  # type: ignore[attr-defined]
