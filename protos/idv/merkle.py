"""The Merkle tree of the transparency log: hashing, proofs and their verification. Pure: no input, no output.

RFC 9162, section 2.1, with SHA-256: leaf hash = SHA-256(0x00 ‖ data), node hash = SHA-256(0x01 ‖ left ‖
right). Hashes are 32 bytes; indices and sizes count leaves. A proof is *planned* first, as the nodes that it
needs (`inclusion_plan`, `consistency_plan`), then built from those (`prove`): a server reads only the planned
nodes from its store, and an auditor who holds every leaf uses the same functions on `build(...)`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
MAX_SIZE = 1 << 63


class ProofError(ValueError):
    """The proof does not show what it should; the message says which part fails."""


class Node(NamedTuple):
    """The root of a perfect subtree: it spans the leaves `number << level` up to `(number + 1) << level`."""

    level: int
    number: int


# One list for each hash of a proof: perfect subtrees from left to right, to be folded into that hash.
Plan = list[list[Node]]


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf that holds `data`."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of the node above two hashes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def subtrees(begin: int, end: int) -> list[Node]:
    """The perfect subtrees that cover the leaves `begin` to `end` (exclusive), from left to right.

    `begin` is a multiple of the largest power of two not above `end - begin`, as in every subtree of the RFC.
    """
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        nodes.append(Node(level, begin >> level))
        begin += 1 << level
    return nodes


def fold(hashes: Sequence[bytes]) -> bytes:
    """The hash above perfect subtrees given from left to right, each larger than the next."""
    if not hashes:
        return EMPTY_ROOT
    above = hashes[-1]
    for left in reversed(hashes[:-1]):
        above = node_hash(left, above)
    return above


def grow(size: int, edge: Mapping[Node, bytes], leaf_hashes: Iterable[bytes]) -> Iterator[tuple[Node, bytes]]:
    """Yields every perfect subtree completed by appending `leaf_hashes` to a tree of `size` leaves.

    The leaves themselves are among them, as level 0. `edge` holds the hashes of `subtrees(0, size)`; nothing
    else of the old tree is needed. Raises KeyError where it lacks one.
    """
    level, first, hashes = 0, size, list(leaf_hashes)
    while hashes:
        for number, value in enumerate(hashes, first):
            yield Node(level, number), value
        if first & 1:  # the first of them is a right child: its sibling stands at the old tree's edge
            first -= 1
            hashes.insert(0, edge[Node(level, first)])
        hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=False)]
        level, first = level + 1, first >> 1


def build(leaf_hashes: Sequence[bytes]) -> dict[Node, bytes]:
    """Every perfect subtree of the tree over `leaf_hashes`."""
    return dict(grow(0, {}, leaf_hashes))


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root of the tree over `leaf_hashes`."""
    nodes = build(leaf_hashes)
    return fold([nodes[node] for node in subtrees(0, len(leaf_hashes))])


def inclusion_plan(index: int, size: int) -> Plan:
    """The nodes of the proof that leaf `index` is in the tree of `size` leaves (RFC 9162 §2.1.3.1).

    Raises ProofError where there is no such leaf.
    """
    if not 0 <= index < size:
        raise ProofError(f"there is no leaf {index} in a tree of {size}")
    plan: Plan = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            plan.append(subtrees(middle, end))
            end = middle
        else:
            plan.append(subtrees(begin, middle))
            begin = middle
    return plan[::-1]


def consistency_plan(old: int, new: int) -> Plan:
    """The nodes of the proof that `old` leaves are a prefix of `new` leaves (RFC 9162 §2.1.4.1).

    Empty where nothing needs proof: `old` is 0 or equals `new`. Raises ProofError unless 0 <= old <= new.
    """
    if not 0 <= old <= new:
        raise ProofError(f"a tree of {new} leaves cannot extend one of {old}")
    plan: Plan = []
    if old in (0, new):
        return plan
    begin, end = 0, new
    whole = True  # the subtree in hand begins at leaf 0: once it is the old tree, the verifier knows its hash
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            plan.append(subtrees(middle, end))
            end = middle
        else:
            plan.append(subtrees(begin, middle))
            begin, whole = middle, False
    if not whole:
        plan.append(subtrees(begin, end))
    return plan[::-1]


def prove(plan: Plan, nodes: Mapping[Node, bytes]) -> list[bytes]:
    """The proof's hashes from the planned nodes. Raises KeyError where `nodes` lacks one."""
    return [fold([nodes[node] for node in part]) for part in plan]


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], tree_root: bytes) -> None:
    """Checks that the leaf hash `leaf` stands at `index` in the tree of `size` leaves with that root.

    RFC 9162 §2.1.3.2. Raises ProofError with the part that fails.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofError(f"there is no leaf {index} in a tree of {size}")
    _check_hashes(leaf, *proof, tree_root)
    place, last, above = index, size - 1, leaf
    for hash_ in proof:
        if last == 0:
            raise ProofError("the proof is longer than the tree is high")
        if place & 1 or place == last:
            above = node_hash(hash_, above)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            above = node_hash(above, hash_)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError("the proof is shorter than the tree is high")
    if above != tree_root:
        raise ProofError("the proof leads to another root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Checks that the tree of `new` leaves keeps every leaf of the tree of `old` leaves in place.

    RFC 9162 §2.1.4.2. Raises ProofError with the part that fails.
    """
    if not 0 <= old <= new <= MAX_SIZE:
        raise ProofError(f"a tree of {new} leaves cannot extend one of {old}")
    _check_hashes(old_root, new_root, *proof)
    if old in (0, new):
        if proof:
            raise ProofError("the proof is longer than the trees need")
        if old_root != (new_root if old else EMPTY_ROOT):
            raise ProofError("two roots are given for one size")
        return
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)  # the old tree is one perfect subtree: the proof begins with its root unsaid
    if not path:
        raise ProofError("the proof is empty")
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    above_old = above_new = path[0]
    for hash_ in path[1:]:
        if last == 0:
            raise ProofError("the proof is longer than the tree is high")
        if place & 1 or place == last:
            above_old, above_new = node_hash(hash_, above_old), node_hash(hash_, above_new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            above_new = node_hash(above_new, hash_)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofError("the proof is shorter than the tree is high")
    if above_old != old_root:
        raise ProofError("the proof leads to another old root")
    if above_new != new_root:
        raise ProofError("the proof leads to another new root")


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _check_hashes(*hashes: bytes) -> None:
    if any(len(hash_) != HASH_SIZE for hash_ in hashes):
        raise ProofError(f"a hash is not {HASH_SIZE} bytes long")
