"""The tree hashes and proofs of idv.merkle, against published vectors and an independent implementation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from idv import merkle
from pymerkle import InmemoryTree

# The sample tree of eight leaves that Certificate Transparency implementations have shared since RFC 6962.
ENTRIES = [
    *(b"", b"\x00", b"\x10", b" !", b"01", b"@ABC"),
    *(bytes(range(0x50, 0x58)), bytes(range(0x60, 0x70))),
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEFT_LEAF = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
SECOND_LEAF = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
SECOND_PAIR = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
RIGHT_HALF = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
FIFTH_LEAF = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
THIRD_PAIR = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
FOURTH_PAIR = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
INCLUSION = [
    (0, 1, []),
    (0, 8, [SECOND_LEAF, SECOND_PAIR, RIGHT_HALF]),
    (5, 8, [FIFTH_LEAF, FOURTH_PAIR, ROOTS[4]]),
    (2, 3, [ROOTS[2]]),
    (1, 5, [LEFT_LEAF, SECOND_PAIR, FIFTH_LEAF]),
]
CONSISTENCY = [
    (1, 1, []),
    (1, 8, [SECOND_LEAF, SECOND_PAIR, RIGHT_HALF]),
    (6, 8, [THIRD_PAIR, FOURTH_PAIR, ROOTS[4]]),
    (2, 5, [SECOND_PAIR, FIFTH_LEAF]),
]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]
NODES = merkle.build(LEAVES)


def unhex(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def oracle(size: int) -> InmemoryTree:
    tree = InmemoryTree(algorithm="sha256")
    for index in range(size):
        tree.append_entry(index.to_bytes(4, "big"))
    return tree


def leaves(size: int) -> list[bytes]:
    return [merkle.leaf_hash(index.to_bytes(4, "big")) for index in range(size)]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    assert merkle.root(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int, proof: list[str]) -> None:
    assert merkle.prove(merkle.inclusion_plan(index, size), NODES) == unhex(proof)
    merkle.verify_inclusion(index, size, LEAVES[index], unhex(proof), bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_consistency_proofs_are_the_published_ones(old: int, new: int, proof: list[str]) -> None:
    assert merkle.prove(merkle.consistency_plan(old, new), NODES) == unhex(proof)
    merkle.verify_consistency(old, new, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]), unhex(proof))


@pytest.mark.parametrize("size", [*range(1, 34), 63, 64, 65])
def test_roots_and_proofs_equal_those_of_an_independent_implementation(size: int) -> None:
    tree, hashes = oracle(size), leaves(size)
    nodes = merkle.build(hashes)
    assert merkle.root(hashes) == tree.get_root(size)
    for index in range(size):
        theirs = tree.prove_inclusion(index + 1, size).path  # begins with the leaf itself
        assert [hashes[index], *merkle.prove(merkle.inclusion_plan(index, size), nodes)] == theirs


@given(st.integers(1, 70), st.data())
def test_every_proof_verifies_and_every_change_to_it_is_refused(new: int, data: st.DataObject) -> None:
    hashes = leaves(new)
    nodes = merkle.build(hashes)
    old = data.draw(st.integers(1, new), label="old")
    index = data.draw(st.integers(0, new - 1), label="index")
    old_root, new_root = merkle.root(hashes[:old]), merkle.root(hashes)

    consistency = merkle.prove(merkle.consistency_plan(old, new), nodes)
    merkle.verify_consistency(old, new, old_root, new_root, consistency)
    inclusion = merkle.prove(merkle.inclusion_plan(index, new), nodes)
    merkle.verify_inclusion(index, new, hashes[index], inclusion, new_root)

    for changed in changes(inclusion):
        with pytest.raises(merkle.ProofError):
            merkle.verify_inclusion(index, new, hashes[index], changed, new_root)
    for changed in changes(consistency):
        with pytest.raises(merkle.ProofError):
            merkle.verify_consistency(old, new, old_root, new_root, changed)
    for other in {index - 1, index + 1, new, -1} - {index}:
        with pytest.raises(merkle.ProofError):
            merkle.verify_inclusion(other, new, hashes[index], inclusion, new_root)
    if old < new:
        with pytest.raises(merkle.ProofError):
            merkle.verify_consistency(old, new, new_root, new_root, consistency)
        with pytest.raises(merkle.ProofError):
            merkle.verify_consistency(old, new, old_root, old_root, consistency)


def changes(proof: list[bytes]) -> list[list[bytes]]:
    """The proof with one hash more, one fewer, a bit flipped in each, and a hash cut short."""
    changed = [[*proof, bytes(32)], *([*proof[:at], *proof[at + 1 :]] for at in range(len(proof)))]
    for at, value in enumerate(proof):
        changed.append([*proof[:at], bytes([value[0] ^ 1]) + value[1:], *proof[at + 1 :]])
        changed.append([*proof[:at], value[:-1], *proof[at + 1 :]])
    return changed


@given(st.lists(st.integers(1, 9), max_size=12))
def test_growing_in_batches_yields_the_nodes_of_one_build(batches: list[int]) -> None:
    total = sum(batches)
    hashes = leaves(total)
    size, nodes = 0, dict[merkle.Node, bytes]()
    for batch in batches:
        edge = {node: nodes[node] for node in merkle.subtrees(0, size)}
        grown = list(merkle.grow(size, edge, hashes[size : size + batch]))
        assert not {node for node, _ in grown} & nodes.keys(), "a stored node is never written again"
        nodes.update(grown)
        size += batch
    assert nodes == merkle.build(hashes)


@pytest.mark.parametrize("size", [1, 7, 1 << 20, (1 << 40) - 1, (1 << 62) + 12345])
def test_a_proof_needs_a_logarithmic_number_of_nodes(size: int) -> None:
    height = size.bit_length()
    for index in (0, size // 2, size - 1):
        assert sum(map(len, merkle.inclusion_plan(index, size))) <= 2 * height
        assert sum(map(len, merkle.consistency_plan(max(index, 1), size))) <= 2 * height


def test_the_empty_tree_is_a_prefix_of_every_tree_and_of_nothing_else() -> None:
    merkle.verify_consistency(0, 8, merkle.EMPTY_ROOT, bytes.fromhex(ROOTS[8]), [])
    with pytest.raises(merkle.ProofError):
        merkle.verify_consistency(0, 8, bytes(32), bytes.fromhex(ROOTS[8]), [])
    with pytest.raises(merkle.ProofError):
        merkle.verify_consistency(0, 8, merkle.EMPTY_ROOT, bytes.fromhex(ROOTS[8]), [bytes(32)])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_no_proof_is_planned_for_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(merkle.ProofError):
        merkle.inclusion_plan(index, size)


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3)])
def test_no_proof_is_planned_for_a_tree_that_shrinks(old: int, new: int) -> None:
    with pytest.raises(merkle.ProofError):
        merkle.consistency_plan(old, new)
    with pytest.raises(merkle.ProofError):
        merkle.verify_consistency(old, new, bytes(32), bytes(32), [])
