"""Whatever Customers do in whatever order, what is readable is what was stored and not deleted since.

Hypothesis makes histories; a model of a few lines says what must be readable after each.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from idv.errors import IdvError
from idv.retention.v1 import deletions_pb2
from idv.types.v1 import data_pb2, processing_pb2

from tests.integration.verification import Opened, Verification

CUSTOMERS = st.sampled_from(["acme", "globex"])
SUBJECTS = st.sampled_from(["ada", "grace"])
ANY = st.integers(0, 99)  # of what there is, the one at this place, counted round
CATEGORIES = st.sampled_from(["device_hardware", "device_network", "host_application"])

STEPS = st.one_of(
    st.tuples(st.just("open"), CUSTOMERS, SUBJECTS),
    st.tuples(st.just("submit"), ANY, CATEGORIES),
    st.tuples(st.just("submit"), ANY, CATEGORIES),
    st.tuples(st.just("delete_record"), ANY),
    st.tuples(st.just("delete_session"), ANY),
    st.tuples(st.just("delete_subject"), CUSTOMERS, SUBJECTS),
)


@dataclass
class Model:
    """What the suite should hold: sessions with subjects, records with bodies, and what of it is erased."""

    subject_of: dict[str, str] = field(default_factory=dict)
    opened: list[Opened] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    """Names of sessions and records."""

    def readable(self, record: str) -> bool:
        return record not in self.erased and record.rpartition("/records/")[0] not in self.erased

    def erase_subject(self, customer: str, subject: str) -> int:
        """How many records that makes unreadable."""
        gone = [
            each.name
            for each in self.opened
            if (each.customer, self.subject_of[each.name]) == (customer, subject)
        ]
        before = sum(map(self.readable, self.bodies))
        self.erased.update(gone)
        return before - sum(map(self.readable, self.bodies))


class History:
    """Takes the steps on the running suite and on the model alike."""

    def __init__(self, verification: Verification) -> None:
        self.verification = verification
        self.model = Model()
        self.run = uuid.uuid4().hex  # subjects of one history are nobody else's

    async def open(self, customer: str, subject: str) -> None:
        opened = await self.verification.open(customer, f"{subject}-{self.run}")
        self.model.opened.append(opened)
        self.model.subject_of[opened.name] = subject

    async def submit(self, at: int, category: str) -> None:
        if not self.model.opened:
            return
        opened = self.model.opened[at % len(self.model.opened)]
        items = data_pb2.ItemSet()
        message = getattr(items, category)
        said = {"device_hardware": "model", "device_network": "carrier", "host_application": "name"}[category]
        setattr(message, said, uuid.uuid4().hex)
        try:
            record = (await self.verification.submit(opened, items))[0]
        except IdvError as error:
            assert (error.reason_name, opened.name in self.model.erased) == ("ERASED", True)  # noqa: PT017
        else:
            assert opened.name not in self.model.erased
            self.model.bodies[record.name] = message.SerializeToString(deterministic=True)

    async def delete_record(self, at: int) -> None:
        if self.model.bodies:
            name = list(self.model.bodies)[at % len(self.model.bodies)]
            await self._delete(name.split("/")[1], deletions_pb2.DeletionTarget(record=name))
            self.model.erased.add(name)

    async def delete_session(self, at: int) -> None:
        if self.model.opened:
            opened = self.model.opened[at % len(self.model.opened)]
            await self._delete(opened.customer, deletions_pb2.DeletionTarget(session=opened.name))
            self.model.erased.add(opened.name)

    async def delete_subject(self, customer: str, subject: str) -> None:
        target = deletions_pb2.DeletionTarget(subject=f"{subject}-{self.run}")
        deletion = await self._delete(customer, target)
        assert deletion.record_count == self.model.erase_subject(customer, subject)

    async def _delete(self, customer: str, target: deletions_pb2.DeletionTarget) -> deletions_pb2.Deletion:
        return await self.verification.delete(customer, target)

    async def check(self) -> None:
        """Every record ever acknowledged reads as the model says, and every list shows the readable ones."""
        for name, body in self.model.bodies.items():
            try:
                read: bytes | None = await self.verification.read(name)
            except IdvError as error:
                assert error.reason_name == "ERASED"  # noqa: PT017 - the model decides whether it may be
                read = None
            assert read == (body if self.model.readable(name) else None)
        for opened in self.model.opened:
            listed = {each.name for each in await self._listed(opened)}
            own = {name for name in self.model.bodies if name.startswith(f"{opened.name}/")}
            assert listed == set(filter(self.model.readable, own))

    async def _listed(self, opened: Opened) -> list[processing_pb2.Record]:
        return await self.verification.records(opened.customer, session=opened.name)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(steps=st.lists(STEPS, min_size=6, max_size=24))
async def test_what_is_readable_is_what_was_stored_and_not_deleted(
    verification: Verification, steps: list[tuple[str, ...]]
) -> None:
    history = History(verification)
    await history.open("acme", "ada")
    for name, *arguments in steps:
        await getattr(history, name)(*arguments)
    await history.check()
