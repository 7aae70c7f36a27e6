"""Two verifiers that we did not write accept our proofs and checkpoints, and refuse forged ones."""

from itertools import combinations
from pathlib import Path

import pytest
from pymerkle import InmemoryTree, InvalidProof, verify_consistency, verify_inclusion
from sigstore._internal import merkle as trillian
from sigstore._internal.rekor.checkpoint import SignedCheckpoint

from lucid_sessions.archive import leaf_hash
from tests.ledger.logs import reader, records, sealer

SIZES = [1, 2, 3, 7, 8, 64, 255, 256, 257, 300]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("log")
    for old, new in zip([0, *SIZES], SIZES, strict=False):
        sealer(place).extend(records(old, new))
    return place


def _pymerkle(size: int) -> InmemoryTree:
    tree = InmemoryTree(algorithm="sha256")
    for record in records(0, size):
        tree.append_entry(record)
    return tree


def _root_by_sigstore(record: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    inner, border = trillian._decomp_inclusion_proof(index, size)
    assert len(proof) == inner + border
    node = trillian._chain_inner(trillian._hash_leaf(record), proof[:inner], index)
    return trillian._chain_border_right(node, proof[inner:])


def test_pymerkle_finds_the_same_roots(place: Path) -> None:
    tree = reader(place).tree()
    for size in SIZES:
        assert _pymerkle(size).get_root() == tree.root(size)


def test_sigstore_accepts_our_inclusion_proofs(place: Path) -> None:
    tree = reader(place).tree()
    for size in SIZES:
        for index in range(0, size, max(1, size // 16)):
            proof = tree.inclusion_proof(index, size=size)
            record = records(index, index + 1)[0]
            assert _root_by_sigstore(record, index, size, proof) == tree.root(size)


def test_sigstore_refuses_a_forged_record(place: Path) -> None:
    tree = reader(place).tree()
    proof = tree.inclusion_proof(17, size=300)
    assert _root_by_sigstore(b"forged", 17, 300, proof) != tree.root(300)


def test_sigstore_reads_our_checkpoint(place: Path) -> None:
    log = reader(place)
    text, checkpoint = log.checkpoint_text(), log.checkpoint()
    assert text is not None
    assert checkpoint is not None
    parsed = SignedCheckpoint.from_text(text).checkpoint
    assert (parsed.origin, parsed.log_size) == (checkpoint.origin, checkpoint.size)
    assert parsed.log_hash == checkpoint.root.hex()


def test_pymerkle_accepts_our_inclusion_proofs_and_refuses_a_forged_one(place: Path) -> None:
    tree, theirs = reader(place).tree(), _pymerkle(300)
    for index in (0, 1, 17, 254, 255, 256, 299):
        proof = theirs.prove_inclusion(index + 1, 300)
        leaf = leaf_hash(records(index, index + 1)[0])
        proof.path = [leaf, *tree.inclusion_proof(index, size=300)]
        verify_inclusion(leaf, tree.root(300), proof, index=index + 1, size=300)
        proof.path = [leaf, *reversed(tree.inclusion_proof(index, size=300))]
        with pytest.raises(InvalidProof):
            verify_inclusion(leaf, tree.root(300), proof, index=index + 1, size=300)


def test_pymerkle_finds_all_our_checkpoints_consistent_and_no_forged_one(place: Path) -> None:
    # Its proofs have another shape than those of RFC 9162, so it proves by itself, from our roots.
    tree, theirs = reader(place).tree(), _pymerkle(300)
    for old in SIZES:
        for new in SIZES[SIZES.index(old) :]:
            proof = theirs.prove_consistency(old, new)
            verify_consistency(tree.root(old), tree.root(new), proof, prior_size=old, later_size=new)
        with pytest.raises(InvalidProof):
            verify_consistency(leaf_hash(b"forged"), tree.root(300), theirs.prove_consistency(old, 300))


def test_every_hash_of_our_consistency_proofs_is_one_that_pymerkle_finds(place: Path) -> None:
    tree, theirs = reader(place).tree(), _pymerkle(300)
    for old, new in combinations(SIZES, 2):
        ranges = _ranges_of_rfc_9162(old, begin=0, end=new, whole=True)
        assert tree.consistency_proof(old, new) == [theirs._get_root(begin, end) for begin, end in ranges]


def _ranges_of_rfc_9162(old: int, *, begin: int, end: int, whole: bool) -> list[tuple[int, int]]:
    """SUBPROOF of RFC 9162, 2.1.4.1, word for word, over ranges instead of hashes."""
    size = end - begin
    if old == size:
        return [] if whole else [(begin, end)]
    split = begin + (1 << ((size - 1).bit_length() - 1))
    if old <= split - begin:
        return [*_ranges_of_rfc_9162(old, begin=begin, end=split, whole=whole), (split, end)]
    right = _ranges_of_rfc_9162(old - (split - begin), begin=split, end=end, whole=False)
    return [*right, (begin, split)]
