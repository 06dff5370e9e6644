"""Receipts under a checkpoint that witnesses cosigned.

A receipt is issued at once, under a checkpoint that no witness has seen yet, and never changes. Later the
same leaf is proven under a newer checkpoint that was witnessed: a second text, with the same entry.
"""

from __future__ import annotations

from idv import receipts
from idv.retention.v1 import deletions_pb2

from services.retention.log import TransparencyLog
from services.retention.witnesses import Witnesses


class WitnessedReceipts:
    """Adds to a deletion's receipt the one under the newest witnessed checkpoint."""

    def __init__(self, log: TransparencyLog, witnesses: Witnesses) -> None:
        self._log, self._witnesses = log, witnesses

    async def add(self, deletion: deletions_pb2.Deletion) -> deletions_pb2.Deletion:
        """The same message, with the witnessed receipt where the witnesses have come that far."""
        if not deletion.HasField("receipt"):
            return deletion
        head = await self._witnesses.newest()
        index = deletion.receipt.leaf_index
        if head is not None and index < head.size:
            proof = await self._log.inclusion_proof(index, head.size)
            deletion.receipt.witnessed_json = receipts.renew(deletion.receipt.json, proof.hashes, head.note)
        return deletion
