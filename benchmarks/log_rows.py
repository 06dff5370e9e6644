"""The rows of a transparency log, made without the service: for building a long one, and for bare inserts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from idv import merkle
from idv.merkle import Node
from idv.types.v1 import receipt_pb2

from services.retention.signing import LogSigner

SIGNER = LogSigner("bench.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
KIND = receipt_pb2.ENTRY_KIND_KEY_DESTRUCTION
_CHUNK = 50_000


class Growing:
    """A tree that keeps only its edge, so that a million leaves take no memory."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: dict[Node, bytes] = {}

    def add(self, leaves: Sequence[bytes]) -> dict[Node, bytes]:
        """The nodes that these leaves complete."""
        grown = dict(merkle.grow(self.size, self._edge, map(merkle.leaf_hash, leaves)))
        self.size += len(leaves)
        known = self._edge | grown
        self._edge = {node: known[node] for node in merkle.subtrees(0, self.size)}
        return grown

    def root(self) -> bytes:
        """The root of the tree so far."""
        return merkle.fold([self._edge[node] for node in merkle.subtrees(0, self.size)])


async def build(connection: Any, size: int) -> None:
    """Copies a log of `size` leaves into an empty schema of retention, signed by SIGNER."""
    tree = Growing()
    seed = os.urandom(16)
    while tree.size < size:
        begin = tree.size
        leaves = [
            hashlib.sha256(seed + number.to_bytes(8, "big")).digest()
            for number in range(begin, min(begin + _CHUNK, size))
        ]
        grown = tree.add(leaves)
        nodes = ((node.level, node.number, hash_) for node, hash_ in grown.items())
        await connection.copy_records_to_table("log_nodes", schema_name="retention", records=nodes)
        rows = _leaves(leaves, begin)
        await connection.copy_records_to_table(
            "log_leaves",
            schema_name="retention",
            records=rows,
            columns=["leaf_index", "leaf_data", "kind", "source", "append_time"],
        )
    insert = "INSERT INTO retention.log_checkpoints VALUES ($1, $2, $3, to_timestamp(0))"
    await connection.execute(insert, size, tree.root(), SIGNER.sign(size, tree.root()))
    await connection.execute("ANALYZE retention.log_nodes")


def _leaves(leaves: Sequence[bytes], begin: int) -> Iterator[tuple[Any, ...]]:
    time = datetime.fromtimestamp(0, UTC)
    return ((begin + at, leaf, KIND, f"bench/{begin + at}", time) for at, leaf in enumerate(leaves))
