"""Whether data may enter: asked for, listed in the terms in force, from a source that they allow. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message
from idv.errors import IdvError, Reason
from idv.types.v1 import processing_pb2

from services.ingest.contract import Catalogue, Item, Plan
from services.ingest.notice_terms import Terms

_REMEMBERED = 4096
_SOURCES = {
    processing_pb2.SOURCE_CUSTOMER: "the Customer",
    processing_pb2.SOURCE_SDK: "the SDK",
}


class Admission:
    """Decides by the contract's items; the terms and the session's items are passed in.

    What was decided is remembered: sessions ask for the same few sets of items again and again.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._decided: dict[tuple[Plan, frozenset[str], Terms, int], frozenset[int]] = {}

    def session_items(
        self, asked: Sequence[str], attested: Sequence[str], now: Terms, shown: Terms
    ) -> list[str]:
        """What a session may hold, sorted and without repeats: the categories and codes asked for.

        `now` are the terms in force, `shown` those that the end user was shown. Raises ITEM_NOT_IN_NOTICE for
        a name that the contract or either of the terms does not list, ITEM_NOT_ATTESTED for one that the
        attestation does not authorise; `field` names the place in the request.
        """
        self._check_known(attested)
        authorised = {code for name in attested for code in self._catalogue.codes(name)}
        for at, name in enumerate(asked):
            field = f"items[{at}]"
            codes = self._listed(name, now, field)
            if not codes <= authorised:
                raise IdvError(
                    Reason.ERROR_REASON_ITEM_NOT_ATTESTED,
                    f"the attestation does not authorise {name}",
                    field=field,
                    remedy="ask only for what the end user authorised; attest optional items by name",
                )
            if not codes <= shown.items.keys():
                raise IdvError(
                    Reason.ERROR_REASON_ITEM_NOT_ATTESTED,
                    f"notice version {shown.version}, which the end user was shown, does not list {name}",
                    field=field,
                    remedy=f"show notice version {now.version} and attest again",
                )
        return sorted(set(asked))

    def admit(
        self,
        message: Message,
        field: str,
        granted: frozenset[str],
        terms: Terms,
        source: processing_pb2.Source.ValueType,
    ) -> str:
        """The category of a message that may be stored; `field` is its path in the request.

        Raises ITEM_NOT_IN_NOTICE, SOURCE_NOT_ALLOWED or ITEM_NOT_REQUESTED, naming the field at fault.
        """
        plan = self._catalogue.plan(message)
        allowed = self._allowed(plan, granted, terms, source)
        for descriptor, _ in message.ListFields():
            if descriptor.number not in allowed:
                item = plan.items[descriptor.number]
                refusal = _refusal(item, granted, terms, source, f"{field}.{descriptor.name}")
                if refusal is not None:
                    raise refusal
        return plan.category

    def _allowed(
        self,
        plan: Plan,
        granted: frozenset[str],
        terms: Terms,
        source: processing_pb2.Source.ValueType,
    ) -> frozenset[int]:
        """The numbers of the fields that may be present; worked out once for each set of items and terms."""
        key = (plan, granted, terms, source)
        known = self._decided.get(key)
        if known is None:
            known = frozenset(
                number
                for number, item in plan.items.items()
                if _refusal(item, granted, terms, source, "") is None
            )
            if len(self._decided) >= _REMEMBERED:
                self._decided.clear()
            self._decided[key] = known
        return known

    def admit_media(
        self,
        message: Message,
        field: str,
        granted: frozenset[str],
        terms: Terms,
        source: processing_pb2.Source.ValueType,
    ) -> str:
        """As `admit`, for a description whose bytes travel beside it: its item counts as present."""
        plan = self._catalogue.plan(message)
        item = next(iter(plan.items.values()))
        refusal = _refusal(item, granted, terms, source, field)
        if refusal is not None:
            raise refusal
        return plan.category

    def _check_known(self, attested: Sequence[str]) -> None:
        for at, name in enumerate(attested):
            if not self._catalogue.codes(name):
                raise IdvError(
                    Reason.ERROR_REASON_ITEM_NOT_IN_NOTICE,
                    f"no notice lists {name}",
                    field=f"attestation.items[{at}]",
                    remedy="name categories or items of the notice",
                )

    def _listed(self, name: str, terms: Terms, field: str) -> frozenset[str]:
        """The codes that a name asks for, of those that the terms list."""
        codes = self._catalogue.codes(name)
        listed = codes & terms.items.keys()
        if name not in self._catalogue.items:  # a category stands for what need not be asked for by name
            listed = frozenset(code for code in listed if not terms.items[code].optional)
        if not listed:
            raise _not_in_notice(name, terms, field)
        return listed


def _refusal(
    item: Item,
    granted: frozenset[str],
    terms: Terms,
    source: processing_pb2.Source.ValueType,
    field: str,
) -> IdvError | None:
    """Why an item may not enter; None when it may."""
    listed = terms.items.get(item.code)
    if listed is None:
        return _not_in_notice(item.code, terms, field)
    if source not in listed.sources:
        return _wrong_source(item, source, field)
    by_name = item.optional or listed.optional
    if item.code not in granted and (by_name or item.category not in granted):
        return _not_requested(item, field, by_name=by_name)
    return None


def _not_in_notice(name: str, terms: Terms, field: str) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_ITEM_NOT_IN_NOTICE,
        f"notice version {terms.version}, in force, does not list {name}",
        field=field,
        remedy="leave it out",
        metadata={"item": name, "notice_version": str(terms.version)},
    )


def _wrong_source(item: Item, source: processing_pb2.Source.ValueType, field: str) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_SOURCE_NOT_ALLOWED,
        f"the notice does not allow {item.code} from {_SOURCES[source]}",
        field=field,
        remedy="send it from a source that the notice lists for it",
        metadata={"item": item.code},
    )


def _not_requested(item: Item, field: str, *, by_name: bool) -> IdvError:
    how = f"open a session whose items name {item.code}"
    return IdvError(
        Reason.ERROR_REASON_ITEM_NOT_REQUESTED,
        f"the session does not ask for {item.code}",
        field=field,
        remedy=f"{how}: optional items must be asked for by name" if by_name else how,
        metadata={"item": item.code},
    )
