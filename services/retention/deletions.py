"""Deletion at a Customer's request: recorded first, then erased in storage, then logged with its receipt.

Each step is a transaction or an idempotent call, and each begins by looking at what was done: whoever carries
a deletion on after a crash, the caller's retry or the job, ends with one leaf and one receipt.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

import uuid_utils
from idv.errors import IdvError, Reason
from idv.receipts import without_opening
from idv.retention.v1 import deletions_pb2 as pb

from services.retention import completion_store, store
from services.retention.deletion_answers import (
    RETRY,
    deletion_entry,
    failed_for_good,
    found,
    unfinished,
)
from services.retention.erasing import Erasing, Outcome, Progress, total
from services.retention.log import TransparencyLog
from services.retention.sealing import TargetSeal
from services.retention.storage_gateway import Erasure, StorageGateway
from services.retention.store import Deletion
from services.retention.targets import Target, unmarked
from services.runtime.both_clocks import BothClocks
from services.runtime.clock_guard import agreed_time
from services.runtime.database import Database

ENDED: Final = frozenset({pb.DELETION_STATE_DONE, pb.DELETION_STATE_PARTIAL, pb.DELETION_STATE_FAILED})
"""States that a deletion does not leave."""
_LOOK_AGAIN: Final = timedelta(minutes=10)
"""Between two looks at what this process's clock alone says is due."""


@dataclass(frozen=True)
class DeletionTerms:
    """How long a step may take before another process takes over, and how long what is kept of an end."""

    step: timedelta
    opening: timedelta
    """How long after its end a receipt is kept with entry and salt."""
    evidence: timedelta = timedelta(days=1096)
    """How long after its end a deletion is kept at all; the log's leaf stays."""


class Deletions:
    """Records, carries out and shows the deletions of all Customers."""

    def __init__(
        self,
        database: Database,
        log: TransparencyLog,
        storage: StorageGateway,
        seal: TargetSeal,
        clocks: BothClocks,
        terms: DeletionTerms,
    ) -> None:
        self._database = database
        self._log = log
        self._erasing = Erasing(storage)
        self._seal = seal
        self._clocks, self._clock = clocks, clocks.process
        self._terms = terms

    async def create(self, customer: str, request_id: UUID, target: Target) -> Deletion:
        """Deletes `target`, such as `{"subject": "..."}`; returns the deletion with its receipt.

        A large one may be RUNNING still: everything is unreadable, and it goes on by itself. A repeat returns
        the first answer. Raises REQUEST_ID_REUSED where the id was used for another target;
        the reason of storage where it refused for good; UNAVAILABLE where the deletion is recorded and goes
        on by itself, but is not done.
        """
        deletion = await self.record(customer, request_id, target)
        if deletion.state not in ENDED:
            deletion = await self.carry_out(customer, deletion.deletion)
        if deletion.failure is not None:
            raise failed_for_good(deletion)
        return deletion

    async def record(self, customer: str, request_id: UUID, target: Target) -> Deletion:
        """The ledger's row, committed before anything is erased; on a repeat, that of the first call.

        Raises REQUEST_ID_REUSED.
        """
        now = self._clock.now()
        name = UUID(str(uuid_utils.uuid7(nanoseconds=int(now.timestamp() * 1e6) * 1000)))
        digest = self._seal.digest(customer, request_id, target)
        new = Deletion(
            tenant=customer,
            deletion=name,
            request_id=request_id,
            request_digest=digest,
            scope=next(iter(target)),
            state=pb.DELETION_STATE_PENDING,
            receive_time=now,
            sealed_target=self._seal.seal(customer, name, target),
        )
        async with self._database.transaction([customer]) as connection:
            if await store.add_deletion(connection, new):
                await store.add_work(connection, customer, name, now, now + self._terms.step)
                return new
            first = found(await store.deletion_by_request(connection, customer, request_id))
        _check_same(first, digest)
        return self._whole(first)

    async def carry_out(self, customer: str, name: UUID) -> Deletion:
        """Does what is left of a recorded deletion, or some seconds' worth. Raises as `create` does.

        A correction's erasure that storage has not begun is given up: then its state is FAILED, no row is
        left, and storage begins it under this name no more.
        """
        deletion = await self._begin(customer, name)
        if deletion.state in ENDED:
            return deletion
        target, corrects = unmarked(self._seal.open(customer, name, deletion.sealed_target or b""))
        note = partial(self._note, deletion)
        try:
            outcomes = await self._erasing.run(deletion, target, note, begun_only=corrects)
        except IdvError as error:
            await self._put_off(name, RETRY)
            raise unfinished(deletion) from error
        if outcomes is None:
            await self._put_off(name, timedelta(0))
            return await self.get(customer, name)
        erasure = total(outcomes)
        if corrects and (erasure is None or not erasure.record_count):
            return await self._give_up(deletion)
        if erasure is None:
            return await self._fail(deletion, outcomes[0].failure)
        return await self._complete(deletion, target, erasure, outcomes)

    async def preview(self, customer: str, target: Target) -> list[Outcome]:
        """What a deletion would concern now, target by target; nothing is recorded or changed.

        Raises what storage raises; of several targets, one that it refuses for good has failed.
        """
        return await self._erasing.preview(customer, target)

    async def get(self, customer: str, name: UUID) -> Deletion:
        """A deletion as it stands. Raises NOT_FOUND."""
        async with self._database.transaction([customer]) as connection:
            return self._whole(found(await store.deletion(connection, customer, name)))

    async def list(self, customer: str, limit: int, before: UUID | None) -> list[Deletion]:
        """The Customer's deletions, the newest first, from the one after `before` on."""
        async with self._database.transaction([customer]) as connection:
            listed = await store.list_deletions(connection, customer, limit, before)
        return [self._whole(deletion) for deletion in listed]

    async def age(self, customer: str, name: UUID) -> None:
        """Lets an ended deletion age: first entry and salt of its receipt and the digest of its request are
        dropped, in the end all of it, where both clocks say so.
        """
        now = self._clock.now()
        async with self._database.transaction([customer]) as connection:
            ended = found(await store.deletion(connection, customer, name, lock=True))
            since = ended.complete_time or now
            aged = (await agreed_time(self._clocks, connection) or since) - since
            if aged >= self._terms.evidence:
                await store.remove_deletion(connection, ended)
                return
            due = since + self._terms.opening
            if aged >= self._terms.opening:
                await store.change_deletion(connection, ended, sealed_receipt=None, request_digest=None)
                due = since + self._terms.evidence
            await store.postpone_work(connection, name, now, max(due, now + _LOOK_AGAIN))

    async def _begin(self, customer: str, name: UUID) -> Deletion:
        async with self._database.transaction([customer]) as connection:
            deletion = found(await store.deletion(connection, customer, name, lock=True))
            if deletion.state not in ENDED:
                await store.change_deletion(connection, deletion, state=pb.DELETION_STATE_RUNNING)
                now = self._clock.now()
                await store.postpone_work(connection, name, now, now + self._terms.step)
        return self._whole(deletion)

    async def _note(self, begun: Deletion, progress: Progress) -> None:
        """Keeps how far the deletion is, and that this process is alive; nothing once it has ended."""
        async with self._database.transaction([begun.tenant]) as connection:
            deletion = found(await store.deletion(connection, begun.tenant, begun.deletion, lock=True))
            if deletion.state not in ENDED and progress.done >= (deletion.progress_done or 0):
                now = self._clock.now()
                await store.postpone_work(connection, begun.deletion, now, now + self._terms.step)
                await store.change_deletion(
                    connection,
                    deletion,
                    progress_done=progress.done,
                    progress_total=progress.total,
                    record_count=progress.record_count,
                    session_count=progress.session_count,
                    outcomes=progress.outcomes,
                )

    async def _put_off(self, name: UUID, delay: timedelta) -> None:
        """Lets the job go on soon instead of waiting for this process to be taken for dead."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await store.postpone_work(connection, name, now, now + delay)

    async def _complete(
        self, begun: Deletion, target: Target, erasure: Erasure, outcomes: Sequence[Outcome]
    ) -> Deletion:
        """Leaf, receipt and final state in one transaction, or what another process made of them before."""
        customer, name = begun.tenant, begun.deletion
        async with self._database.transaction([customer]) as connection:
            deletion = found(await store.deletion(connection, customer, name, lock=True))
            if deletion.state in ENDED:
                return self._whole(deletion)
            now = self._clock.now()
            await store.postpone_work(connection, name, now, now + self._terms.opening)
            await completion_store.add(connection, customer, name, now)
            failed = sum(one.state == pb.DELETION_STATE_FAILED for one in outcomes)
            logged = deletion_entry(deletion, target, erasure, now, failed)
            leaf_index, receipt = await self._log.append_with_receipt(connection, logged)
            await store.change_deletion(
                connection,
                deletion,
                state=pb.DELETION_STATE_PARTIAL if failed else pb.DELETION_STATE_DONE,
                sealed_target=None,
                complete_time=now,
                final_time=erasure.final_time,
                record_count=erasure.record_count,
                session_count=erasure.session_count,
                leaf_index=leaf_index,
                receipt=without_opening(receipt),
                sealed_receipt=self._seal.seal_receipt(customer, name, receipt),
            )
            return self._whole(found(await store.deletion(connection, customer, name)))

    async def _give_up(self, begun: Deletion) -> Deletion:
        """Forgets the intent of a correction that never was."""
        async with self._database.transaction([begun.tenant]) as connection:
            await store.remove_deletion(connection, begun)
        return replace(begun, state=pb.DELETION_STATE_FAILED)

    def _whole(self, stored: Deletion) -> Deletion:
        """The deletion with its receipt's opening, while that is kept."""
        if stored.sealed_receipt is None:
            return stored
        receipt = self._seal.open_receipt(stored.tenant, stored.deletion, stored.sealed_receipt)
        return replace(stored, receipt=receipt, sealed_receipt=None)

    async def _fail(self, begun: Deletion, reason: str) -> Deletion:
        customer, name = begun.tenant, begun.deletion
        async with self._database.transaction([customer]) as connection:
            deletion = found(await store.deletion(connection, customer, name, lock=True))
            if deletion.state not in ENDED:
                now = self._clock.now()
                await store.postpone_work(connection, name, now, now + self._terms.opening)
                await completion_store.add(connection, customer, name, now)
                await store.change_deletion(
                    connection,
                    deletion,
                    state=pb.DELETION_STATE_FAILED,
                    sealed_target=None,
                    complete_time=now,
                    failure=reason,
                )
            return found(await store.deletion(connection, customer, name))


def _check_same(first: Deletion, digest: bytes) -> None:
    if first.request_digest is not None and not hmac.compare_digest(first.request_digest, digest):
        raise IdvError(
            Reason.ERROR_REASON_REQUEST_ID_REUSED,
            "the request id was used for the deletion of another target",
            field="request_id",
            remedy="use a new request id",
        )
