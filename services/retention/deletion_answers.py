"""What a deletion is answered and logged with: its leaf's entry, and the errors that name it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from idv.errors import IdvError, Reason
from idv.receipts import commitment
from idv.types.v1 import receipt_pb2

from services.retention.entries import Entry, entry
from services.retention.storage_gateway import Erasure
from services.retention.store import Deletion
from services.retention.targets import Target, parts
from services.runtime.resources import deletion_name

RETRY: Final = timedelta(seconds=2)
"""When a deletion that could not go on is tried again."""


def deletion_entry(deletion: Deletion, target: Target, erasure: Erasure, now: datetime, failed: int) -> Entry:
    """What a deletion's leaf stands for. It names no person: see `idv.receipts.commitment`.

    Of several targets it says how many there were, and how many of them failed.
    """
    several = "targets" in target
    facts = {
        "deletion": deletion_name(deletion.tenant, str(deletion.deletion)),
        "scope": deletion.scope,
        "request": commitment(str(deletion.request_id), target),
        "receive_time": deletion.receive_time,
        "erase_time": erasure.erase_time,
        "complete_time": now,
        "final_time": erasure.final_time,
        "record_count": erasure.record_count,
        "session_count": erasure.session_count,
        "object_count": erasure.object_count,
        "claim": erasure.claim,
        "target_count": len(parts(target)) if several else None,
        "failed_count": failed if several else None,
    }
    return entry(receipt_pb2.ENTRY_KIND_DELETION, f"deletion/{deletion.deletion}", facts, public=False)


def found(deletion: Deletion | None) -> Deletion:
    """The deletion; raises NOT_FOUND where there is none."""
    if deletion is None:
        raise IdvError(Reason.ERROR_REASON_NOT_FOUND, "there is no such deletion", field="name")
    return deletion


def failed_for_good(deletion: Deletion) -> IdvError:
    """The answer to whoever asks for a deletion that failed for good: storage's reason."""
    return IdvError(
        Reason.Value(deletion.failure or ""),
        "the deletion failed for good: storage knows nothing of that name to delete",
        field="target",
        remedy="correct the target and use a new request id",
        metadata={"deletion": deletion_name(deletion.tenant, str(deletion.deletion))},
    )


def unfinished(deletion: Deletion) -> IdvError:
    """The answer while something that a deletion needs is away: it goes on by itself."""
    return IdvError(
        Reason.ERROR_REASON_UNAVAILABLE,
        "the deletion is recorded and will be carried out, but it is not done yet",
        remedy="repeat the call with the same request id to get the receipt",
        metadata={"deletion": deletion_name(deletion.tenant, str(deletion.deletion))},
        retry_after=RETRY.total_seconds(),
        tried=True,
    )
