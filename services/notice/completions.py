"""The method that tells a Customer of a deletion's end: by mail and by webhook, each once."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from idv.notice.v1 import completions_pb2 as pb
from idv.notice.v1 import customers_pb2
from idv.notice.v1.completions_pb2_grpc import CompletionServiceServicer
from idv.retention.v1 import deletions_pb2

from services.notice.calls import fingerprint
from services.notice.mail.composing import Matter
from services.notice.mail.outbox import Outbox
from services.notice.webhooks.outbox import WebhookOutbox
from services.runtime.instants import instant
from services.runtime.resources import parse_deletion

KIND: Final = "deletion.ended"
"""What a webhook's message about a deletion is called."""
_STATES: Final = {
    customers_pb2.DELIVERY_STATE_QUEUED: deletions_pb2.NOTIFICATION_STATE_QUEUED,
    customers_pb2.DELIVERY_STATE_ACCEPTED: deletions_pb2.NOTIFICATION_STATE_ACCEPTED,
}


class CompletionApi(CompletionServiceServicer):
    """Reports, put into both outboxes. Without a mail server (`mailing` is false) none is taken for it."""

    def __init__(self, mails: Outbox, webhooks: WebhookOutbox, *, mailing: bool) -> None:
        self._mails = mails
        self._webhooks = webhooks
        self._mailing = mailing

    async def ReportDeletion(
        self, request: pb.ReportDeletionRequest, context: Any
    ) -> pb.ReportDeletionResponse:
        """Takes a report, or tells how it stands. Raises NOT_FOUND for a Customer that is not registered."""
        tenant, deletion = parse_deletion(request.deletion, field="deletion")
        request_id, print_of_it = UUID(request.request_id), fingerprint("ReportDeletion", request)
        message = await self._webhooks.put(tenant, request_id, print_of_it, KIND, facts(request))
        mail_state: deletions_pb2.NotificationState.ValueType = deletions_pb2.NOTIFICATION_STATE_NOT_ADDRESSED
        if self._mailing:
            matter = Matter(
                customers_pb2.MESSAGE_KIND_DELETION_DONE,
                deletion,
                instant(request.receive_time, field="receive_time"),
                None,
                outcome=_name(request.state).lower(),
            )
            mail = await self._mails.put(tenant, request_id, print_of_it, matter)
            mail_state = _STATES.get(mail.state, deletions_pb2.NOTIFICATION_STATE_FAILED)
        return pb.ReportDeletionResponse(mail_state=mail_state, webhook_state=message.state)


def facts(request: pb.ReportDeletionRequest) -> dict[str, Any]:
    """What a webhook is told of a deletion: name, scope, state, times and counts, and nothing personal."""
    told: dict[str, Any] = {
        "deletion": request.deletion,
        "scope": request.scope,
        "state": _name(request.state),
        "receive_time": request.receive_time.ToJsonString(),
        "complete_time": request.complete_time.ToJsonString(),
        "record_count": request.record_count,
        "session_count": request.session_count,
    }
    if request.HasField("final_time"):
        told["final_time"] = request.final_time.ToJsonString()
    return told


def _name(state: deletions_pb2.DeletionState.ValueType) -> str:
    return deletions_pb2.DeletionState.Name(state).removeprefix("DELETION_STATE_")
