"""What the chapters share: the running stack, who takes part, and what was shown so far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from idv.retention.v1 import deletions_pb2
from idv.types.v1 import processing_pb2, receipt_pb2

from services.cli.client import Suite, Who
from services.cli.demo.cast import Person
from services.cli.demo.narration import Narration
from services.cli.demo.probes import Backup, Probes, Slot
from services.cli.failure import NotAsPromisedError
from services.local.stack import LocalStack

_T = TypeVar("_T")

ACME, GLOBEX = Who("customer", "acme"), Who("customer", "globex")
VERIFICATION, SUPPORT, OFFICER = (
    Who("service", "verification"),
    Who("service", "support"),
    Who("service", "officer"),
)

EVENTUALLY_SECONDS = 30.0
"""How long a periodic job of the suite may take until its work shows."""
_LOOK_AGAIN_SECONDS = 0.1


class Shown(NamedTuple):
    """One step, done: its promise, what it showed, whether it was as promised, and the evidence."""

    promise: str
    step: str
    ok: bool
    evidence: str


@dataclass
class Stage:
    """The state of one run."""

    stack: LocalStack
    suite: Suite
    probes: Probes
    narration: Narration
    folder: Path
    """Where the receipt goes."""
    amended_time: datetime | None = None
    """From when version 2 was to be in force, as it was announced."""
    announce_time: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the notice was announced."""
    people: dict[str, Person] = field(default_factory=dict)
    records: dict[str, processing_pb2.Record] = field(default_factory=dict)
    """The records that later chapters come back to, by what they are called here."""
    stored_sha256: dict[str, bytes] = field(default_factory=dict)
    backup: Backup | None = None
    slot: Slot | None = None
    """Where the key authority keeps the key that the backup needs."""
    objects: list[tuple[str, str]] = field(default_factory=list)
    """Bucket and name of the objects of person A."""
    deletion: deletions_pb2.Deletion = field(default_factory=deletions_pb2.Deletion)
    deletion_request: deletions_pb2.CreateDeletionRequest = field(
        default_factory=deletions_pb2.CreateDeletionRequest
    )
    checkpoint: receipt_pb2.Checkpoint = field(default_factory=receipt_pb2.Checkpoint)
    shown: list[Shown] = field(default_factory=list)

    def person(self, name: str) -> Person:
        """Somebody whose session was opened before. Raises NotAsPromisedError when it was not."""
        if name not in self.people:
            raise NotAsPromisedError(f"not reached: no session was opened for person {name}")
        return self.people[name]

    def record(self, name: str) -> processing_pb2.Record:
        """A record that was acknowledged before. Raises NotAsPromisedError when it was not."""
        if name not in self.records:
            raise NotAsPromisedError(f"not reached: the record {name!r} was never acknowledged")
        return self.records[name]


Act = Callable[[Stage], Awaitable[str]]
"""Shows one thing on the real services and returns the evidence; raises NotAsPromisedError when it is not
so.
"""


class Step(NamedTuple):
    """One thing to show: which promise, in a few words, and how."""

    promise: str
    title: str
    act: Act


class Chapter(NamedTuple):
    """Steps that belong together, and two sentences for the reader."""

    title: str
    story: str
    steps: tuple[Step, ...]


async def play(stage: Stage, chapters: tuple[Chapter, ...]) -> None:
    """Plays every chapter to its end, whatever happens: a step that fails is shown as not as promised."""
    for number, chapter in enumerate(chapters, 1):
        stage.narration.chapter(number, chapter.title, chapter.story)
        for step in chapter.steps:
            with stage.narration.working(step.title):
                ok, evidence = await _attempt(step, stage)
            shown = Shown(step.promise, step.title, ok, evidence)
            stage.shown.append(shown)
            stage.narration.step(*shown)


async def _attempt(step: Step, stage: Stage) -> tuple[bool, str]:
    try:
        return True, await step.act(stage)
    except NotAsPromisedError as error:
        return False, str(error)
    except Exception as error:
        # Whatever else goes wrong: the promise was not shown, and the run says so and goes on.
        return False, f"{type(error).__name__}: {error}"


def promised(condition: bool, otherwise: str) -> None:
    """Raises NotAsPromisedError with `otherwise` unless the condition holds."""
    if not condition:
        raise NotAsPromisedError(otherwise)


async def eventually(look: Callable[[], Awaitable[_T | None]], otherwise: str) -> _T:
    """What `look` finds once a periodic job has done its work; NotAsPromisedError with `otherwise` if it
    never does.
    """
    end = time.monotonic() + EVENTUALLY_SECONDS
    while (found := await look()) is None:
        if time.monotonic() > end:
            raise NotAsPromisedError(f"{otherwise} within {EVENTUALLY_SECONDS:.0f} s")
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    return found
