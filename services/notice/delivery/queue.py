"""The queue of deliveries: a mail is composed when it is taken, and no body is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from idv.notice.v1 import customers_pb2 as pb

from services.notice import announcing
from services.notice import store as versions_store
from services.notice.accounts import store as account_store
from services.notice.accounts.accounts import TenantTransactions
from services.notice.accounts.customer import Account, envelope_address, is_sent_to
from services.notice.delivery import evidence_store, gate, store, wording
from services.notice.delivery.evidence_store import Evidence
from services.notice.delivery.letter import Letters, Telling
from services.notice.delivery.links import Links, message_id
from services.notice.delivery.store import Change, Taken
from services.notice.mail.queue import Ended, Parcel
from services.notice.mail.schedule import Outcome

NO_CONTACT = "no contact is registered"
"""What stands in the place of a reply where a Customer has no address any more."""


@dataclass(frozen=True, slots=True)
class LetterTerms:
    """What deliveries need beside the Customer: who signs links, and for how long those work."""

    links: Links
    page_url: str
    link_life: timedelta
    """From the version's effective instant on."""


class DeliveryQueue:
    """A `Queue`. Records final states together with the counts, and clears the gate with the last."""

    def __init__(self, database: TenantTransactions, letters: Letters, terms: LetterTerms) -> None:
        self._database = database
        self._letters = letters
        self._terms = terms
        self._tellings: dict[int, Telling] = {}

    async def take(self, now: datetime, until: datetime, limit: int) -> list[Parcel]:
        """Takes deliveries of versions that are neither paused nor withdrawn, and composes their mails.

        A Customer to whom no mail can be made is recorded as failed: what is sent nowhere fails for good.
        """
        while taken := await self._taken(now, until, limit):
            async with self._database.transaction(sorted({one.tenant for one in taken})) as connection:
                accounts = {one.tenant: one for one in await account_store.accounts(connection)}
            tellings = {version: await self._telling(version) for version in {one.version for one in taken}}
            parcels = [
                self._parcel(one, accounts.get(one.tenant), tellings[one.version], now, until)
                for one in taken
            ]
            lost = [parcel for parcel in parcels if not parcel.recipient]
            if lost:
                await self.record([Ended(one, Outcome.REFUSED, NO_CONTACT, None) for one in lost], now)
            if sent := [parcel for parcel in parcels if parcel.recipient]:
                return sent
        return []

    async def record(self, ended: Sequence[Ended], now: datetime) -> None:
        """Stores how attempts ended, version by version: each in one transaction with its counts."""
        for version in sorted({_version(end.parcel) for end in ended}):
            await self._record(version, [end for end in ended if _version(end.parcel) == version], now)

    async def put_back(self, parcels: Sequence[Parcel], due: datetime) -> None:
        """Gives back what was taken and not tried."""
        async with self._database.transaction() as connection:
            for parcel in parcels:
                await store.put_back(connection, _version(parcel), parcel.tenant, due)

    async def _record(self, version: int, ended: Sequence[Ended], now: datetime) -> None:
        tenants = sorted({end.parcel.tenant for end in ended})
        async with self._database.transaction(tenants) as connection:
            counts = await store.audience(connection, version, lock=True)
            # Under the lock: a correction has put its delivery into the queue anew, or does so after this.
            present = {one.tenant: one.email for one in await account_store.accounts(connection)}
            changes = [_change(end, present.get(end.parcel.tenant), now) for end in ended]
            waiting = [pb.DELIVERY_STATE_QUEUED]
            changed = await store.change(connection, version, changes, now, only_from=waiting)
            known = {one.tenant for one in changed}
            evidence = [
                Evidence(end.parcel.tenant, version, end.parcel.recipient, _state(end), end.reply, now)
                for end in ended
                if end.parcel.tenant in known
            ]
            await evidence_store.put(connection, evidence)
            if counts is not None and counts.held <= sum(one.released for one in changed):
                await gate.look(connection, version, now)

    async def _taken(self, now: datetime, until: datetime, limit: int) -> list[Taken]:
        taken: list[Taken] = []
        async with self._database.transaction() as connection:
            for version in await store.being_told(connection):
                taken += await store.take(connection, version, now, until, limit - len(taken))
                if len(taken) == limit:
                    break
        return taken

    async def _telling(self, version: int) -> Telling:
        """What is told of a version: fixed with its announcement, so it is read once."""
        if version not in self._tellings:
            async with self._database.transaction() as connection:
                versions = await versions_store.all_versions(connection)
            it = next(one for one in versions if one.number == version)
            announced, effective = it.life.announce_time, it.life.effective_time
            if announced is None or effective is None:
                raise RuntimeError(f"notices/{version} is delivered and was not announced")
            self._tellings[version] = Telling(
                version=version,
                effective_time=effective,
                link_end=effective + self._terms.link_life,
                page=self._terms.page_url,
                clauses=wording.clauses(announcing.before(versions, announced), it),
            )
        return self._tellings[version]

    def _parcel(
        self, taken: Taken, account: Account | None, telling: Telling, now: datetime, until: datetime
    ) -> Parcel:
        version, tenant, key = taken.version, taken.tenant, (taken.tenant, str(taken.version))
        nowhere = Parcel(key, "", None, b"", taken.attempts, taken.create_time, until)
        if account is None or account.state == pb.CUSTOMER_STATE_OFFBOARDED:
            return nowhere
        try:
            recipient = envelope_address(account.email)
            link = self._terms.links.acknowledge_url(version, tenant, telling.link_end)
            name = message_id(version, tenant, recipient, self._letters.sender.domain)
            content = self._letters.compose(telling, account, recipient, name, link, now)
        except ValueError:  # an address or a name that registration would refuse
            return nowhere
        sender = self._terms.links.bounce_address(version, tenant, recipient)
        return replace(nowhere, recipient=recipient, sender=sender, content=content)


def _version(parcel: Parcel) -> int:
    return int(parcel.key[1])


def _change(ended: Ended, present: str | None, now: datetime) -> Change:
    """What an attempt makes of its delivery; `present` is the Customer's address by now.

    Unless it was accepted, mail to an address that was corrected meanwhile says nothing of the new one, which
    is tried at once.
    """
    old, accepted = ended.parcel.recipient, ended.outcome is Outcome.ACCEPTED
    if old and present and not accepted and not is_sent_to(present, old):
        return Change(ended.parcel.tenant, pb.DELIVERY_STATE_QUEUED, now)
    return Change(ended.parcel.tenant, _state(ended), ended.again)


def _state(ended: Ended) -> pb.DeliveryState.ValueType:
    if ended.again is not None:
        return pb.DELIVERY_STATE_QUEUED
    accepted = ended.outcome is Outcome.ACCEPTED
    return pb.DELIVERY_STATE_ACCEPTED if accepted else pb.DELIVERY_STATE_FAILED
