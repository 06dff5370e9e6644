"""The transparency log: entries appended for good, a signed head after each append, proofs in O(log n) reads.

Any number of replicas may append: a lock in the database puts them in a row, and indices, nodes, leaves and
checkpoint of an append are one transaction with whatever its caller does in it. So there is no leaf without
its cause, no cause without its leaf, and no head that was signed and then lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from idv import merkle, receipts
from idv.checkpoint import NoteError, open_checkpoint
from idv.errors import IdvError, Reason
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retention import log_store
from services.retention.entries import Entry
from services.retention.log_store import Head
from services.retention.signing import LogSigner
from services.runtime.clock import Clock
from services.runtime.database import Database
from services.runtime.start_error import StartError

_NOT_OPENED = "the log is used before it was opened"


@dataclass(frozen=True)
class InclusionProof:
    """That a leaf is in the tree of `size` leaves under `root`."""

    hashes: list[bytes]
    size: int
    root: bytes


@dataclass(frozen=True)
class ConsistencyProof:
    """That an earlier tree is the beginning of the tree of `size` leaves."""

    hashes: list[bytes]
    size: int


class ForeignLogError(StartError):
    """The log in the database was signed under a name or key that the settings do not give."""

    def __init__(self, size: int, why: NoteError) -> None:
        remedy = "set log.origin and log.signing_key as they were, or name the key before in log.former_keys"
        super().__init__(
            "the transparency log cannot be signed on", [f"its head of {size} leaves: {why}; {remedy}"]
        )


class LogDamagedError(Exception):
    """The database no longer holds what was signed: nothing is appended until it is restored."""


class Appended(NamedTuple):
    """The head after an append, and how many leaves it added."""

    head: Head
    leaves: int


class TransparencyLog:
    """The log in the service's database, signed by `signer`. Indices and sizes count leaves."""

    def __init__(self, database: Database, signer: LogSigner, clock: Clock) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock

    @property
    def signer(self) -> LogSigner:
        """Who signs it: its keys, and the use of each."""
        return self._signer

    @property
    def verifier_keys(self) -> str:
        """The keys that verify its checkpoints, one a line, the present one first."""
        return self._signer.published()

    async def open(self) -> None:
        """Signs the empty log if it is new. Raises ForeignLogError where its head is by an unknown key.

        Receipts would stop verifying if a wrong key went on signing, so a start with one is refused.
        """
        async with self._database.transaction() as connection:
            await log_store.lock(connection)
            head = await log_store.head(connection)
            if head is None:
                await log_store.add_head(connection, self._sign(0, merkle.EMPTY_ROOT))
                return
        try:
            open_checkpoint(head.note, self._signer.keys)
        except NoteError as error:
            raise ForeignLogError(head.size, error) from error

    async def append(self, connection: AsyncConnection, entries: Sequence[Entry]) -> Appended:
        """Appends those of `entries` that are not logged yet, in order, within the caller's transaction.

        Raises LogDamagedError where the log in the database is not the one that was signed. Holds the log's
        lock until the transaction ends: call it last.
        """
        head, leaves, _ = await self._append(connection, entries)
        return Appended(head, leaves)

    async def append_with_receipt(self, connection: AsyncConnection, entry: Entry) -> tuple[int, str]:
        """Appends one entry that is not logged yet; returns its index and the text of its receipt."""
        receipt = await self.append_once(connection, entry)
        if receipt is None:
            raise RuntimeError(f"{entry.source} is logged already")
        return receipt

    async def append_once(self, connection: AsyncConnection, entry: Entry) -> tuple[int, str] | None:
        """The same for one that may be logged already: then it answers None."""
        head, leaves, nodes = await self._append(connection, [entry])
        if not leaves:
            return None
        index = head.size - 1
        proof = merkle.prove(merkle.inclusion_plan(index, head.size), nodes)
        return index, receipts.render(entry.opening, entry.opening.leaf(), index, proof, head.note)

    async def locked_head(self, connection: AsyncConnection) -> Head:
        """The newest signed head, which stays the newest until the caller's transaction ends."""
        await log_store.lock(connection)
        return await self._head(connection)

    async def head(self) -> Head:
        """The newest signed head."""
        async with self._database.transaction() as connection:
            return await self._head(connection)

    async def tile(self, level: int, begin: int, width: int) -> list[bytes]:
        """The hashes of `width` perfect subtrees of a level from `begin` on; fewer at the log's end."""
        async with self._database.transaction() as connection:
            return await log_store.tile(connection, level, begin, width)

    async def leaves(self, begin: int, limit: int) -> tuple[Sequence[Row[tuple[object, ...]]], int]:
        """The leaves from index `begin` on, at most `limit`, and the size of the log."""
        async with self._database.transaction() as connection:
            head = await self._head(connection)
            rows = await log_store.leaves(connection, begin, min(limit, max(head.size - begin, 0)))
        return rows, head.size

    async def inclusion_proof(self, index: int, size: int | None = None) -> InclusionProof:
        """Proves that leaf `index` is in the tree of `size` leaves; by default, of all there are.

        Raises INVALID_ARGUMENT where there is no such tree or leaf.
        """
        async with self._database.transaction() as connection:
            head, nodes = await self._tree(connection, index, size)
        size = _within(head, size, "tree_size")
        try:
            plan = merkle.inclusion_plan(index, size)
        except merkle.ProofError as error:
            raise _no_such("leaf_index", error) from error
        root = merkle.fold([nodes[node] for node in merkle.subtrees(0, size)])
        return InclusionProof(merkle.prove(plan, nodes), size, root)

    async def consistency_proof(self, old: int, new: int | None = None) -> ConsistencyProof:
        """Proves that the tree of `old` leaves is the beginning of that of `new`; by default, of the newest.

        Raises INVALID_ARGUMENT where there is no such tree.
        """
        async with self._database.transaction() as connection:
            size = _within(await self._head(connection), new, "second_size")
            try:
                plan = merkle.consistency_plan(old, size)
            except merkle.ProofError as error:
                raise _no_such("first_size", error) from error
            nodes = await log_store.nodes(connection, {node for part in plan for node in part})
        return ConsistencyProof(merkle.prove(plan, nodes), size)

    async def _append(
        self, connection: AsyncConnection, entries: Sequence[Entry]
    ) -> tuple[Head, int, dict[merkle.Node, bytes]]:
        """Appends; returns the head, how many leaves it added, and the nodes above and beside them."""
        await log_store.lock(connection)
        head, nodes = await self._tree(connection)
        known = await log_store.known_sources(connection, [entry.source for entry in entries])
        fresh = [entry for entry in entries if entry.source not in known]
        if not fresh:
            return head, 0, nodes
        self._check_edge(head, nodes)
        data = [entry.opening.leaf() for entry in fresh]
        grown = dict(merkle.grow(head.size, nodes, map(merkle.leaf_hash, data)))
        size, nodes = head.size + len(fresh), nodes | grown
        new = self._sign(size, merkle.fold([nodes[node] for node in merkle.subtrees(0, size)]))
        await log_store.append(connection, head.size, fresh, data, grown, new)
        return new, len(fresh), nodes

    def _check_edge(self, head: Head, edge: dict[merkle.Node, bytes]) -> None:
        """The nodes that an append builds on: signed over only if they lead to the root signed before."""
        wanted = merkle.subtrees(0, head.size)
        signed, _ = open_checkpoint(head.note, self._signer.keys)
        if edge.keys() != set(wanted) or merkle.fold([edge[node] for node in wanted]) != signed.root:
            raise LogDamagedError(f"the stored nodes do not lead to the signed root of {head.size} leaves")

    def _sign(self, size: int, root: bytes) -> Head:
        return Head(size, root, self._signer.sign(size, root), self._clock.now())

    async def _head(self, connection: AsyncConnection) -> Head:
        head = await log_store.head(connection)
        if head is None:
            raise RuntimeError(_NOT_OPENED)
        return head

    async def _tree(
        self, connection: AsyncConnection, leaf: int | None = None, size: int | None = None
    ) -> tuple[Head, dict[merkle.Node, bytes]]:
        tree = await log_store.tree(connection, leaf, size)
        if tree is None:
            raise RuntimeError(_NOT_OPENED)
        return tree


def _within(head: Head, size: int | None, field: str) -> int:
    """The size asked for; by default the head's. Raises INVALID_ARGUMENT about `field` where it is more."""
    if size is not None and size > head.size:
        raise _no_such(field, f"the log holds {head.size} leaves")
    return head.size if size is None else size


def _no_such(field: str, why: object) -> IdvError:
    return IdvError(
        Reason.ERROR_REASON_INVALID_ARGUMENT,
        f"{field} lies outside of the log: {why}",
        field=field,
        remedy="ask within the size of the newest checkpoint",
    )
