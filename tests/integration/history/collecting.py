"""What all rules of the state machine share, and the rules of collecting."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from idv.errors import IdvError
from idv.types.v1 import data_pb2, processing_pb2

from tests.integration.history.model import CATEGORIES, Answers, Model, Record, Session
from tests.integration.history.suite import Suite, answered, as_opened
from tests.integration.test_durability import noise

CUSTOMER = st.integers(0, 1)
SUBJECT = st.sampled_from(["ada", "grace"])
ANY = st.integers(0, 30)  # of what there is, the one at this place, counted round
IMAGE = noise()

_Answer = TypeVar("_Answer")


class Base(RuleBasedStateMachine):
    """What all rules share: two Customers of this history alone, the suite, and the count of steps."""

    suite: ClassVar[Suite]
    loop: ClassVar[asyncio.AbstractEventLoop]
    steps: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.taken = 0
        self.customers = [f"{name}-{uuid.uuid4().hex[:12]}" for name in ("acme", "globex")]
        self.repeats: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self.background: asyncio.Task[None] | None = None

    def do(self, kind: str, work: Coroutine[Any, Any, _Answer]) -> _Answer:
        """Does a step's work on the loop of the stack, and counts it."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop).result()
        finally:
            self.steps[kind] += 1
            self.taken += 1
            self.model.latest = max(self.model.latest, self.now)

    @property
    def now(self) -> datetime:
        """The clock of the suite."""
        return self.suite.stack.clock.now()

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
        for customer in self.customers:
            self.do("register a Customer", self.suite.register(customer))
            self.do("open a session", self._open(customer, "ada"))

    @rule(customer=CUSTOMER, subject=SUBJECT)
    def open(self, customer: int, subject: str) -> None:
        """Opens a session."""
        self.do("open a session", self._open(self.customers[customer], subject))

    async def _open(self, customer: str, subject: str) -> None:
        restricted, began = self.model.restricted(customer, subject, self.now), time.monotonic()
        items = frozenset({"face_image", "log", *(category for _, category in CATEGORIES.values())})
        answer = await self.expect(
            lambda before, after: self.model.opening(customer, subject, items, before, began),
            self.suite.open(customer, subject),
        )
        if answer is not None:
            made = answer.session
            times = made.create_time.ToDatetime(UTC), made.close_time.ToDatetime(UTC)
            session = Session(
                made.name, customer, subject, answer.upload_token, *times, restricted=restricted
            )
            self.model.sessions.append(session)

    @precondition(lambda self: self.model.sessions)
    @rule(at=ANY, which=st.sampled_from(sorted(CATEGORIES)), again=st.booleans())
    def submit(self, at: int, which: str, again: bool) -> None:
        """Submits items to one of the sessions, the latest first."""
        session = self.model.sessions[-1 - at % len(self.model.sessions)]
        self.do("submit items", self._submit(session, which, again))

    async def _submit(self, session: Session, which: str, again: bool) -> None:
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
            if again:
                assert [one.name for one in await send()] == [one.name for one in records]

    @precondition(lambda self: self.model.sessions)
    @rule(at=st.integers(0, 3))
    def upload(self, at: int) -> None:
        """Uploads an image that goes to the object store."""
        session = self.model.sessions[-1 - at % len(self.model.sessions)]
        self.do("upload an image", self._upload(session))

    async def _upload(self, session: Session) -> None:
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
        began = time.monotonic()
        return await self.expect(
            lambda before, after: self.model.collecting(session, category, before, after, began), call
        )

    def _took(self, session: Session, category: str, record: processing_pb2.Record, digest: bytes) -> None:
        if session.erased is None:
            session.erased = False
        times = record.receive_time.ToDatetime(UTC), record.expire_time.ToDatetime(UTC)
        self.model.records.append(Record(record.name, session, category, *times, digest))
