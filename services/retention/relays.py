"""End users' own requests: never carried out; recorded without any content, and relayed to the Customer."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import uuid_utils
from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2
from idv.retention.v1 import rights_pb2 as pb

from services.retention import relay_store as store
from services.retention.relay_store import Relay
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.resources import customer_name

_SIGNS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: none is taken for another when read aloud
_LENGTH: Final = 10


@dataclass(frozen=True, slots=True)
class RelayTerms:
    """When an answer is due, how long before that the Customer is reminded, and how long all is kept."""

    due: timedelta
    remind: timedelta
    evidence: timedelta = timedelta(days=1096)
    """How long a relay is kept after the Customer's answer, or after that was due."""

    def remind_at(self, relay: Relay) -> datetime:
        """When the Customer is to be reminded."""
        return relay.due_time - self.remind

    def remove_at(self, relay: Relay) -> datetime:
        """When nothing of it is kept any more."""
        return (relay.resolve_time or relay.due_time) + self.evidence


class Relays:
    """Records, lists and resolves relayed requests."""

    def __init__(self, database: Database, clock: Clock, terms: RelayTerms) -> None:
        self._database = database
        self._clock = clock
        self._terms = terms

    async def enter(self, customer: str, request_id: UUID, kind: pb.RequestKind.ValueType) -> IdvError:
        """Records a request; returns the refusal to raise, END_USER_REQUEST_REFUSED with the case.

        A repeat gets the same case. Raises REQUEST_ID_REUSED where the id stands for another kind.
        """
        new = self._new(customer, request_id, kind)
        async with self._database.transaction([customer]) as connection:
            if await store.add(connection, new):
                return refusal(new)
            first = found(await store.by_request(connection, customer, request_id))
        if first.kind != kind:
            raise IdvError(
                Reason.ERROR_REASON_REQUEST_ID_REUSED,
                "the request id was used for a request of another kind",
                field="request_id",
                remedy="use a new request id",
            )
        return refusal(first)

    async def page(self, customer: str, limit: int, before: UUID | None) -> list[Relay]:
        """The Customer's relays, the newest first, from the one after `before` on."""
        async with self._database.transaction([customer]) as connection:
            return await store.page(connection, customer, limit, before)

    async def resolve(self, customer: str, name: UUID) -> Relay:
        """Notes that the Customer answered; the first time counts. Raises NOT_FOUND."""
        async with self._database.transaction([customer]) as connection:
            relay = found(await store.relay(connection, customer, name, lock=True))
            if relay.resolve_time is None:
                now = self._clock.now()
                await store.change(connection, customer, name, resolve_time=now)
                await store.postpone(connection, name, now, now + self._terms.evidence, 0)
            return found(await store.relay(connection, customer, name))

    def _new(self, customer: str, request_id: UUID, kind: pb.RequestKind.ValueType) -> Relay:
        now = self._clock.now()
        return Relay(
            tenant=customer,
            relay=UUID(str(uuid_utils.uuid7(nanoseconds=int(now.timestamp() * 1e6) * 1000))),
            request_id=request_id,
            kind=kind,
            case_number="R-" + "".join(secrets.choice(_SIGNS) for _ in range(_LENGTH)),
            receive_time=now,
            due_time=now + self._terms.due,
            mail_state=customers_pb2.DELIVERY_STATE_UNSPECIFIED,
        )


def refusal(relay: Relay) -> IdvError:
    """What a caller is told about an end user's request."""
    customer = customer_name(relay.tenant)
    return IdvError(
        Reason.ERROR_REASON_END_USER_REQUEST_REFUSED,
        f"a processor may not act on an end user's request: it is relayed to {customer}"
        f" as case {relay.case_number}",
        remedy=f"tell the person to ask {customer} and to quote case {relay.case_number}",
        metadata={
            "ask": customer,
            "case_number": relay.case_number,
            "receive_time": _text(relay.receive_time),
            "due_time": _text(relay.due_time),
        },
    )


def state(relay: Relay) -> pb.RelayState.ValueType:
    """How far a relay has come."""
    if relay.resolve_time is not None:
        return pb.RELAY_STATE_RESOLVED
    return {
        customers_pb2.DELIVERY_STATE_UNSPECIFIED: pb.RELAY_STATE_ENTERED,
        customers_pb2.DELIVERY_STATE_QUEUED: pb.RELAY_STATE_QUEUED,
        customers_pb2.DELIVERY_STATE_ACCEPTED: pb.RELAY_STATE_MAILED,
    }.get(relay.mail_state, pb.RELAY_STATE_UNDELIVERABLE)


def found(relay: Relay | None) -> Relay:
    """The relay; raises NOT_FOUND where there is none."""
    if relay is None:
        raise IdvError(
            Reason.ERROR_REASON_NOT_FOUND,
            "there is no such relayed request",
            field="name",
            remedy="list them",
        )
    return relay


def _text(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"
