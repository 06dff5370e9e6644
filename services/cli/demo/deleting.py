"""Chapter: a Customer deletes an end user; unreadable at the answer, and proven offline."""

from __future__ import annotations

from uuid import UUID

from idv import receipts
from idv.errors import Reason
from idv.retention.v1 import deletions_pb2

from services.cli.client import parent
from services.cli.deletions import carried_out
from services.cli.demo.calls import new_id, read, refusal, submit
from services.cli.demo.cast import log_items
from services.cli.demo.stage import ACME, Chapter, Stage, Step, promised
from services.cli.log import newest
from services.cli.messages import shown_time

_RECEIPT = "receipt.json"
_ROWS = """
    SELECT count(*) AS rows,
           count(*) FILTER (WHERE body IS NOT NULL OR details IS NOT NULL OR commitment IS NOT NULL) AS bodies
    FROM storage.records WHERE session = $1
"""


async def before(stage: Stage) -> str:
    """What is there of the person before."""
    session = _session(stage)
    rows = (await stage.probes.rows(_ROWS, session))[0]
    objects = await stage.probes.object_names(str(session))
    statuses = [await stage.probes.object_status(*each) for each in objects]
    promised(rows["bodies"] == rows["rows"] > 0, f"{rows['bodies']} of {rows['rows']} rows have a body")
    promised(set(statuses) <= {200} and bool(statuses), f"HEAD answers {statuses}")
    stage.objects = objects
    return f"SQL: {rows['rows']} rows with bodies; S3: HEAD 200 ({len(objects)} of {len(objects)})"


async def deleted(stage: Stage) -> str:
    """The Customer deletes everything of the person, by its own reference."""
    stage.deletion_request = deletions_pb2.CreateDeletionRequest(
        parent=parent(ACME),
        request_id=new_id(),
        target=deletions_pb2.DeletionTarget(subject=stage.person("A").subject),
    )
    stage.deletion = await carried_out(stage.suite, ACME, stage.deletion_request)
    state = stage.deletion.state
    promised(
        state == deletions_pb2.DELETION_STATE_DONE, f"its state is {deletions_pb2.DeletionState.Name(state)}"
    )
    (stage.folder / _RECEIPT).write_text(stage.deletion.receipt.json)
    stage.checkpoint = await newest(stage.suite)
    return (
        f"{stage.deletion.record_count} records, {stage.deletion.session_count} session; done when answered"
    )


async def unreadable(stage: Stage) -> str:
    """No record of the person can be read any more."""
    names = [name for name in stage.records if name.startswith("A ")]
    for name in names:
        told = await refusal(read(stage, stage.record(name)), Reason.ERROR_REASON_ERASED)
    return f"{len(names)} of {len(names)} reads: {told}"


async def gone(stage: Stage) -> str:
    """Rows are tombstones without a body; objects are gone from the store."""
    rows = (await stage.probes.rows(_ROWS, _session(stage)))[0]
    statuses = [await stage.probes.object_status(*each) for each in stage.objects]
    promised(rows["bodies"] == 0, f"{rows['bodies']} rows still have a body")
    promised(set(statuses) == {404}, f"HEAD answers {statuses}")
    heads = f"S3: HEAD 404 ({len(statuses)} of {len(statuses)})"
    return f"SQL: {rows['rows']} tombstones, 0 with a body or key; {heads}"


async def fenced(stage: Stage) -> str:
    """A late write of the SDK cannot bring anything back."""
    person = stage.person("A")
    call = submit(stage, person, log_items(person, stage.stack.clock.now()))
    return await refusal(call, Reason.ERROR_REASON_ERASED)


async def others_stay(stage: Stage) -> str:
    """Nobody else's records are touched."""
    for name in ("B log", "B jpeg", "C log", "C jpeg"):
        await read(stage, stage.record(name))
    return "persons B and C: rows and pictures still read"


async def repeated(stage: Stage) -> str:
    """A repeat of the request returns the same deletion and the same receipt."""
    again = await carried_out(stage.suite, ACME, stage.deletion_request)
    promised(again.name == stage.deletion.name, "the repeat made another deletion")
    promised(again.receipt.json == stage.deletion.receipt.json, "the repeat got another receipt")
    return f"same request id: same deletion, same {len(again.receipt.json.encode())}-byte receipt"


async def verified(stage: Stage) -> str:
    """The receipt verifies with nothing but the file and the log's public key, and for this person alone."""
    text, key = (stage.folder / _RECEIPT).read_text(), stage.stack.log_public_key
    proven = receipts.verify(text, key)
    request_id, subject = stage.deletion_request.request_id, stage.person("A").subject
    promised(proven.covers(request_id, {"subject": subject}), "the receipt is for something else")
    promised(not proven.covers(request_id, {"subject": "somebody else"}), "the receipt covers anybody")
    promised(stage.person("A").canary not in text, "the receipt holds personal data")
    return (
        f"{proven.kind} is leaf {proven.leaf_index} of {proven.checkpoint.size}, signed by {proven.key.name}"
    )


async def altered(stage: Stage) -> str:
    """A receipt with any byte changed is refused."""
    text = (stage.folder / _RECEIPT).read_bytes()
    reasons: dict[str, int] = {}
    for place in range(len(text)):
        changed = text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :]
        try:
            receipts.verify(changed, stage.stack.log_public_key)
        except receipts.ReceiptError as error:
            reasons[error.fault.value] = reasons.get(error.fault.value, 0) + 1
        else:
            promised(False, f"it verifies with byte {place} changed")
    told = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    return f"{len(text)} of {len(text)} single-byte changes refused: {told}"


async def honest(stage: Stage) -> str:
    """The receipt names the instant from which no copy can be opened, and claims nothing earlier."""
    final = stage.deletion.receipt.final_time
    promised(
        final.seconds > stage.deletion.receive_time.seconds,
        "the receipt claims finality before the key's end",
    )
    return f"final {shown_time(final)}: when the key of that quarter-hour is destroyed"


def _session(stage: Stage) -> UUID:
    return UUID(stage.person("A").session.name.rpartition("/")[2])


CHAPTER = Chapter(
    "Deleted on request, and proven",
    "acme deletes person A. Nothing of A can be read from the answer on, and the receipt proves it offline.",
    (
        Step("P4", "Before: rows and objects are there", before),
        Step("P4", "acme deletes everything of person A", deleted),
        Step("P4", "Unreadable once answered", unreadable),
        Step("P4", "Row and object are gone", gone),
        Step("P4", "A late write brings nothing back", fenced),
        Step("P4", "Nobody else is touched", others_stay),
        Step("P4", "A repeat returns the same receipt", repeated),
        Step("P9", "The receipt verifies offline", verified),
        Step("P9", "An altered receipt is refused", altered),
        Step("P9", "It claims no more than is true", honest),
    ),
)
