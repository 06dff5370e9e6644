"""Bounces: mail that was accepted and then returned, read from delivery reports (RFC 3464) over SMTP.

An address that bounces come to carries a mark that only this service can make, for one version, Customer and
recipient: whatever else is sent to the listener is refused before its content is read.
"""

from __future__ import annotations

import email
import email.policy
from email.message import Message

from aiosmtpd.smtp import SMTP, Envelope, Session
from idv.errors import IdvError
from idv.notice.v1 import customers_pb2 as pb

from services.notice.accounts import store as account_store
from services.notice.accounts.accounts import TenantTransactions
from services.notice.accounts.customer import is_sent_to
from services.notice.delivery import audience, evidence_store, store
from services.notice.delivery.evidence_store import Evidence
from services.notice.delivery.links import Links
from services.notice.delivery.store import Change
from services.runtime.clock import Clock
from services.runtime.logs import Log

MAX_BYTES = 1 << 20
"""A report is small; what is larger is none."""
_MAX_REPLY = 500
_UNKNOWN = "550 5.1.1 no such address"
_LATER = "451 4.3.0 try again later"


def failure(content: bytes) -> str | None:
    """Why a mail was returned for good, as the report says; None for anything else, a delay included."""
    message = email.message_from_bytes(content, policy=email.policy.compat32)
    for part in message.walk():
        if part.get_content_type() == "message/delivery-status":
            for fields in _blocks(part):
                status = str(fields.get("Status", "")).strip()
                if str(fields.get("Action", "")).strip().lower() == "failed" and status.startswith("5"):
                    return _line(f"{status} {fields.get('Diagnostic-Code', '')}")
    return None


class Bounces:
    """The handler of an SMTP server; safe in several replicas."""

    def __init__(self, database: TenantTransactions, links: Links, clock: Clock, log: Log) -> None:
        self._database = database
        self._links = links
        self._clock = clock
        self._log = log

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """A report has no sender (RFC 3464, 2): whatever has one is none."""
        if address not in ("", "<>"):
            return "550 5.7.1 only delivery reports are taken here"
        envelope.mail_from = address
        return "250 2.1.0 sender taken"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Takes an address with a mark that is right for the mail on record."""
        try:
            if await self._evidence(address) is None:
                self._log.warning("a bounce is refused", reason="no such address")
                return _UNKNOWN
        except IdvError:
            return _LATER
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 recipient taken"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Records a report of failure. What is none, a delay or a notice of absence, changes nothing."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        why = failure(content)
        if why is not None:
            try:
                for address in envelope.rcpt_tos:
                    await self._bounced(address, why)
            except IdvError:
                return _LATER
        return "250 2.0.0 read"

    async def _evidence(self, address: str) -> Evidence | None:
        """The mail that the address is of; None for a forged address, or one corrected since."""
        named = self._links.bounced(address)
        if named is None:
            return None
        version, tenant, mark = named
        async with self._database.transaction([tenant]) as connection:
            evidence = await evidence_store.last(connection, tenant, version)
        if evidence is None or not self._links.is_of(version, tenant, mark, evidence.recipient):
            return None
        return evidence

    async def _bounced(self, address: str, why: str) -> None:
        evidence = await self._evidence(address)
        if evidence is None:
            return
        now, state = self._clock.now(), pb.DELIVERY_STATE_BOUNCED
        async with self._database.transaction([evidence.tenant]) as connection:
            await store.audience(connection, evidence.version, lock=True)
            change = [Change(evidence.tenant, state)]
            accepted = [pb.DELIVERY_STATE_ACCEPTED]
            if await store.change(connection, evidence.version, change, now, only_from=accepted):
                told = evidence._replace(state=state, reply=why, reply_time=now)
                await evidence_store.put(connection, [told])
                account = await account_store.account(connection, evidence.tenant)
                if (
                    account is not None
                    and account.email
                    and not is_sent_to(account.email, evidence.recipient)
                ):
                    # The address was corrected since: the new one is mailed.
                    await audience.moved(connection, evidence.tenant, now, of=evidence.version)
                self._log.warning("a delivery bounced", version=evidence.version, reason=why[:5])


def _blocks(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [block for block in payload if isinstance(block, Message)] if isinstance(payload, list) else []


def _line(text: str) -> str:
    """One line of bounded length, whatever the report holds."""
    return "".join(sign for sign in " ".join(text.split()) if sign.isprintable())[:_MAX_REPLY]
