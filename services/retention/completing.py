"""The job that tells Customers of their deletions' ends, and follows each report until it has a final state.

A report is asked for under an id made from the deletion's, and says what never changes any more: however
often a crash makes this job ask, notice mails and posts it once. The deletion itself waits for none of this.
"""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid5

import grpc
from idv.errors import IdvError, Reason
from idv.notice.v1 import completions_pb2
from idv.notice.v1.completions_pb2_grpc import CompletionServiceStub
from idv.retention.v1 import deletions_pb2 as pb

from services.retention import completion_store, store
from services.retention.store import Deletion, Work
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.instants import timestamp
from services.runtime.logs import Log
from services.runtime.resources import deletion_name

_TAKEN: Final = timedelta(minutes=2)
_FIRST_LOOK: Final = timedelta(seconds=2)
_LONGEST: Final = timedelta(minutes=15)
"""Between two looks at a report without a final state, after the first few."""
_ENDED: Final = frozenset(
    {pb.NOTIFICATION_STATE_ACCEPTED, pb.NOTIFICATION_STATE_FAILED, pb.NOTIFICATION_STATE_NOT_ADDRESSED}
)
_GONE: Final = frozenset({Reason.ERROR_REASON_NOT_FOUND, Reason.ERROR_REASON_CUSTOMER_OFFBOARDED})
_NOBODY: Final = completions_pb2.ReportDeletionResponse(
    mail_state=pb.NOTIFICATION_STATE_NOT_ADDRESSED, webhook_state=pb.NOTIFICATION_STATE_NOT_ADDRESSED
)


class Completing:
    """Does what is due about deletions' ends. Safe in any number of replicas at once."""

    def __init__(self, database: Database, notice: grpc.aio.Channel, clock: Clock, log: Log) -> None:
        self._database = database
        self._notice = CompletionServiceStub(notice)
        self._clock = clock
        self._log = log

    async def run(self) -> None:
        """Does what is due now. What cannot be done yet is put off, each time longer, up to 15 minutes."""
        while work := await self._take():
            try:
                await self._look(work)
            except BaseException:  # also where this process ends: the report waits for no takeover
                with contextlib.suppress(IdvError):
                    await self._put_off(work)
                raise

    async def _take(self) -> Work | None:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            return await completion_store.take(connection, now, now + _TAKEN)

    async def _look(self, work: Work) -> None:
        async with self._database.transaction([work.tenant]) as connection:
            deletion = await store.deletion(connection, work.tenant, work.deletion)
            if deletion is None or deletion.complete_time is None:  # aged away meanwhile
                await completion_store.drop(connection, work.deletion)
                return
        try:
            told = await self._notice.ReportDeletion(_report(deletion))
        except IdvError as error:
            if error.reason not in _GONE:
                await self._put_off(work)
                self._log.warning(
                    "a deletion's end is not reported yet", reason=error.reason_name, attempt=work.attempts
                )
                return
            told = _NOBODY  # the Customer is not registered, or is gone
        await self._store(deletion, work, told)

    async def _store(
        self, deletion: Deletion, work: Work, told: completions_pb2.ReportDeletionResponse
    ) -> None:
        states = {"mail_state": int(told.mail_state), "webhook_state": int(told.webhook_state)}
        async with self._database.transaction([work.tenant]) as connection:
            await store.change_deletion(connection, deletion, **states)
            if {told.mail_state, told.webhook_state} <= _ENDED:
                await completion_store.drop(connection, work.deletion)
                return
        await self._put_off(work)

    async def _put_off(self, work: Work) -> None:
        now = self._clock.now()
        delay = min(_FIRST_LOOK * 2 ** min(work.attempts, 10), _LONGEST)
        async with self._database.transaction() as connection:
            await completion_store.postpone(connection, work.deletion, now, now + delay)


def report_id(deletion: UUID) -> UUID:
    """The id under which a deletion's end is reported, always the same."""
    return uuid5(deletion, "completion")


def _report(deletion: Deletion) -> completions_pb2.ReportDeletionRequest:
    """Only what stands here leaves the service; all of it is fixed once the deletion has ended."""
    made = completions_pb2.ReportDeletionRequest(
        deletion=deletion_name(deletion.tenant, str(deletion.deletion)),
        request_id=str(report_id(deletion.deletion)),
        scope=deletion.scope,
        state=deletion.state,
        receive_time=timestamp(deletion.receive_time),
        record_count=deletion.record_count or 0,
        session_count=deletion.session_count or 0,
    )
    if deletion.complete_time is not None:
        made.complete_time.CopyFrom(timestamp(deletion.complete_time))
    if deletion.final_time is not None:
        made.final_time.CopyFrom(timestamp(deletion.final_time))
    return made
