"""One history of amendments: what happens to it, and what must hold after each step.

The model knows the audience of each announcement and when each of it was told; from that alone follow the
instant at which the gate clears and the version in force at any instant.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from idv.errors import IdvError
from idv.notice.v1 import customers_pb2 as pb

from services.notice.accounts.accounts import AccountCall
from services.notice.announcing import SETTLE
from services.notice.delivery.bounces import Bounces
from services.notice.delivery.covering import Covering
from services.notice.delivery.evidence_store import Delivery
from services.notice.delivery.links import message_id
from services.notice.delivery.progress import Deliveries
from services.notice.delivery.queue import NO_CONTACT
from services.notice.folder import Sources
from services.notice.lifecycle import is_utc_midnight
from services.notice.versions import Shelf
from tests.bounce_reports import report, send_report
from tests.delivery_parts import LINKS, STATES, Telling, customer
from tests.fickle_server import FickleServer
from tests.mail_parts import relay, terms
from tests.notice_parts import TERMS, TEXT, call

TOLD = frozenset({"ACCEPTED", "BOUNCED", "COVERED_BY_WEBSITE"})
UNREACHED = frozenset({"BOUNCED", "FAILED", "COVERED_BY_WEBSITE"})
_ITEM = "  - code: device.hardware.idfv\n    sources: [sdk]\n    optional: true\n"
_STALL_SECONDS = 0.15
_LATE = timedelta(seconds=1)  # the clock's own step while mail is under way


class EveryPage:
    """A website that shows every version."""

    async def shows(self, version: int) -> bool:
        return True


def amended(days: int, item: bool) -> Sources:
    """A version that differs from others in its retention and in an item."""
    written = TERMS.replace("retention_days: 30", f"retention_days: {days}") + (_ITEM if item else "")
    return Sources(written, {"en": TEXT})


@dataclass
class Announced:
    """What the model knows of a material version that was announced."""

    effective: datetime
    audience: frozenset[str]
    told: dict[str, datetime] = field(default_factory=dict)
    clear: datetime | None = None


@dataclass
class History:
    """Replicas of the service on one database, and the model beside them."""

    replicas: tuple[Telling, Telling]
    server: FickleServer
    addresses: dict[str, list[str]] = field(default_factory=dict)
    """Every address that a Customer ever had, the present one last."""
    gone: set[str] = field(default_factory=set)
    announced: dict[int, Announced] = field(default_factory=dict)
    withdrawn: set[int] = field(default_factory=set)
    bounced: set[tuple[int, str]] = field(default_factory=set)
    answers: dict[datetime, int | None] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def now(self) -> datetime:
        return self.replicas[0].clock.now()

    async def join(self) -> None:
        name = f"customer-{len(self.addresses)}"
        account = customer(name)
        self.addresses[name] = [account.email]
        await self.replicas[0].register(account)

    async def move(self, tenant: str) -> None:
        address = f"privacy{len(self.addresses[tenant])}@{tenant}.example"
        await self.replicas[1].move(tenant, address)
        self.addresses[tenant].append(address)

    async def leave(self, tenant: str) -> None:
        gone = AccountCall(uuid.uuid4(), b"leave")
        await self.replicas[0].accounts.set_state(tenant, pb.CUSTOMER_STATE_OFFBOARDED, gone)
        self.gone.add(tenant)

    async def announce(self, written: Sources, days: int | None) -> None:
        """Announces at once or for a midnight; what is refused changes nothing."""
        effective = None
        if days is not None:
            effective = self.now.replace(hour=0, minute=0, second=0) + timedelta(days=days)
        number = None
        with contextlib.suppress(IdvError):
            number = await self.replicas[0].replica.publish(written, effective)
        self.seen["refused" if number is None else "announced"] += 1
        if number is None:
            return
        version = (await self.replicas[1].replica.versions.shelf()).number(number)
        assert version.life.effective_time is not None
        if version.material:
            assert effective is not None, "a material version took effect at once"
            audience = frozenset(self.addresses)
            self.announced[number] = Announced(effective, audience, clear=None if audience else self.now)

    async def withdraw(self) -> None:
        shelf = await self.replicas[1].replica.versions.shelf()
        with contextlib.suppress(IdvError):
            number = shelf.versions[-1].number
            await self.replicas[1].replica.versions.withdraw(number, "wrong", call())
            self.withdrawn.add(number)

    async def deliveries(self, version: int) -> list[Delivery]:
        part = self.replicas[1]
        return await Deliveries(part.database, part.clock).deliveries(version, "", 1000)

    async def steer(self, version: int, what: str) -> None:
        """Pauses, resumes or overrides."""
        part = self.replicas[1]
        operations = Deliveries(part.database, part.clock)
        if what == "pause":
            await operations.pause(version, "why", call())
        elif what == "resume":
            await operations.resume(version, call())
        else:
            with contextlib.suppress(IdvError):
                await operations.override(version, "why", call())
                one = self.announced[version]
                if version not in self.withdrawn and one.clear is None:
                    one.clear = await self._clears(version, self.now)

    async def send(self, fates: list[str], kill_at: int | None, moves: bool) -> None:
        """Both replicas send; both may be killed at a mail, and a Customer move during the first."""
        self.server.fates = itertools.cycle(fates)
        self.server.meanwhile = self._moves if moves else None
        server = relay(self.server.address, _STALL_SECONDS)
        couriers = [part.courier(server, terms(workers=2)) for part in self.replicas]
        sending = [asyncio.ensure_future(one.empty()) for one in couriers]
        arrived = itertools.count(1)

        def kill() -> None:
            self.replicas[0].clock.advance(milliseconds=1)
            if next(arrived) == kill_at:
                for one in sending:
                    one.cancel()

        self.server.before_content = kill
        results = await asyncio.gather(*sending, return_exceptions=True)
        self.server.before_content, self.server.meanwhile = (lambda: None), None
        for result in results:
            if isinstance(result, asyncio.CancelledError):
                self.seen["killed"] += 1
            elif result is not None:
                raise result

    async def _moves(self, recipient: str) -> None:
        tenant = recipient.partition("@")[2].removesuffix(".example")
        if tenant not in self.gone:
            self.replicas[0].clock.time += _LATE
            await self.move(tenant)
            self.replicas[0].clock.time += _LATE
            self.seen["moved while its mail was under way"] += 1

    async def bounce(self, version: int, tenant: str) -> None:
        """A report comes in for the mail that the Customer's delivery is of."""
        part = self.replicas[0]
        found = {one.tenant: one for one in await self.deliveries(version)}.get(tenant)
        if found is None or found.evidence is None or STATES[found.state] != "ACCEPTED":
            return
        address = LINKS.bounce_address(version, tenant, found.evidence.recipient)
        assert address is not None
        bounces = Bounces(part.database, LINKS, part.clock, structlog.get_logger())
        await send_report(bounces, address, report())
        self.bounced.add((version, tenant))

    async def cover(self) -> None:
        part = self.replicas[1]
        await Covering(part.database, EveryPage(), part.clock, structlog.get_logger()).run()

    async def check(self) -> None:
        """What holds after every step, seen from either replica."""
        for number in self.announced:
            await self._check_deliveries(number)
        for part in self.replicas:
            shelf = await part.replica.versions.shelf()
            for number, one in self.announced.items():
                self._check_gate(shelf, number, one)
            standing = shelf.in_force()
            self.answers[self.now] = standing.number if standing else None
            for instant, answer in self.answers.items():
                past = Shelf(shelf.versions, instant).in_force()
                assert (past.number if past else None) == answer, f"another answer for {instant}"

    def _check_gate(self, shelf: Shelf, number: int, one: Announced) -> None:
        life = shelf.number(number).life
        if one.clear is None:
            assert life.clear_time is None, f"{number} is clear and {one.audience - set(one.told)} untold"
            assert life.start is None
        else:
            assert life.clear_time is not None, f"{number} waits although everybody was told"
            assert abs(life.clear_time - one.clear) <= 2 * _LATE
        if (standing := shelf.in_force()) is not None and number not in self.withdrawn and one.clear:
            start = max(one.effective, one.clear) + 2 * _LATE
            assert standing.number >= number or self.now < start, f"{number} waits past its instant"

    async def _clears(self, number: int, last: datetime) -> datetime:
        """When the gate clears, if the last was told then."""
        shelf = await self.replicas[0].replica.versions.shelf(last)
        before, clear = shelf.in_force(), last + SETTLE
        version, one = shelf.number(number), self.announced[number]
        same = before is None or before.terms.retention_days == version.terms.retention_days
        if same or clear <= one.effective or is_utc_midnight(clear):
            return clear
        return clear.astimezone(UTC).replace(hour=0, minute=0, second=0) + timedelta(days=1)

    async def _check_deliveries(self, number: int) -> None:
        one, rows = self.announced[number], await self.deliveries(number)
        shelf = await self.replicas[0].replica.versions.shelf()
        standing = shelf.in_force()
        current = number not in self.withdrawn and (standing is None or number >= standing.number)
        assert one.audience <= {row.tenant for row in rows}, "somebody of the audience has no delivery"
        for row in rows:
            state = STATES[row.state]
            self.seen[state] += 1
            self._explained(number, row, state, current)
            if state in TOLD and row.tenant in one.audience:
                one.told.setdefault(row.tenant, row.state_time)
        untold = one.audience - set(one.told)
        if one.clear is None and not untold and number not in self.withdrawn:
            one.clear = await self._clears(number, max(one.told.values()))
        counts = await self.replicas[1].counts(number)
        tally = Counter(STATES[row.state] for row in rows)
        assert (counts.held, counts.audience) == (len(untold), len(one.audience))
        assert (counts.queued, counts.accepted, counts.bounced) == (
            *(tally["QUEUED"], tally["ACCEPTED"], tally["BOUNCED"]),
        )
        assert (counts.failed, counts.covered) == (tally["FAILED"], tally["COVERED_BY_WEBSITE"])

    def _explained(self, number: int, row: Delivery, state: str, current: bool) -> None:
        """The stored evidence says why the delivery is in its state, and the mail server agrees."""
        if state == "QUEUED":
            return
        evidence, where = row.evidence, f"notices/{number} to {row.tenant}: {state}"
        assert evidence is not None, f"{where} without evidence"
        if state == "ACCEPTED":
            name = message_id(number, row.tenant, evidence.recipient, "idv.example")
            assert evidence.reply.startswith("250"), where
            assert self.server.taken.get(name) == evidence.recipient, f"{where}, and the server took none"
        elif state == "BOUNCED":
            assert (number, row.tenant) in self.bounced, where
        if state in UNREACHED and current and row.tenant not in self.gone:
            present = self.addresses[row.tenant][-1]
            assert evidence.recipient == present, f"{where}, and the corrected address was never tried"
        if row.tenant not in self.gone:
            assert evidence.reply != NO_CONTACT, where
