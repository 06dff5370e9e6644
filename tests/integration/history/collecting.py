"""What all rules of the state machine share, and the rules of collecting."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from typing import Any, ClassVar, NamedTuple, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from idv.errors import IdvError
from idv.types.v1 import data_pb2, processing_pb2

from tests.integration.history.kills import Kills
from tests.integration.history.model import CATEGORIES, Answers, Model, Record, Session
from tests.integration.history.suite import Suite, answered, as_opened
from tests.integration.test_durability import noise

CUSTOMER = st.integers(0, 1)
SUBJECT = st.sampled_from(["ada", "grace"])
ANY = st.integers(0, 30)  # of what there is, the one at this place, counted round
IMAGE = noise()
REMEMBERED = timedelta(days=28)
"""A request is remembered as long as the day on which it was made."""
TOO_LATE = frozenset(
    {
        *("ERASED", "EXPIRED", "NOT_FOUND", "OPTED_OUT", "CUSTOMER_SUSPENDED", "SESSION_CLOSED"),
        *("CREDENTIAL_EXPIRED", "UNAUTHENTICATED", "TIME_OUT_OF_RANGE", "ATTESTATION_STALE"),
    }
)
"""How a late repeat may be refused where the first answer cannot be given any more."""

_Answer = TypeVar("_Answer")


class Repeat(NamedTuple):
    """A mutation that can be asked for once more, and whose first answer must come again."""

    kind: str
    customer: str
    until: datetime
    """The request is remembered to then at least."""
    ask: Callable[[], Coroutine[Any, Any, None]]


def always(_: Base) -> bool:
    """A condition that every state meets."""
    return True


def when(condition: Callable[[Any], Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A rule that does nothing unless the condition holds, or once enough was done.

    A precondition of hypothesis must not depend on what a race decided: it would draw differently the next
    time. So the rule is drawn all the same, and is no step.
    """

    def limited(act: Callable[..., None]) -> Callable[..., None]:
        @wraps(act)
        def limited_act(self: Base, **drawn: Any) -> None:
            if self.steps.total() < self.enough and condition(self):
                act(self, **drawn)

        return limited_act

    return limited


class Base(RuleBasedStateMachine):
    """What all rules share: two Customers of this history alone, the suite, and the count of steps."""

    suite: ClassVar[Suite]
    loop: ClassVar[asyncio.AbstractEventLoop]
    kills: ClassVar[Kills]
    steps: ClassVar[Counter[str]] = Counter()
    seconds: ClassVar[dict[str, float]] = defaultdict(float)
    """Real time by kind of step."""
    histories: ClassVar[int] = 0
    enough: ClassVar[int]
    """Steps of all histories together."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.taken = self.toggled = 0
        self.customers = [f"{name}-{uuid.uuid4().hex[:12]}" for name in ("acme", "globex")]
        self.repeats: list[Repeat] = []
        type(self).histories += 1

    def do(self, kind: str, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Does a step's work on the loop of the stack, and counts it."""
        began = time.monotonic()
        try:
            return asyncio.run_coroutine_threadsafe(self.kills.meanwhile(work), self.loop).result()
        finally:
            self.steps[kind] += 1
            self.seconds[kind] += time.monotonic() - began
            self.taken += 1
            self.model.latest = max(self.model.latest, self.now)

    @property
    def now(self) -> datetime:
        """The clock of the suite."""
        return self.suite.stack.clock.now()

    async def travelled(self, to: datetime) -> None:
        """Moves the clock of the whole suite."""
        self.suite.stack.travel(to=to)

    def passed(self, since: datetime) -> bool:
        """Whether a record's term may have ended since: then two looks may differ."""
        return any(since <= one.expires <= self.now for one in self.model.records)

    def later(
        self,
        kind: str,
        customer: str,
        ask: Callable[[], Coroutine[Any, Any, None]],
        within: timedelta = REMEMBERED,
    ) -> None:
        """Keeps a mutation for a repeat long after."""
        self.repeats.append(Repeat(kind, customer, self.now + within, ask))

    async def expect(
        self, answers: Callable[[datetime, datetime], Answers], call: Awaitable[_Answer]
    ) -> _Answer | None:
        """The call's answer, or None where it is refused; fails unless that is right."""
        before = self.now
        refusal, answer = None, None
        try:
            answer = await call
        except IdvError as error:
            refusal = error.reason_name
        right = answers(before, self.now)
        assert right.hold(refusal), f"answered {refusal or 'as asked'}, not by {right}"
        return answer


class Collecting(Base):
    """Sessions, items and images."""

    @initialize()
    def register(self) -> None:
        """Makes both Customers known, and opens a session of each: there is something from the beginning."""
        if self.steps.total() >= self.enough:
            return
        for customer in self.customers:
            self.do("register a Customer", self.suite.register(customer))
            self.do("open a session", self._open(customer, "ada"))

    @rule(customer=CUSTOMER, subject=SUBJECT)
    @when(always)
    def open(self, customer: int, subject: str) -> None:
        """Opens a session."""
        self.do("open a session", self._open(self.customers[customer], subject))

    async def _open(self, customer: str, subject: str) -> None:
        restricted = self.model.restricted(customer, subject, self.now)
        items = frozenset({"face_image", "log", *(category for _, category in CATEGORIES.values())})
        answer = await self.expect(
            lambda before, after: self.model.opening(customer, subject, items, before),
            self.suite.open(customer, subject),
        )
        if answer is not None:
            made = answer.session
            times = made.create_time.ToDatetime(UTC), made.close_time.ToDatetime(UTC)
            session = Session(
                made.name, customer, subject, answer.upload_token, *times, restricted=restricted
            )
            self.model.sessions.append(session)

    @rule(at=ANY, which=st.sampled_from(sorted(CATEGORIES)), again=st.booleans())
    @when(lambda self: self.model.sessions)
    def submit(self, at: int, which: str, again: bool) -> None:
        """Submits items to one of the sessions, the latest first."""
        session = self.model.sessions[-1 - at % len(self.model.sessions)]
        self.do("submit items", self.submitted(session, which, again=again))

    async def submitted(self, session: Session, which: str, *, again: bool) -> None:
        """A submission, accepted or refused as the model says."""
        text, category = CATEGORIES[which]
        items, request_id = data_pb2.ItemSet(), str(uuid.uuid4())
        message = getattr(items, which)
        setattr(message, text, uuid.uuid4().hex)
        opened = as_opened(session.name, session.token)

        async def send() -> list[processing_pb2.Record]:
            return await answered(
                lambda: self.suite.verification.submit(opened, items, request_id=request_id), "a submission"
            )

        records = await self._collect(session, category, send())
        if records:
            body = message.SerializeToString(deterministic=True)
            self._took(session, category, records[0], hashlib.sha256(body).digest())
            names = [one.name for one in records]
            if again:
                assert [one.name for one in await send()] == names
            self.later("a submission", session.customer, partial(self._same_records, send, names))

    async def _same_records(
        self, send: Callable[[], Awaitable[list[processing_pb2.Record]]], names: list[str]
    ) -> None:
        try:
            assert [one.name for one in await send()] == names
        except IdvError as error:
            assert error.reason_name in TOO_LATE, error  # noqa: PT017 - nothing comes of it either

    @rule(at=st.integers(0, 3))
    @when(lambda self: self.model.sessions)
    def upload(self, at: int) -> None:
        """Uploads an image that goes to the object store."""
        session = self.model.sessions[-1 - at % len(self.model.sessions)]
        self.do("upload an image", self.uploaded(session))

    async def uploaded(self, session: Session) -> None:
        """An upload, accepted or refused as the model says."""
        opened, request_id, what = (
            as_opened(session.name, session.token),
            str(uuid.uuid4()),
            data_pb2.FaceImage(),
        )
        answer = await self._collect(
            session,
            "face_image",
            answered(
                lambda: self.suite.verification.upload(opened, IMAGE, what, request_id=request_id),
                "an upload",
            ),
        )
        if answer is not None:
            self._took(session, "face_image", answer.record, answer.stored_sha256)

    async def _collect(self, session: Session, category: str, call: Awaitable[_Answer]) -> _Answer | None:
        return await self.expect(
            lambda before, after: self.model.collecting(session, category, before, after), call
        )

    def _took(self, session: Session, category: str, record: processing_pb2.Record, digest: bytes) -> None:
        if session.erased is None:
            session.erased = False
        times = record.receive_time.ToDatetime(UTC), record.expire_time.ToDatetime(UTC)
        self.model.records.append(Record(record.name, session, category, *times, digest))
