"""The job that mails relayed requests to their Customers, follows each mail to its end, and reminds in time.

Each step repeats safely: a mail is asked for under an id made from the relay's, so notice sends it once,
however often a crash makes this job ask.
"""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

import grpc
from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2 as pb
from idv.notice.v1.customers_pb2_grpc import CustomerServiceStub

from services.retention import relay_store as store
from services.retention.relay_store import Relay, RelayWork
from services.retention.relays import RelayTerms
from services.runtime.both_clocks import BothClocks
from services.runtime.clock_guard import agreed_time
from services.runtime.database import Database
from services.runtime.instants import timestamp
from services.runtime.logs import Log
from services.runtime.resources import customer_name

_TAKEN: Final = timedelta(seconds=25)
"""How long a relay stays with a process that died; each step is shorter, and repeats safely."""
_CALL_SECONDS: Final = 10.0
"""A call that hangs, as while notice restarts, holds up the other relays no longer."""
_LOOK_AGAIN: Final = timedelta(minutes=10)
"""Between two looks at what this process's clock alone says is to be removed."""
_FOLLOW: Final = timedelta(seconds=30)
"""Between two looks at a mail that has no final state."""
_FIRST_RETRY: Final = timedelta(seconds=2)
_LONGEST_RETRY: Final = timedelta(minutes=15)
_WAITING: Final = frozenset({pb.DELIVERY_STATE_UNSPECIFIED, pb.DELIVERY_STATE_QUEUED})


class Relaying:
    """Does what is due about relays. Safe in any number of replicas at once."""

    def __init__(
        self, database: Database, notice: grpc.aio.Channel, clocks: BothClocks, log: Log, terms: RelayTerms
    ) -> None:
        self._database = database
        self._customers = CustomerServiceStub(notice)
        self._clocks, self._clock = clocks, clocks.process
        self._log = log
        self._terms = terms

    async def run(self) -> None:
        """Does what is due now. What cannot be done yet is put off, each time longer, up to 15 minutes.

        Raises what is no refusal or absence; the relay is then put off too.
        """
        while work := await self._take():
            try:
                await self._look(work)
            except IdvError as error:
                await self._put_off(work, error.reason_name)
            except BaseException:  # also where this process ends: the relay waits for no takeover
                with contextlib.suppress(IdvError):
                    await self._put_off(work, "INTERNAL")
                raise

    async def _take(self) -> RelayWork | None:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            return await store.take(connection, now, now + _TAKEN)

    async def _look(self, work: RelayWork) -> None:
        async with self._database.transaction([work.tenant]) as connection:
            relay = await store.relay(connection, work.tenant, work.relay)
            now = self._clock.now()
            ended = relay is None or self._terms.remove_at(relay) <= now
            agreed = await agreed_time(self._clocks, connection) if relay and ended else None
            if relay is None or (agreed and self._terms.remove_at(relay) <= agreed):
                await store.remove(connection, work.tenant, work.relay)
                return
            if ended or relay.resolve_time is not None:
                until = max(self._terms.remove_at(relay), now + _LOOK_AGAIN)
                await store.postpone(connection, work.relay, now, until, 0)
                return
        mail_state, remind_time = relay.mail_state, relay.remind_time
        if mail_state in _WAITING:
            mail_state = await self._mail(relay, relay.relay, pb.MESSAGE_KIND_END_USER_REQUEST)
        now = self._clock.now()
        if remind_time is None and self._terms.remind_at(relay) <= now < relay.due_time:
            reminder = uuid5(relay.relay, "reminder")
            await self._mail(relay, reminder, pb.MESSAGE_KIND_END_USER_REQUEST_REMINDER)
            remind_time = now
        await self._store(relay, mail_state, remind_time)

    async def _mail(
        self, relay: Relay, request_id: UUID, kind: pb.MessageKind.ValueType
    ) -> pb.DeliveryState.ValueType:
        """Asks for a mail, or how it stands. Only what stands here leaves the service."""
        request = pb.SendMessageRequest(
            customer=customer_name(relay.tenant),
            request_id=str(request_id),
            kind=kind,
            case_number=relay.case_number,
            receive_time=timestamp(relay.receive_time),
            due_time=timestamp(relay.due_time),
            request_kind=relay.kind,
        )
        try:
            return (await self._customers.SendMessage(request, timeout=_CALL_SECONDS)).delivery.state
        except IdvError as error:
            if error.reason != Reason.ERROR_REASON_CUSTOMER_OFFBOARDED:
                raise
            return pb.DELIVERY_STATE_FAILED  # the Customer is gone: nobody is left to answer

    async def _store(
        self, relay: Relay, mail_state: pb.DeliveryState.ValueType, remind_time: datetime | None
    ) -> None:
        now, name = self._clock.now(), relay.relay
        async with self._database.transaction([relay.tenant]) as connection:
            await store.change(connection, relay.tenant, name, mail_state=mail_state, remind_time=remind_time)
            if mail_state in _WAITING:
                await store.postpone(connection, name, now, now + _FOLLOW, 0)
            elif now >= relay.due_time:
                await store.postpone(connection, name, now, self._terms.remove_at(relay), 0)
            else:
                reminded = remind_time is not None
                until = relay.due_time if reminded else max(self._terms.remind_at(relay), now)
                await store.postpone(connection, name, now, until, 0)
        if mail_state not in (*_WAITING, pb.DELIVERY_STATE_ACCEPTED, relay.mail_state):
            self._log.warning("a relayed request cannot be mailed to its Customer")
        if now >= relay.due_time:
            self._log.warning("a relayed request is overdue")

    async def _put_off(self, work: RelayWork, reason: str) -> None:
        attempts = work.attempts + 1
        delay = min(_FIRST_RETRY * 2 ** min(work.attempts, 10), _LONGEST_RETRY)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.postpone(connection, work.relay, now, now + delay, attempts)
        self._log.warning("a relayed request is put off", reason=reason, attempt=attempts)
