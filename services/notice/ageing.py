"""The end of our own records: evidence after its term, replaced addresses, and what is left of an account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from email_validator import EmailNotValidError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice import ageing_store as store
from services.notice.accounts import store as account_store
from services.notice.accounts.customer import envelope_address
from services.runtime.both_clocks import BothClocks
from services.runtime.clock_guard import agreed_time
from services.runtime.database import Database
from services.runtime.telemetry import Telemetry

_CUSTOMERS: Final = 100
"""Customers whose rows one transaction ends."""


@dataclass(frozen=True, slots=True)
class AgeingTerms:
    """How long evidence is kept, and how long an address that was replaced stands in it."""

    evidence: timedelta
    former_address: timedelta


class Ageing:
    """Ends what is past its term, by two clocks that agree. Safe in any number of replicas at once."""

    def __init__(
        self, database: Database, clocks: BothClocks, telemetry: Telemetry, terms: AgeingTerms
    ) -> None:
        self._database, self._clocks, self._terms = database, clocks, terms
        self._removed = telemetry.meter.create_counter(
            "idv.ageing.removed", description="Rows of our own records removed at the end of their term."
        )

    async def run(self) -> None:
        """Goes through all Customers; does nothing while the clocks disagree."""
        async with self._database.transaction() as connection:
            now = await agreed_time(self._clocks, connection)
        after = ""
        while now is not None:
            async with self._database.transaction() as connection:
                tenants = await account_store.ids_after(connection, after, _CUSTOMERS)
            if not tenants:
                return
            async with self._database.transaction(tenants) as connection:
                removed = await self._end(connection, now)
            for kind, count in removed.items():
                self._removed.add(count, {"kind": kind})
            after = tenants[-1]

    async def _end(self, connection: AsyncConnection, now: datetime) -> dict[str, int]:
        evidence, former = now - self._terms.evidence, now - self._terms.former_address
        accounts = await account_store.accounts(connection)
        await store.mark_former(connection, {one.tenant: _address(one.email) for one in accounts}, now)
        gone = await store.offboarded(connection, evidence)
        return {
            "addresses": await store.empty_former(connection, former),
            "requests": await store.forget_requests(connection, now, former),
            "evidence": await store.forget_evidence(connection, evidence),
            "accounts": await store.forget_accounts(connection, gone),
        }


def _address(email: str) -> str:
    """As it stands in envelopes; empty where there is none, as after an off-boarding."""
    try:
        return envelope_address(email)
    except EmailNotValidError:
        return ""
