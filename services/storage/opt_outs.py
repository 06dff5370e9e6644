"""Opting out: nothing more is collected of a subject, wholly or of some items, until it is lifted.

What was collected before stays to the end of its term, or until it is deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from functools import cache
from uuid import UUID

from idv.errors import IdvError, Reason
from idv.storage.v1 import storage_pb2
from idv.types.v1 import data_pb2, item_pb2
from sqlalchemy.ext.asyncio import AsyncConnection

from services.runtime.clock import Clock
from services.runtime.instants import timestamp
from services.runtime.resources import parse_customer
from services.storage.changes import Answer, Changes, Request
from services.storage.closed import check_open
from services.storage.customer_keys import CustomerKeys
from services.storage.grants import categories
from services.storage.store import rights as store
from services.storage.store.rights import OptOut

EVERYTHING = "*"
"""In a session's marks: it must take nothing at all."""
_OPEN = timedelta(days=1)
"""Sessions that still take data are of today or yesterday."""


class OptOuts:
    """Records and lifts opt-outs, and refuses what they forbid."""

    def __init__(self, keys: CustomerKeys, changes: Changes, clock: Clock) -> None:
        self._keys, self._changes, self._clock = keys, changes, clock

    async def set(self, request: storage_pb2.SetOptOutRequest) -> storage_pb2.SetOptOutResponse:
        """Records an opt-out or lifts it, for open sessions too; a repeat returns the first answer.

        Raises INVALID_ARGUMENT for an item that is no category and no optional item, REQUEST_ID_REUSED,
        CUSTOMER_OFFBOARDED.
        """
        customer = parse_customer(request.parent, field="parent")
        items = sorted(set(request.items))
        _check_known(items)
        digest = await self._keys.digest(customer, request.subject, make=True) or b""
        days = await self._changes.recent(_OPEN)
        digests = await self._changes.digests(days, customer, request.subject)

        async def apply(connection: AsyncConnection) -> Answer:
            await check_open(connection, customer)
            before = await store.find_opt_out(connection, customer, digest)
            since = before.opt_out_time if before and before.items == items else self._clock.now()
            if request.opted_out:
                await store.set_opt_out(connection, customer, digest, OptOut(items, since))
            else:
                await store.lift_opt_out(connection, customer, digest)
            marks = (items or [EVERYTHING]) if request.opted_out else None
            for day, of_day in digests.items():
                await store.mark_open(connection, day, customer, of_day, marks)
            return Answer(0, since if request.opted_out else None)

        own = storage_pb2.SetOptOutRequest(subject=request.subject, items=items, opted_out=request.opted_out)
        content = b"opt-out" + own.SerializeToString(deterministic=True)
        answer = await self._changes.once(Request(customer, UUID(request.request_id), content), days, apply)
        made = storage_pb2.SetOptOutResponse()
        if answer.time is not None:
            made.opt_out_time.CopyFrom(timestamp(answer.time))
        return made

    async def digest(self, customer: str, subject: str) -> bytes | None:
        """What `check` needs, asked before the transaction that opens a session."""
        return await self._keys.digest(customer, subject, make=False)

    async def check(
        self, connection: AsyncConnection, customer: str, digest: bytes | None, items: Iterable[str]
    ) -> None:
        """Raises OPTED_OUT when a session of the subject asks for what it opted out of.

        The transaction holds the day's lock. Raises UNAVAILABLE when the Customer's first opt-out was
        recorded since `digest` was asked.
        """
        if digest is None:
            if await store.find_key(connection, customer) is not None:
                raise IdvError(
                    Reason.ERROR_REASON_UNAVAILABLE, "an opt-out is just being recorded", retry_after=0.1
                )
            return
        found = await store.find_opt_out(connection, customer, digest)
        if found is not None:
            forbidden = [item for item in items if _forbids(found.items or [EVERYTHING], item)]
            if forbidden:
                raise refusal(forbidden)


def forbids_record(marks: Collection[str], category: str, asked: Collection[str]) -> bool:
    """Whether a session's marks forbid a record of the category, which may hold the optional items asked for
    by name.
    """
    return any(_forbids(marks, item) for item in (category, *asked))


def refusal(items: Iterable[str]) -> IdvError:
    """The answer to what would be collected all the same."""
    return IdvError(
        Reason.ERROR_REASON_OPTED_OUT,
        "the data subject opted out: nothing more of this is collected",
        field="items",
        remedy="leave the items out, or lift the opt-out with SetOptOut once the data subject says so",
        metadata={"items": ",".join(sorted(items))},
    )


def _forbids(marks: Collection[str], item: str) -> bool:
    """Whether the marks forbid a category, or an optional item by name or by its category."""
    return any(mark in (EVERYTHING, item) or item.startswith(f"{mark}.") for mark in marks)


def _check_known(items: Iterable[str]) -> None:
    unknown = [item for item in items if item not in categories() and item not in optional_items()]
    if unknown:
        raise IdvError(
            Reason.ERROR_REASON_INVALID_ARGUMENT,
            "an opt-out names categories and optional items",
            field="items",
            remedy=f"name some of {', '.join(sorted(categories() | optional_items()))}",
        )


@cache
def optional_items() -> frozenset[str]:
    """The codes of the contract's optional items."""
    found = set[str]()
    for message in data_pb2.DESCRIPTOR.message_types_by_name.values():
        for field in message.fields:
            item = field.GetOptions().Extensions[item_pb2.item]
            if item.optional:
                found.add(item.code)
    return frozenset(found)
