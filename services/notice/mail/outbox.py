"""The outbox: a mail is composed and committed when it is asked for, once for each request id."""

from __future__ import annotations

from uuid import UUID

import uuid_utils
from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2 as pb

from services.notice import errors
from services.notice.accounts.accounts import Accounts, TenantTransactions
from services.notice.accounts.customer import envelope_address
from services.notice.mail import store
from services.notice.mail.composing import Composer, Matter
from services.notice.mail.store import Mail
from services.runtime.clock import Clock


class Outbox:
    """Takes mails to Customers. Without a composer no mail server is set, and it takes none."""

    def __init__(
        self, database: TenantTransactions, accounts: Accounts, composer: Composer | None, clock: Clock
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._composer = composer
        self._clock = clock

    async def put(self, tenant: str, request_id: UUID, fingerprint: bytes, matter: Matter) -> Mail:
        """The mail of this request id, put into the outbox by its first call, as it stands now.

        Raises NOT_FOUND where the Customer is not registered, REQUEST_ID_REUSED where the id stands for
        another mail, UNAVAILABLE where no mail server is set.
        """
        async with self._database.transaction([tenant]) as connection:
            known = await store.by_request(connection, tenant, request_id)
        if known is None:
            new = await self._composed(tenant, request_id, fingerprint, matter)
            async with self._database.transaction([tenant]) as connection:
                if await store.add(connection, new):
                    return new
                known = await store.by_request(connection, tenant, request_id)
        if known is None or known.fingerprint != fingerprint:
            raise errors.reused()
        return known

    async def _composed(self, tenant: str, request_id: UUID, fingerprint: bytes, matter: Matter) -> Mail:
        if self._composer is None:
            raise IdvError(
                Reason.ERROR_REASON_UNAVAILABLE,
                "no mail server is set, so no mail can be taken",
                remedy="give the notice service the setting `mail`",
                retry_after=60.0,
            )
        account, now = await self._accounts.get(tenant), self._clock.now()
        if account.state == pb.CUSTOMER_STATE_OFFBOARDED:
            raise errors.offboarded(tenant)
        name = UUID(str(uuid_utils.uuid7(nanoseconds=int(now.timestamp() * 1e6) * 1000)))
        return Mail(
            tenant=tenant,
            mail=name,
            request_id=request_id,
            fingerprint=fingerprint,
            kind=matter.kind,
            recipient=envelope_address(account.email),
            content=self._composer.compose(matter, account, str(name), now),
            state=pb.DELIVERY_STATE_QUEUED,
            state_time=now,
            create_time=now,
        )
