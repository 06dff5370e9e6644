"""Chapter: thirty days pass.

Readable a second before, unreadable at the second, then undecryptable, then gone.
"""

from __future__ import annotations

import json
from datetime import timedelta

from idv import merkle, receipts
from idv.errors import IdvError, Reason
from idv.retention.v1 import log_pb2
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceStub
from idv.types.v1 import processing_pb2, receipt_pb2

from services.cli.client import CALL_SECONDS, NOBODY
from services.cli.demo.calls import read, refusal
from services.cli.demo.probes import Backup, Slot, bucket_of
from services.cli.demo.stage import Chapter, Stage, Step, eventually, promised
from services.cli.failure import NotAsPromisedError
from services.cli.log import newest, opened, proven
from services.cli.messages import instant
from services.cli.records import counted
from services.storage.authority import KeyDestroyedError, LocalSlots
from services.storage.epochs import Epoch
from services.storage.slots import SlotFile

_RETENTION = timedelta(days=30)
_SECOND = timedelta(seconds=1)
_ATTEMPTS = 3


async def a_second_before(stage: Stage) -> str:
    """At 29 days, 23:59:59 the record is read for a purpose, as on its first day."""
    record = _record(stage)
    body, age = await _read_in_its_last_second(stage, record)
    promised(stage.person("B").canary.encode() in body, "the record is not the one that was sent")
    return f"at {_span(age)} after its receipt: {len(body)} bytes"


async def copied(stage: Stage) -> str:
    """A backup taken now, with the key authority at hand, still opens: so what follows can fail."""
    backup = stage.backup = await stage.probes.back_up(_record(stage))
    plain = await backup.open(_authority(stage), stage.suite.ready.deployment)
    promised(stage.person("B").canary.encode() in plain, "the backup does not open even before the key's end")
    stage.slot = stage.probes.slot_of(backup.key_name)
    promised(stage.slot is not None, "the key authority holds no key for it")
    return f"{len(backup.ciphertext)} bytes of ciphertext and the sealed root key, copied and opened once"


async def at_the_second(stage: Stage) -> str:
    """At 30 days, 00:00:00 the same reading is refused."""
    record = _record(stage)
    stage.stack.travel(to=instant(record.expire_time))
    told = await refusal(read(stage, record), Reason.ERROR_REASON_EXPIRED)
    return f"at {_span(_age(stage, record))}: {told}"


async def undecryptable(stage: Stage) -> str:
    """Within the hour the root key of its quarter-hour is destroyed: the slot's bytes are overwritten."""
    due = _epoch(stage).due(_RETENTION)
    stage.stack.travel(to=due + _SECOND)

    async def look() -> Slot | None:
        slot = stage.probes.slot_at(stage.slot.offset) if stage.slot else None
        return slot if slot and slot.zeroed else None

    slot = await eventually(look, "the root key is not destroyed")
    after = due - instant(_record(stage).expire_time)
    return f"slot at byte {slot.offset}: {len(slot.content)} zero bytes, {_span(after)} after the end"


async def backup_dead(stage: Stage) -> str:
    """The backup taken before opens no more, anywhere."""
    try:
        await _backup(stage).open(_authority(stage), stage.suite.ready.deployment)
    except KeyDestroyedError as error:
        return f"the same copy as before: {error}"
    raise NotAsPromisedError("the backup still opens")


async def bytes_gone(stage: Stage) -> str:
    """Within 27 hours partitions and bucket of the day are dropped."""
    day = _epoch(stage).day
    due = Epoch.of_day(day).due(_RETENTION)
    stage.stack.travel(to=due + _SECOND)
    bucket, pattern = bucket_of(day), f"%{day:%Y%m%d}%"
    query = "SELECT relname FROM pg_class WHERE relnamespace = 'storage'::regnamespace AND relname LIKE $1"

    async def look() -> int | None:
        tables = await stage.probes.rows(query, pattern)
        status = await stage.probes.object_status(bucket)
        return status if status == 404 and not tables else None

    status = await eventually(look, "partitions or bucket of the day are still there")
    after = due - instant(_record(stage).expire_time)
    promised(after < timedelta(hours=27), f"{_span(after)} after the end is later than promised")
    return f"0 tables of the day; bucket {bucket}: HEAD {status}; {_span(after)} after the end"


async def logged(stage: Stage) -> str:
    """Both destructions are leaves of the log, openly, each with its inclusion proof."""
    epoch = _epoch(stage)
    key = await leaf_of(
        stage, receipt_pb2.ENTRY_KIND_KEY_DESTRUCTION, day=epoch.day.isoformat(), slot=epoch.slot
    )
    day = await leaf_of(stage, receipt_pb2.ENTRY_KIND_DAY_REMOVAL, day=epoch.day.isoformat())
    proofs = []
    for leaf in (key, day):
        _, proof, _ = await proven(stage.suite, leaf)
        proofs.append(f"leaf {leaf} of {proof.tree_size} by {counted(len(proof.hashes), 'hash', 'hashes')}")
    return f"key: {proofs[0]}; day: {proofs[1]}"


async def announcement_logged(stage: Stage) -> str:
    """So is the announcement of the notice."""
    leaf = await leaf_of(stage, receipt_pb2.ENTRY_KIND_NOTICE_ANNOUNCEMENT, version=1)
    _, proof, _ = await proven(stage.suite, leaf)
    hashes = counted(len(proof.hashes), "hash", "hashes")
    return f"leaf {leaf} of {proof.tree_size}, its proof of {hashes} verified"


async def consistent(stage: Stage) -> str:
    """The log of today begins with the log that signed the receipt: nothing was taken back."""
    key = stage.stack.log_public_key
    old, new = opened(stage.checkpoint.note, key), opened((await newest(stage.suite)).note, key)
    request = log_pb2.GetConsistencyProofRequest(first_size=old.size, second_size=new.size)
    stub = stage.suite.stub(TransparencyLogServiceStub, "retention", NOBODY)
    answer = await stub.GetConsistencyProof(request, timeout=CALL_SECONDS)
    merkle.verify_consistency(old.size, new.size, old.root, new.root, list(answer.hashes))
    receipts.verify((stage.folder / "receipt.json").read_text(), key)
    return f"{old.size} leaves then are the first of {new.size} now; the receipt still verifies offline"


async def _read_in_its_last_second(stage: Stage, record: processing_pb2.Record) -> tuple[bytes, timedelta]:
    """The body, and the record's age when it had arrived; again where a busy machine let the second pass."""
    for _ in range(_ATTEMPTS):
        stage.stack.travel(to=instant(record.expire_time) - _SECOND)
        try:
            body, age = await read(stage, record), _age(stage, record)
        except IdvError as error:
            if error.reason != Reason.ERROR_REASON_EXPIRED:
                raise
            continue
        if age < _RETENTION:
            return body, age
    raise NotAsPromisedError("the record could not be read within its last second")


async def leaf_of(stage: Stage, kind: receipt_pb2.EntryKind.ValueType, **facts: str | int) -> int:
    """The leaf whose published entry says so."""
    stub = stage.suite.stub(TransparencyLogServiceStub, "retention", NOBODY)

    async def look() -> int | None:
        answer = await stub.ListLogEntries(
            log_pb2.ListLogEntriesRequest(page_size=1000), timeout=CALL_SECONDS
        )
        for entry in answer.entries:
            said = json.loads(entry.opening.entry) if entry.kind == kind and entry.opening.entry else {}
            if said and all(said.get(name) == value for name, value in facts.items()):
                return entry.index
        return None

    return await eventually(look, f"the log holds no {receipt_pb2.EntryKind.Name(kind)} of it")


def _record(stage: Stage) -> processing_pb2.Record:
    return stage.record("B log")


def _epoch(stage: Stage) -> Epoch:
    return _backup(stage).epoch


def _backup(stage: Stage) -> Backup:
    if stage.backup is None:
        raise NotAsPromisedError("no backup was taken before")
    return stage.backup


def _authority(stage: Stage) -> LocalSlots:
    return LocalSlots(SlotFile(stage.stack.layout.authority / "slots"))


def _age(stage: Stage, record: processing_pb2.Record) -> timedelta:
    return stage.stack.clock.now() - instant(record.receive_time)


def _span(span: timedelta) -> str:
    """A span of time to the hundredth of a second: `30 d 00:00:00.04`."""
    hours, rest = divmod(span.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    clock = f"{hours:02}:{minutes:02}:{seconds:02}.{span.microseconds // 10000:02}"
    return f"{span.days} d {clock}" if span.days else clock


CHAPTER = Chapter(
    "Thirty days, never longer",
    "The clock of the whole suite is moved; TLS keeps real time. A backup of one record is taken along, "
    "to see whether it opens afterwards.",
    (
        Step("P3", "One second before 30 days: readable", a_second_before),
        Step("P3", "A backup taken now can be opened", copied),
        Step("P3", "At the second: unreadable", at_the_second),
        Step("P3", "Within the hour: undecryptable", undecryptable),
        Step("P3", "The backup opens no more", backup_dead),
        Step("P3", "Within 27 hours: gone", bytes_gone),
        Step("P9", "The log holds both, with proofs", logged),
        Step("P9", "The log holds the announcement", announcement_logged),
        Step("P9", "The log took nothing back", consistent),
    ),
)
