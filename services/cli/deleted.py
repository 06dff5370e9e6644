"""Which deletion a receipt should be of: any target that a deletion may have, as it is committed to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from idv import receipts
from idv.errors import IdvError, Reason

from services.cli.failure import usage


@dataclass(frozen=True)
class Deleted:
    """What the command line names: some records, sessions, subjects, categories; or a time; or everything."""

    records: Sequence[str]
    sessions: Sequence[str]
    subjects: Sequence[str]
    categories: Sequence[str]
    start: datetime | None
    end: datetime | None
    everything: bool

    def targets(self) -> list[dict[str, Any]]:
        """The targets that may be meant; none where nothing was named. Raises INVALID_ARGUMENT."""
        listed = [
            *({"record": one} for one in self.records),
            *({"session": one} for one in self.sessions),
            *({"subject": one} for one in self.subjects),
            *({"category": one} for one in self.categories),
        ]
        found: list[dict[str, Any]] = []
        if listed:  # one target may have been deleted by itself, or as the only one of a list
            several = {"targets": {str(place): one for place, one in enumerate(listed)}}
            found += [several] if len(listed) > 1 else [listed[0], several]
        if (self.start is None) != (self.end is None):
            raise usage("a time has a beginning and an end", "give both --from and --until")
        if self.start and self.end:
            found.append({"received": {"start_time": _instant(self.start), "end_time": _instant(self.end)}})
        if self.everything:
            found.append({"everything": "true"})
        kinds = bool(listed) + bool(self.start) + self.everything
        if kinds > 1:
            raise usage("a deletion is of one kind of target", "name a list, a time, or --everything")
        return found


def check(proven: receipts.VerifiedReceipt, request_id: str | None, deleted: Deleted) -> str | None:
    """What was confirmed, such as `subject`; None where nothing was named.

    Raises IdvError where the receipt is of something else, or the request's id is missing.
    """
    targets = deleted.targets()
    if not targets:
        return None
    if request_id is None:
        raise usage("what was deleted can be checked only with the request's id", "give --request-id as well")
    for target in targets:
        if proven.covers(request_id, target):
            return next(iter(target))
    raise IdvError(
        Reason.ERROR_REASON_UNSPECIFIED,
        f"the receipt is genuine, but not for this {next(iter(targets[0]))} under this request id",
        remedy="check both values",
        metadata={"fault": "other-target"},
    )


def _instant(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
