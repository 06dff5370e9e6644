"""One story told by the clock: what was collected, deleted and proven, and when each thing is due."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from idv import receipts
from idv.errors import IdvError
from idv.receipts import VerifiedReceipt
from idv.retention.v1 import log_pb2
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceStub
from idv.types.v1 import processing_pb2, receipt_pb2

from services.local.stack import LocalStack
from tests.integration import insides
from tests.integration.callers import NOBODY, Callers
from tests.integration.verification import Verification

TERM = timedelta(days=30)
SLOT = timedelta(minutes=15)


@dataclass
class Story:
    """What the earlier tests leave for the later ones."""

    stack: LocalStack
    callers: Callers
    verification: Verification
    small: processing_pb2.Record = field(default_factory=processing_pb2.Record)
    image: processing_pb2.Record = field(default_factory=processing_pb2.Record)
    bodies: dict[str, bytes] = field(default_factory=dict)
    proofs: list[str] = field(default_factory=list)
    root_key: RootKey | None = None
    checkpoint: receipt_pb2.Checkpoint = field(default_factory=receipt_pb2.Checkpoint)

    @property
    def received(self) -> datetime:
        """The later of the two receipts: the session's records share its slot, or follow in the next."""
        return max(instant(self.small.receive_time), instant(self.image.receive_time))

    @property
    def day(self) -> date:
        """The session's UTC day."""
        return self.received.date()

    async def refused(self, record: processing_pb2.Record) -> str:
        with pytest.raises(IdvError) as refused:
            await self.verification.read(record.name)
        return refused.value.reason_name

    async def leaves(self, kind: receipt_pb2.EntryKind.ValueType) -> list[dict[str, Any]]:
        """The published entries of a kind."""
        log = self.callers.stub(TransparencyLogServiceStub, "retention", NOBODY)
        answer = await log.ListLogEntries(log_pb2.ListLogEntriesRequest(page_size=1000))
        found = [entry for entry in answer.entries if entry.kind == kind]
        return [json.loads(entry.opening.entry) for entry in found if entry.opening.entry]

    async def newest_checkpoint(self) -> receipt_pb2.Checkpoint:
        log = self.callers.stub(TransparencyLogServiceStub, "retention", NOBODY)
        return (await log.GetCheckpoint(log_pb2.GetCheckpointRequest())).checkpoint

    def verify(self, receipt: str) -> VerifiedReceipt:
        """Offline: with nothing but the receipt and the log's public key."""
        return receipts.verify(receipt, self.stack.log_public_key)


@dataclass(frozen=True)
class RootKey:
    """A quarter-hour's root key as it rests, copied while it could still be opened."""

    day: date
    slot: int
    version: int
    sealed: bytes

    @property
    def name(self) -> str:
        """Its name in the key authority."""
        return f"{self.day:%Y%m%d}/{self.slot:03}"


def instant(timestamp: Timestamp) -> datetime:
    moment: datetime = timestamp.ToDatetime(UTC)
    return moment


def key_due(record: processing_pb2.Record) -> datetime:
    """When the key of the quarter-hour in which a record came must be gone."""
    received = instant(record.receive_time)
    midnight = datetime.combine(received.date(), time.min, UTC)
    return midnight + ((received - midnight) // SLOT + 1) * SLOT + TERM


async def newest_root_key(story: Story) -> RootKey:
    """The root key of the quarter-hour in which the last record of the story's day came."""
    async with insides.superuser(story.stack) as connection:
        row = await connection.fetchrow(
            "SELECT day, slot, version, sealed FROM storage.root_keys"
            " WHERE day = $1 AND sealed IS NOT NULL AND slot < 104 ORDER BY slot DESC LIMIT 1",
            story.day,
        )
    assert row is not None
    return RootKey(*row)
