"""RFC 6962 (and 9162) hash trees: leaves, roots, proofs and their checks.

The logic asks for the hashes of complete subtrees through a function, so it does no I/O: leaves in memory
and stored tiles (tiles.py) give the same proofs.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from lucid_sessions.archive.place import check_bytes, check_track, check_u64
from lucid_sessions.errors import Refused, Tampered

ReadNode = Callable[[int, int], bytes]
"""The hash of the complete subtree (level, index), which begins at leaf index * 2^level and has 2^level."""

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a log entry (32 bytes)."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two neighbouring subtrees (32 bytes)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def chunk_leaf(*, session: UUID, track: str, sequence: int, blob_sha256: bytes, length: int) -> bytes:
    """The leaf of a stored chunk (32 bytes), already hashed: what batch and session roots are built from."""
    name = (
        session.bytes + check_track(track) + b"\0" + check_u64(sequence, what="a sequence").to_bytes(8, "big")
    )
    blob = check_bytes(blob_sha256, 32, what="a SHA-256") + check_u64(length, what="a length").to_bytes(
        8, "big"
    )
    return leaf_hash(b"lucid/1 leaf\0" + name + blob)


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; SHA-256 of nothing when there are none."""
    return root_of(reader_of(leaves), len(leaves))


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from one leaf to the root of all."""
    return inclusion_of(reader_of(leaves), index, size=len(leaves))


def consistency_proof(leaves: Sequence[bytes], old: int, new: int) -> list[bytes]:
    """The hashes that show that the tree of `old` leaves is the beginning of the tree of `new` leaves."""
    if new > len(leaves):
        raise Refused(f"there is no tree of size {new} over {len(leaves)} leaves")
    return consistency_of(reader_of(leaves), old, new)


def reader_of(leaves: Sequence[bytes]) -> ReadNode:
    """A reader over leaf hashes in memory."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
    return lambda level, index: levels[level][index]


def root_of(read: ReadNode, size: int) -> bytes:
    """The root of the first `size` leaves."""
    return _range_root(read, 0, size) if size else EMPTY_ROOT


def inclusion_of(read: ReadNode, index: int, *, size: int) -> list[bytes]:
    """The inclusion proof of leaf `index` in the tree of the first `size` leaves. Refused: no such leaf."""
    if not 0 <= index < size:
        raise Refused(f"there is no leaf {index} in a tree of size {size}")
    return [_range_root(read, begin, end) for begin, end in _siblings(index, size)]


def consistency_of(read: ReadNode, old: int, new: int) -> list[bytes]:
    """The consistency proof between trees of `old` and `new` leaves. Refused: not 0 <= old <= new."""
    if not 0 <= old <= new:
        raise Refused(f"a tree of size {old} cannot be the beginning of one of size {new}")
    return [_range_root(read, begin, end) for begin, end in _divergence(old, new)]


def verify_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Nothing, if the leaf hash stands at `index` in the tree with this size and root; Tampered if not."""
    if not 0 <= index < size:
        raise Tampered(f"there is no leaf {index} in a tree of size {size}")
    node, position, last = leaf, index, size - 1
    for sibling in _hashes(proof):
        if last == 0:
            raise Tampered("the inclusion proof is too long")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            position, last = _climb(position, last)
        else:
            node = node_hash(node, sibling)
            position, last = position >> 1, last >> 1
    if last or not hmac.compare_digest(node, root):
        raise Tampered(f"the inclusion proof of leaf {index} does not lead to the root")


def verify_consistency(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Nothing, if the old tree is the beginning of the new one; Tampered if that is not shown."""
    if not 0 <= old_size <= new_size:
        raise Tampered(f"a tree of size {old_size} cannot be the beginning of one of size {new_size}")
    if old_size in (0, new_size):
        known = EMPTY_ROOT if old_size == 0 else new_root
        agrees = not proof and hmac.compare_digest(old_root, known)
    else:
        agrees = _connects(old_size, new_size, proof=_hashes(proof), roots=(old_root, new_root))
    if not agrees:
        raise Tampered(
            f"the tree of size {old_size} is not shown to be the beginning of that of size {new_size}"
        )


def _connects(old: int, new: int, *, proof: list[bytes], roots: tuple[bytes, bytes]) -> bool:
    """RFC 9162, 2.1.4.2: fold the proof into both roots at once."""
    path = [roots[0], *proof] if old & (old - 1) == 0 else proof
    level = (old & -old).bit_length() - 1
    position, last = (old - 1) >> level, (new - 1) >> level
    if not path:
        return False
    first = second = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            first, second = node_hash(node, first), node_hash(node, second)
            position, last = _climb(position, last)
        else:
            second = node_hash(second, node)
            position, last = position >> 1, last >> 1
    same = hmac.compare_digest(first, roots[0]) and hmac.compare_digest(second, roots[1])
    return last == 0 and same


def _climb(position: int, last: int) -> tuple[int, int]:
    """The next level on which the node on the path has a left sibling, or the root's; then one more."""
    while position and not position & 1:
        position, last = position >> 1, last >> 1
    return position >> 1, last >> 1


def _hashes(proof: Sequence[bytes]) -> list[bytes]:
    if not all(isinstance(node, bytes) and len(node) == 32 for node in proof):
        raise Tampered("a proof is a list of hashes of 32 bytes")
    return list(proof)


def _range_root(read: ReadNode, begin: int, end: int) -> bytes:
    """The root over leaves begin to end, put together from complete subtrees."""
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        nodes.append(read(level, begin >> level))
        begin += 1 << level
    root = nodes.pop()
    while nodes:
        root = node_hash(nodes.pop(), root)
    return root


def _split(begin: int, end: int) -> int:
    """Where RFC 6962 parts the range: after the largest power of two below its length."""
    return begin + (1 << (end - begin - 1).bit_length() - 1)


def _siblings(index: int, size: int) -> list[tuple[int, int]]:
    """The ranges beside the path from a leaf to the root, from the leaf upwards."""
    ranges, begin, end = [], 0, size
    while end - begin > 1:
        middle = _split(begin, end)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    return ranges[::-1]


def _divergence(old: int, new: int) -> list[tuple[int, int]]:
    """The ranges that make up both trees, in the order of RFC 9162, 2.1.4.1."""
    if old == 0:
        return []
    ranges, begin, end = [], 0, new
    while old != end:
        middle = _split(begin, end)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    if begin:  # a complete subtree at the old tree's right edge; the whole old tree needs no mention
        ranges.append((begin, end))
    return ranges[::-1]
