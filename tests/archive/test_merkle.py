"""RFC 6962 trees, checked against two verifiers that we did not write: sigstore's and pymerkle."""

import hashlib
import struct
from uuid import UUID

import pytest
from pymerkle import InmemoryTree
from pymerkle import verify_consistency as pymerkle_consistency
from pymerkle.proof import InvalidProof
from sigstore._internal import merkle as sigstore_merkle

from lucid_sessions.archive import (
    EMPTY_ROOT,
    chunk_leaf,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    merkle_root,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from lucid_sessions.errors import Refused
from tests.archive.parts import SESSION, is_tampered

ENTRIES = [b"record %d" % number for number in range(70)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
ROOTS = [merkle_root(LEAVES[:size]) for size in range(len(LEAVES) + 1)]
PAIRS = [(index, size) for size in range(1, len(LEAVES) + 1) for index in range(size)]
GROWTHS = [(old, new) for new in range(len(LEAVES) + 1) for old in range(new + 1)]


def sigstore_root(entry: bytes, *, index: int, size: int, proof: list[bytes]) -> bytes | None:
    """What sigstore computes from the proof; None if the proof's length is wrong."""
    inner, border = sigstore_merkle._decomp_inclusion_proof(index, size)
    if len(proof) != inner + border:
        return None
    node = sigstore_merkle._chain_inner(sigstore_merkle._hash_leaf(entry), proof[:inner], index)
    return sigstore_merkle._chain_border_right(node, proof[inner:])


def rfc_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.1, as it is written."""
    if len(leaves) == 1:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if index < k:
        return [*rfc_path(index, leaves[:k]), merkle_root(leaves[k:])]
    return [*rfc_path(index - k, leaves[k:]), merkle_root(leaves[:k])]


def rfc_consistency(old: int, leaves: list[bytes], *, start: bool = True) -> list[bytes]:
    """RFC 6962, 2.1.2, as it is written."""
    if old == len(leaves):
        return [] if start else [merkle_root(leaves)]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if old <= k:
        return [*rfc_consistency(old, leaves[:k], start=start), merkle_root(leaves[k:])]
    return [*rfc_consistency(old - k, leaves[k:], start=False), merkle_root(leaves[:k])]


def is_included(index: int, size: int, *, proof: list[bytes], root: bytes | None = None) -> bool:
    root = ROOTS[size] if root is None else root
    return not is_tampered(
        lambda: verify_inclusion(LEAVES[index], index=index, size=size, proof=proof, root=root)
    )


def is_beginning(old: int, new: int, *, proof: list[bytes], roots: tuple[bytes, bytes] | None = None) -> bool:
    old_root, new_root = roots or (ROOTS[old], ROOTS[new])
    sizes = {"old_size": old, "new_size": new}
    return not is_tampered(
        lambda: verify_consistency(**sizes, old_root=old_root, new_root=new_root, proof=proof)
    )


def test_the_hashes_are_those_of_rfc_6962() -> None:
    assert EMPTY_ROOT == merkle_root([]) == hashlib.sha256(b"").digest()
    assert leaf_hash(b"a") == hashlib.sha256(b"\0a").digest()
    assert node_hash(LEAVES[0], LEAVES[1]) == hashlib.sha256(b"\1" + LEAVES[0] + LEAVES[1]).digest()
    left = node_hash(node_hash(*LEAVES[0:2]), node_hash(*LEAVES[2:4]))
    assert merkle_root(LEAVES[:5]) == node_hash(left, LEAVES[4])


def test_pymerkle_finds_the_same_root_at_every_size() -> None:
    tree = InmemoryTree(algorithm="sha256")
    for entry, root in zip(ENTRIES, ROOTS[1:], strict=True):
        tree.append_entry(entry)
        assert tree.get_root() == root


def test_every_inclusion_proof_is_accepted_by_us_and_by_sigstore() -> None:
    for index, size in PAIRS:
        proof = inclusion_proof(LEAVES[:size], index)
        assert is_included(index, size, proof=proof)
        assert sigstore_root(ENTRIES[index], index=index, size=size, proof=proof) == ROOTS[size]


def test_every_consistency_proof_is_accepted() -> None:
    for old, new in GROWTHS:
        assert is_beginning(old, new, proof=consistency_proof(LEAVES, old, new))


def test_pymerkle_accepts_the_same_consistency_and_refuses_a_forged_root() -> None:
    tree = InmemoryTree(algorithm="sha256")
    tree.append_entries(ENTRIES)
    for old in range(1, len(LEAVES) + 1):
        proof = tree.prove_consistency(old, len(LEAVES))
        pymerkle_consistency(ROOTS[old], ROOTS[-1], proof)
        with pytest.raises(InvalidProof):
            pymerkle_consistency(ROOTS[old], ROOTS[old - 1], proof)


def test_our_proofs_are_those_of_the_rfcs_recursive_definition() -> None:
    for old, new in GROWTHS:
        assert consistency_proof(LEAVES, old, new) == (rfc_consistency(old, LEAVES[:new]) if old else [])
    for index, size in PAIRS:
        assert inclusion_proof(LEAVES[:size], index) == rfc_path(index, LEAVES[:size])


def test_forged_inclusion_proofs_are_refused_by_us_and_by_sigstore() -> None:
    for index, size in PAIRS[::3]:
        proof = inclusion_proof(LEAVES[:size], index)
        forgeries = [proof[:-1], [*proof, bytes(32)], proof[1:], [*proof, ROOTS[size]], proof[::-1]]
        forgeries += [[*proof[:at], node_hash(proof[at], b""), *proof[at + 1 :]] for at in range(len(proof))]
        for forged in (one for one in forgeries if one != proof):
            assert not is_included(index, size, proof=forged)
            assert sigstore_root(ENTRIES[index], index=index, size=size, proof=forged) != ROOTS[size]


def test_a_leaf_stands_only_at_its_own_index_and_size() -> None:
    for index, size in PAIRS[:300]:
        proof = inclusion_proof(LEAVES[:size], index)
        claims = [(other, size) for other in range(-1, size + 1) if other != index]
        for claimed, at in claims:
            arguments = {"index": claimed, "size": at, "proof": proof, "root": ROOTS[size]}
            assert is_tampered(lambda leaf=LEAVES[index], a=arguments: verify_inclusion(leaf, **a))


def test_a_node_does_not_pass_for_a_leaf() -> None:
    node = node_hash(LEAVES[0], LEAVES[1])
    proof = [node_hash(LEAVES[2], LEAVES[3])]
    assert node_hash(node, proof[0]) == ROOTS[4]
    assert is_tampered(lambda: verify_inclusion(node, index=0, size=4, proof=proof, root=ROOTS[4]))


def test_forged_consistency_proofs_are_refused() -> None:
    for old, new in GROWTHS[::3]:
        proof = consistency_proof(LEAVES, old, new)
        forgeries = [proof[:-1], [*proof, bytes(32)], proof[1:], [*proof, ROOTS[new]], proof[::-1]]
        forgeries += [[*proof[:at], node_hash(proof[at], b""), *proof[at + 1 :]] for at in range(len(proof))]
        assert not any(is_beginning(old, new, proof=one) for one in forgeries if one != proof)


def test_a_rewritten_history_is_not_a_beginning() -> None:
    for old, new in GROWTHS:
        if old:
            changed = merkle_root([leaf_hash(b"rewritten"), *LEAVES[1:old]])
            proof = consistency_proof(LEAVES, old, new)
            assert not is_beginning(old, new, proof=proof, roots=(changed, ROOTS[new]))
            assert not is_beginning(old, new, proof=proof, roots=(ROOTS[old], changed))


def test_a_log_does_not_shrink() -> None:
    assert not is_beginning(5, 3, proof=[])
    assert not is_beginning(-1, 3, proof=[])
    assert not is_beginning(0, 3, proof=[ROOTS[3]])
    assert not is_beginning(0, 3, proof=[], roots=(bytes(32), ROOTS[3]))


@pytest.mark.parametrize("proof", [[b"short"], ["text"], [None], [bytes(33)]], ids=repr)
def test_a_proof_of_anything_but_hashes_is_caught(proof: list[bytes]) -> None:
    assert not is_included(0, 2, proof=proof)
    assert not is_beginning(1, 2, proof=proof)


def test_a_proof_of_what_is_not_there_is_refused() -> None:
    for call in (
        lambda: inclusion_proof(LEAVES, len(LEAVES)),
        lambda: inclusion_proof([], 0),
        lambda: inclusion_proof(LEAVES, -1),
        lambda: consistency_proof(LEAVES, 5, 4),
        lambda: consistency_proof(LEAVES, 5, len(LEAVES) + 1),
        lambda: consistency_proof(LEAVES, -1, 4),
    ):
        with pytest.raises(Refused):
            call()


def test_a_batch_of_1024_leaves_proves_each_of_them() -> None:
    leaves = [leaf_hash(struct.pack(">I", number)) for number in range(1024)]
    root = merkle_root(leaves)
    for index in (0, 511, 512, 1023):
        proof = inclusion_proof(leaves, index)
        assert len(proof) == 10
        verify_inclusion(leaves[index], index=index, size=1024, proof=proof, root=root)


def test_a_chunks_leaf_is_the_published_one() -> None:
    blob = hashlib.sha256(b"blob").digest()
    leaf = chunk_leaf(session=SESSION, track="screen", sequence=7, blob_sha256=blob, length=344)
    entry = (
        b"lucid/1 leaf\0" + SESSION.bytes + b"screen\0" + struct.pack(">Q", 7) + blob + struct.pack(">Q", 344)
    )
    assert leaf == hashlib.sha256(b"\0" + entry).digest() == leaf_hash(entry)


def test_each_part_of_a_chunks_place_and_bytes_makes_another_leaf() -> None:
    facts = {"session": SESSION, "track": "screen", "sequence": 7, "blob_sha256": bytes(32), "length": 344}
    changes = [
        {},
        {"session": UUID(int=1)},
        {"track": "screen2"},
        {"sequence": 8},
        {"blob_sha256": bytes([1]) * 32},
        {"length": 345},
    ]
    assert len({chunk_leaf(**(facts | change)) for change in changes}) == len(changes)


@pytest.mark.parametrize(
    "change", [{"track": "a\0"}, {"sequence": -1}, {"blob_sha256": b"x"}, {"length": 1 << 64}]
)
def test_a_leaf_of_what_is_no_chunk_is_refused(change: dict[str, object]) -> None:
    facts = {"session": SESSION, "track": "screen", "sequence": 7, "blob_sha256": bytes(32), "length": 344}
    with pytest.raises(Refused):
        chunk_leaf(**(facts | change))
