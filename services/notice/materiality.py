"""What changes from one version's terms to the next, and what of it is material whatever its author says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.notice.terms import Terms, TermsItem


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the terms, explained."""

    clause: str
    """What changed: `items.device.hardware.idfv`, `retention_days`, `rights.delete`."""
    reason: str
    """Why it is material, or why it is not."""
    material: bool


# Per list of the terms: what a value added to it, and one taken away from it, means to those whose data it
# is.
_LISTS = (
    ("purposes", ("Data may be read for a purpose never told", True), ("A purpose is given up", False)),
    ("recipients", ("Data goes to somebody not named before", True), ("A recipient is given up", False)),
    ("regions", ("Data may go to a region not named before", True), ("A region is given up", False)),
    ("rights", ("One more right is supported", False), ("A right that was supported no longer is", True)),
)


def compare(before: Terms | None, after: Terms) -> tuple[Change, ...]:
    """Every change from one version's terms to the next.

    Material is what people must know before: an item, source, purpose, recipient or region added, an optional
    item made required, retention lengthened, a right narrowed. What only takes away is not: nobody has to
    prepare for it. A first version (`before` is None) changes nothing for anybody.
    """
    if before is None:
        return ()
    return (*_retention(before, after), *_items(before, after), *_lists(before, after))


def is_material(changes: Iterable[Change]) -> bool:
    """Whether any of the changes is material."""
    return any(change.material for change in changes)


def _retention(before: Terms, after: Terms) -> Iterator[Change]:
    days = f"{before.retention_days} days become {after.retention_days}"
    if after.retention_days > before.retention_days:
        yield Change("retention_days", f"Data is kept longer than was told before: {days}", True)
    elif after.retention_days < before.retention_days:
        yield Change("retention_days", f"Data is kept for a shorter time: {days}", False)


def _items(before: Terms, after: Terms) -> Iterator[Change]:
    for item in after.items:
        known = before.item(item.code)
        if known is None:
            yield Change(f"items.{item.code}", "Data is collected that was not before", True)
        else:
            yield from _item(known, item)
    for item in before.items:
        if after.item(item.code) is None:
            yield Change(f"items.{item.code}", "The item is no longer collected", False)


def _item(before: TermsItem, after: TermsItem) -> Iterator[Change]:
    clause = f"items.{after.code}"
    for source in _missing(before.sources, after.sources):
        yield Change(f"{clause}.sources.{source}", "The item may come from a source not told before", True)
    for source in _missing(after.sources, before.sources):
        yield Change(f"{clause}.sources.{source}", "The item no longer comes from this source", False)
    if before.optional and not after.optional:
        reason = "The item was collected only when a Customer asked for it by name"
        yield Change(f"{clause}.optional", reason, True)
    elif after.optional and not before.optional:
        yield Change(f"{clause}.optional", "The item is off until a Customer asks for it by name", False)


def _lists(before: Terms, after: Terms) -> Iterator[Change]:
    for field, added, taken in _LISTS:
        old, new = getattr(before, field), getattr(after, field)
        yield from (Change(f"{field}.{value}", *added) for value in _missing(old, new))
        yield from (Change(f"{field}.{value}", *taken) for value in _missing(new, old))


def _missing(known: Iterable[str], values: Iterable[str]) -> list[str]:
    """The values that are not among the known ones."""
    return [value for value in values if value not in set(known)]
