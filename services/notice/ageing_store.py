"""SQL of what ends by its age. Each acts on the transaction's Customers alone; nothing here commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from idv.notice.v1 import customers_pb2 as pb
from sqlalchemy import delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notice.tables import (
    acknowledgements,
    customer_requests,
    customers,
    deliveries,
    delivery_evidence,
    mails,
    webhooks,
)

_MARK: Final = tuple(
    text(
        f"UPDATE notice.{table} AS t"  # noqa: S608  # names of this file
        " SET replace_time = CASE WHEN t.recipient = a.address THEN NULL ELSE CAST(:now AS timestamptz) END"
        " FROM unnest(CAST(:tenants AS text[]), CAST(:addresses AS text[])) AS a (tenant, address)"
        " WHERE t.tenant = a.tenant AND t.recipient <> ''"
        " AND (t.recipient = a.address) = (t.replace_time IS NOT NULL)"
    )
    for table in ("mails", "delivery_evidence")
)
_CODE: Final = r"substring(reply FROM '^[0-9]{3}(?: [0-9]\.[0-9]{1,3}\.[0-9]{1,3})?')"
"""What of a reply names nobody: its code and its enhanced status code (RFC 3463)."""
_EMPTY_MAILS: Final = text(
    f"UPDATE notice.mails SET recipient = '', reply = {_CODE}"  # noqa: S608  # parts of this file
    " WHERE recipient <> '' AND content IS NULL AND replace_time <= :until"
)
_ONE_EVIDENCE: Final = text(
    "DELETE FROM notice.delivery_evidence AS e USING notice.delivery_evidence AS o"
    " WHERE o.tenant = e.tenant AND o.version = e.version"
    " AND e.replace_time <= :until AND o.replace_time <= :until"
    " AND (o.reply_time, o.recipient) > (e.reply_time, e.recipient)"
)
_EMPTY_EVIDENCE: Final = text(
    f"UPDATE notice.delivery_evidence SET recipient = '', reply = coalesce({_CODE}, '')"  # noqa: S608
    " WHERE recipient <> '' AND replace_time <= :until"
)
_BEGIN: Final = text("UPDATE notice.customer_requests SET age_time = :now WHERE age_time IS NULL")
_OF_AN_ACCOUNT: Final = (acknowledgements, delivery_evidence, deliveries, customer_requests)


async def mark_former(connection: AsyncConnection, present: Mapping[str, str], now: datetime) -> None:
    """Notes at `now` which evidence is of an address that is none of the Customer's any more."""
    values = {"tenants": list(present), "addresses": list(present.values()), "now": now}
    for statement in _MARK:
        await connection.execute(statement, values)


async def empty_former(connection: AsyncConnection, until: datetime) -> int:
    """Takes out addresses that were replaced by `until`, and what replies said beside their code.

    Of several former addresses that a version went to, the evidence of the last one stays. Returns how many
    rows were emptied.
    """
    await connection.execute(_ONE_EVIDENCE, {"until": until})
    emptied = 0
    for statement in (_EMPTY_MAILS, _EMPTY_EVIDENCE):
        emptied += (await connection.execute(statement, {"until": until})).rowcount
    return emptied


async def forget_requests(connection: AsyncConnection, now: datetime, until: datetime) -> int:
    """Removes request ids that have aged since `until`, and lets new ones begin to age at `now`."""
    await connection.execute(_BEGIN, {"now": now})
    ended = delete(customer_requests).where(customer_requests.c.age_time <= until)
    return (await connection.execute(ended)).rowcount


async def forget_evidence(connection: AsyncConnection, until: datetime) -> int:
    """Removes mails and webhooks that had their final state by `until`, and returns how many."""
    removed = 0
    for table in (mails, webhooks):
        ended = delete(table).where(table.c.content.is_(None), table.c.state_time <= until)
        removed += (await connection.execute(ended)).rowcount
    return removed


async def offboarded(connection: AsyncConnection, until: datetime) -> list[str]:
    """Customers that were off-boarded by `until`."""
    query = select(customers.c.tenant).where(customers.c.state == pb.CUSTOMER_STATE_OFFBOARDED)
    return list((await connection.execute(query.where(customers.c.state_time <= until))).scalars())


async def forget_accounts(connection: AsyncConnection, tenants: Sequence[str]) -> int:
    """Removes Customers with all that stands for their deliveries, and returns how many rows that were.

    Their ids stay for ever: an off-boarded Customer's id is never given to another.
    """
    removed = 0
    for table in (*_OF_AN_ACCOUNT, customers):
        removed += (await connection.execute(delete(table).where(table.c.tenant.in_(tenants)))).rowcount
    return removed
