"""The outbox of webhooks: a message is composed and committed when asked for, once for each request id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import uuid_utils
from idv.retention.v1 import deletions_pb2 as pb

from services.notice import errors
from services.notice.accounts.accounts import Accounts, TenantTransactions
from services.notice.webhooks import store
from services.notice.webhooks.store import Message
from services.runtime.clock import Clock


class WebhookOutbox:
    """Takes messages to webhooks; where no `posting` is set up, they are noted as not addressed."""

    def __init__(
        self, database: TenantTransactions, accounts: Accounts, clock: Clock, *, posting: bool
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._clock = clock
        self._posting = posting

    async def put(
        self, tenant: str, request_id: UUID, fingerprint: bytes, kind: str, facts: Mapping[str, Any]
    ) -> Message:
        """The message of this request id, put into the outbox by its first call, as it stands now.

        A Customer without webhook gets none: that is its final state, whatever it sets later. Raises
        NOT_FOUND where the Customer is not registered, REQUEST_ID_REUSED where the id stands for another.
        """
        async with self._database.transaction([tenant]) as connection:
            known = await store.by_request(connection, tenant, request_id)
        if known is None:
            new = await self._composed(tenant, request_id, fingerprint, kind, facts)
            async with self._database.transaction([tenant]) as connection:
                if await store.add(connection, new):
                    return new
                known = await store.by_request(connection, tenant, request_id)
        if known is None or known.fingerprint != fingerprint:
            raise errors.reused()
        return known

    async def _composed(
        self, tenant: str, request_id: UUID, fingerprint: bytes, kind: str, facts: Mapping[str, Any]
    ) -> Message:
        account, now = await self._accounts.get(tenant), self._clock.now()
        addressed = self._posting and bool(account.webhook_uri)
        return Message(
            tenant=tenant,
            webhook=UUID(str(uuid_utils.uuid7(nanoseconds=int(now.timestamp() * 1e6) * 1000))),
            request_id=request_id,
            fingerprint=fingerprint,
            uri=account.webhook_uri if addressed else None,
            content=body(kind, now, facts) if addressed else None,
            state=pb.NOTIFICATION_STATE_QUEUED if addressed else pb.NOTIFICATION_STATE_NOT_ADDRESSED,
            state_time=now,
            create_time=now,
        )


def body(kind: str, now: datetime, facts: Mapping[str, Any]) -> bytes:
    """A message's body, the same at every attempt."""
    told = {"type": kind, "timestamp": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}", "data": facts}
    return json.dumps(told, separators=(",", ":"), sort_keys=True).encode()
