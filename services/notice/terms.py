"""The terms of a notice version: what may be collected, from where, why, and for how long."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from services.notice.catalogue import CatalogueItem
from services.notice.faults import Fault, InvalidNoticeError, refuse
from services.notice.yaml_document import Document, Path, read

Language = Literal["en", "zh"]
SourceName = Literal["customer", "sdk"]
PurposeName = Literal["verification", "troubleshooting", "rights_support"]
RightName = Literal["know", "delete", "correct", "limit", "opt_out"]

LANGUAGES: tuple[Language, ...] = get_args(Language)
TERMS_FILE = "terms.yaml"

_Name = Annotated[
    str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f\x7f<>\u202a-\u202e\u2066-\u2069]+$")
]
_Region = Annotated[str, Field(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")]


class TermsItem(BaseModel):
    """A data item that the version discloses."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    code: Annotated[str, Field(min_length=1, max_length=64)]
    """Code in the item catalogue, such as `device.network.dns_ip`."""
    name: Mapping[Language, _Name] = Field(default_factory=dict)
    """What the item is called on the page, by language; the code stands in where a language has none."""
    sources: Annotated[tuple[SourceName, ...], Field(min_length=1)]
    """Whose credential may bring it in."""
    optional: bool = False
    """Off until the Customer asks for it, by its code, in a session."""


class Terms(BaseModel):
    """The machine-readable half of a version. What is not listed here may not be collected."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    retention_days: Annotated[int, Field(ge=1, le=365)]
    """Days, of 24 hours, from the receipt of a record's first byte to its end."""
    purposes: Annotated[tuple[PurposeName, ...], Field(min_length=1)]
    """Why data may be read."""
    rights: Annotated[tuple[RightName, ...], Field(min_length=1)]
    """Rights of end users that the service supports through its Customer."""
    recipients: tuple[_Name, ...] = ()
    """Who else receives data."""
    regions: tuple[_Region, ...] = ()
    """Regions that data may go to, as ISO 3166 codes."""
    items: Annotated[tuple[TermsItem, ...], Field(min_length=1, max_length=500)]
    """The data items, in the order of the page."""

    def plain(self) -> dict[str, Any]:
        """The terms as JSON values, without defaults: a field that is added later changes none of it."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def item(self, code: str) -> TermsItem | None:
        """The item with this code, if the version discloses it."""
        return next((item for item in self.items if item.code == code), None)


def parse_terms(text: str, items: Mapping[str, CatalogueItem], file: str = TERMS_FILE) -> Terms:
    """Terms from YAML, checked against the item catalogue.

    Raises InvalidNoticeError with every fault at once, each with its line.
    """
    document = read(file, text)
    try:
        # Through JSON: strict there still lets a list be a tuple, and nothing else be anything else.
        terms = Terms.model_validate_json(json.dumps(document.value))
    except ValidationError as error:
        faults = [_fault(document, detail) for detail in _causes(error.errors(include_url=False))]
        raise InvalidNoticeError([*faults, *_unknown_codes(document, _codes(document), items)]) from None
    refuse([*_unknown_codes(document, _codes(document), items), *_repeats(document, terms)])
    return terms


def _codes(document: Document) -> Iterator[tuple[Path, str]]:
    """Path and text of every item's code that the document has, valid terms or not."""
    listed = document.value.get("items") if isinstance(document.value, dict) else None
    for index, item in enumerate(listed if isinstance(listed, list) else []):
        code = item.get("code") if isinstance(item, dict) else None
        if isinstance(code, str):
            yield ("items", index, "code"), code


def _unknown_codes(
    document: Document, codes: Iterator[tuple[Path, str]], items: Mapping[str, CatalogueItem]
) -> Iterator[Fault]:
    categories = {item.category for item in items.values()}
    for path, code in codes:
        if code in items:
            continue
        if code in categories:
            inside = ", ".join(item.code for item in items.values() if item.category == code)
            yield document.fault(path, f"{code!r} is a category, not an item", f"List its items: {inside}")
            continue
        close = get_close_matches(code[:64], items, n=1)
        remedy = f"Did you mean {close[0]!r}" if close else "Use a code of idv/types/v1/data.proto"
        yield document.fault(path, f"The item catalogue has no {code[:64]!r}", remedy)


def _repeats(document: Document, terms: Terms) -> Iterator[Fault]:
    """A value listed twice: harmless to a machine, a slip of the pen to a reader."""
    for field in ("purposes", "rights", "recipients", "regions"):
        values: tuple[str, ...] = getattr(terms, field)
        yield from _repeated(document, ((field, index) for index in range(len(values))), values)
    paths: Iterator[Path] = (("items", index, "code") for index in range(len(terms.items)))
    yield from _repeated(document, paths, tuple(item.code for item in terms.items))
    for at, item in enumerate(terms.items):
        sources: Iterator[Path] = (("items", at, "sources", index) for index in range(len(item.sources)))
        yield from _repeated(document, sources, item.sources)


def _repeated(document: Document, paths: Iterator[Path], values: tuple[str, ...]) -> Iterator[Fault]:
    seen: set[str] = set()
    for path, value in zip(paths, values, strict=True):
        if value in seen:
            yield document.fault(path, f"{value!r} is listed twice", "Keep one of them")
        seen.add(value)


def _causes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without the lists that are too short only because what they hold was refused."""
    paths = [detail["loc"] for detail in details]

    def caused(detail: ErrorDetails) -> bool:
        loc = detail["loc"]
        return detail["type"] == "too_short" and any(
            path != loc and path[: len(loc)] == loc for path in paths
        )

    return [detail for detail in details if not caused(detail)]


_REASONS = {
    "missing": "Is missing",
    "extra_forbidden": "Is no field of the terms",
    "model_type": "Is no mapping of keys and values",
    "model_attributes_type": "Is no mapping of keys and values",
    "json_invalid": "Holds characters that are none",
}
_REMEDIES = {
    "missing": "Add it",
    "extra_forbidden": "Remove it, or correct its spelling",
    "int_type": "Write a whole number without quotes",
    "int_from_float": "Write a whole number",
    "bool_type": "Write true or false",
    "string_type": "Write text; put quotes around numbers",
    "tuple_type": "Write a list",
    "too_short": "List at least one",
    "too_long": "List fewer",
    "model_type": "Write a mapping of keys and values",
    "model_attributes_type": "Write a mapping of keys and values",
    "dict_type": "Write a mapping of languages and names",
}


def _fault(document: Document, detail: ErrorDetails) -> Fault:
    """A pydantic error in the words of an officer's document."""
    path: Path = tuple(part for part in detail["loc"] if part != "[key]")
    kind = detail["type"]
    reason = _REASONS.get(kind, detail["msg"])
    if kind == "literal_error":
        return document.fault(path, "Not one of the values allowed", f"Use {detail['ctx']['expected']}")
    return document.fault(
        path, reason, _REMEDIES.get(kind, "Correct it: docs/notices.md says what each field takes")
    )
