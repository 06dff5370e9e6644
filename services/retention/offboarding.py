"""The end of a Customer: suspended, closed in storage, deleted, told, contacts removed, and all that logged.

Each step is an idempotent call or a transaction, under ids that are made from the Customer's: whoever carries
an off-boarding on after a crash asks for the same things, and ends with one leaf and one receipt.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import grpc
from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2
from idv.notice.v1.customers_pb2_grpc import CustomerServiceStub
from idv.retention.v1 import deletions_pb2
from idv.retention.v1 import offboarding_pb2 as pb
from idv.storage.v1.closing_pb2 import CloseCustomerRequest
from idv.storage.v1.closing_pb2_grpc import ClosingServiceStub
from idv.types.v1 import receipt_pb2

from services.retention import offboarding_store as store
from services.retention.deletions import Deletions
from services.retention.entries import entry
from services.retention.log import TransparencyLog
from services.retention.offboarding_store import Offboarding, OffboardingWork
from services.retention.store import Deletion
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.instants import instant
from services.runtime.logs import Log
from services.runtime.resources import customer_name, deletion_name

EVERYTHING: Final = {"everything": "true"}
_IDS: Final = UUID("8b0d7a52-3c51-5d0e-9f5c-6a1f0e2b7c94")
"""The names of an off-boarding's calls and of its deletion are made in this space."""
_TAKEN: Final = timedelta(minutes=2)
_SOON: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(minutes=1)


class Offboardings:
    """Records off-boardings and carries them out. Safe in any number of replicas at once."""

    def __init__(
        self,
        database: Database,
        log: TransparencyLog,
        deletions: Deletions,
        storage: grpc.aio.Channel,
        notice: grpc.aio.Channel,
        clock: Clock,
        logger: Log,
    ) -> None:
        self._database, self._log, self._deletions = database, log, deletions
        self._storage, self._customers = ClosingServiceStub(storage), CustomerServiceStub(notice)
        self._clock, self._logger = clock, logger

    async def begin(self, customer: str, request_id: UUID) -> Offboarding:
        """Suspends the Customer and records that it leaves; then goes on as far as it gets at once.

        A repeat goes on, or answers how it ended. Raises NOT_FOUND for a Customer that is not registered:
        then nothing began.
        """
        async with self._database.transaction([customer]) as connection:
            known = await store.find(connection, customer)
        if known is None:
            await self._set_state(customer, customers_pb2.CUSTOMER_STATE_SUSPENDED)
            now = self._clock.now()
            new = Offboarding(customer, request_id, pb.OFFBOARDING_STATE_CLOSING, now)
            async with self._database.transaction([customer]) as connection:
                await store.add(connection, new, now + _TAKEN)
        try:
            await self.carry_on(customer)
        except IdvError as error:
            await self._put_off(OffboardingWork(customer, 0), error.reason_name)
        return await self.get(customer)

    async def get(self, customer: str) -> Offboarding:
        """An off-boarding as it stands. Raises NOT_FOUND."""
        async with self._database.transaction([customer]) as connection:
            found = await store.find(connection, customer)
        if found is None:
            raise IdvError(
                Reason.ERROR_REASON_NOT_FOUND,
                f"{customer_name(customer)} is not being off-boarded",
                field="customer",
                remedy="ask for it with OffboardCustomer",
            )
        return found

    async def run(self) -> None:
        """Does what is due now. What cannot be done yet is put off, each time for longer, up to a minute."""
        while work := await self._take():
            try:
                await self.carry_on(work.tenant)
            except IdvError as error:
                await self._put_off(work, error.reason_name)

    async def carry_on(self, customer: str) -> None:
        """Goes through what is left, step by step; what others must do first is looked at again soon."""
        steps = {
            pb.OFFBOARDING_STATE_CLOSING: self._close,
            pb.OFFBOARDING_STATE_DELETING: self._delete,
            pb.OFFBOARDING_STATE_TELLING: self._told,
            pb.OFFBOARDING_STATE_REMOVING: self._remove,
        }
        found = await self.get(customer)
        while found.state != pb.OFFBOARDING_STATE_DONE:
            if not await steps[found.state](found):
                await self._look_again(customer, _SOON)
                return
            found = await self.get(customer)

    async def _close(self, found: Offboarding) -> bool:
        name = customer_name(found.tenant)
        asked = CloseCustomerRequest(name=name, request_id=str(_id(found.tenant, "close")))
        closed = await self._storage.CloseCustomer(asked)
        since = instant(closed.close_time, field="close_time")
        return await self._advance(found, pb.OFFBOARDING_STATE_DELETING, close_time=since)

    async def _delete(self, found: Offboarding) -> bool:
        """What fails for good finds nothing of the Customer: storage knows no reason but that."""
        request_id = _id(found.tenant, "delete")
        deletion = await self._deletions.create(found.tenant, request_id, EVERYTHING)
        if deletion.state != deletions_pb2.DELETION_STATE_DONE:
            return False
        return await self._advance(found, pb.OFFBOARDING_STATE_TELLING, deletion=deletion.deletion)

    async def _told(self, found: Offboarding) -> bool:
        """Whether notice has taken the report of the deletion's end, with the address it goes to."""
        deletion = await self._deletion(found)
        if deletion.mail_state is None or deletion.webhook_state is None:
            return False
        return await self._advance(found, pb.OFFBOARDING_STATE_REMOVING)

    async def _remove(self, found: Offboarding) -> bool:
        await self._set_state(found.tenant, customers_pb2.CUSTOMER_STATE_OFFBOARDED)
        await self._complete(found.tenant)
        return True

    async def _complete(self, customer: str) -> None:
        """Leaf, receipt and final state in one transaction, unless another process was first."""
        deletion = await self._deletion(await self.get(customer))
        async with self._database.transaction([customer]) as connection:
            found = await store.find(connection, customer, lock=True)
            if found is None or found.state == pb.OFFBOARDING_STATE_DONE:
                return
            now = self._clock.now()
            facts = {
                "customer": customer_name(customer),
                "deletion": deletion_name(customer, str(deletion.deletion)),
                "deletion_leaf": deletion.leaf_index,
                "record_count": deletion.record_count,
                "session_count": deletion.session_count,
                "receive_time": found.receive_time,
                "close_time": found.close_time,
                "complete_time": now,
                "final_time": deletion.final_time,
            }
            kind = receipt_pb2.ENTRY_KIND_CUSTOMER_OFFBOARDING
            logged = entry(kind, f"offboarding/{customer}", facts, public=False)
            leaf_index, receipt = await self._log.append_with_receipt(connection, logged)
            ended = {"complete_time": now, "final_time": deletion.final_time, "leaf_index": leaf_index}
            state = pb.OFFBOARDING_STATE_DONE
            await store.change(connection, customer, state=state, receipt=receipt, **ended)
            await store.drop_work(connection, customer)

    async def _advance(
        self, before: Offboarding, state: pb.OffboardingState.ValueType, **values: Any
    ) -> bool:
        """Goes to the next state, unless another process went there first."""
        async with self._database.transaction([before.tenant]) as connection:
            found = await store.find(connection, before.tenant, lock=True)
            if found is not None and found.state == before.state:
                await store.change(connection, before.tenant, state=state, **values)
        return True

    async def _deletion(self, found: Offboarding) -> Deletion:
        if found.deletion is None:
            raise RuntimeError("an off-boarding goes on without its deletion")
        return await self._deletions.get(found.tenant, found.deletion)

    async def _set_state(self, customer: str, state: customers_pb2.CustomerState.ValueType) -> None:
        request_id = str(_id(customer, customers_pb2.CustomerState.Name(state)))
        name = customer_name(customer)
        asked = customers_pb2.SetCustomerStateRequest(name=name, state=state, request_id=request_id)
        await self._customers.SetCustomerState(asked)

    async def _take(self) -> OffboardingWork | None:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            return await store.take(connection, now, now + _TAKEN)

    async def _look_again(self, customer: str, delay: timedelta) -> None:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.postpone(connection, customer, now, now + delay)

    async def _put_off(self, work: OffboardingWork, reason: str) -> None:
        await self._look_again(work.tenant, min(_SOON * 2 ** min(work.attempts, 10), _LONGEST))
        self._logger.warning("an off-boarding is put off", reason=reason, attempt=work.attempts)


def _id(customer: str, step: str) -> UUID:
    return uuid5(_IDS, f"{customer}/{step}")
