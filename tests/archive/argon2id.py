"""Argon2id from RFC 9106 alone, in numpy, all lanes at once: so that key slots too have a second reader."""

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
_LOW = np.uint64(0xFFFFFFFF)
_SLICES = 4


def argon2id(
    password: bytes, *, salt: bytes, memory: int, passes: int, lanes: int, secret: bytes, ad: bytes
) -> bytes:
    """The 32-byte tag. Memory in KiB."""
    columns = _SLICES * (memory // (_SLICES * lanes))
    numbers = b"".join(_le32(n) for n in (lanes, 32, memory, passes, 0x13, 2))
    texts = b"".join(_le32(len(text)) + text for text in (password, salt, secret, ad))
    seed = hashlib.blake2b(numbers + texts).digest()
    blocks = np.zeros((lanes, columns, 128), dtype=np.uint64)
    for lane in range(lanes):
        for column in (0, 1):
            first = _long_hash(seed + _le32(column) + _le32(lane), 1024)
            blocks[lane, column] = np.frombuffer(first, dtype="<u8")
    for turn in range(passes):
        for part in range(_SLICES):
            _fill(blocks, turn=turn, part=part, passes=passes)
    final = np.bitwise_xor.reduce(blocks[:, -1], axis=0)
    return _long_hash(final.astype("<u8").tobytes(), 32)


def _fill(blocks: Words, *, turn: int, part: int, passes: int) -> None:
    lanes, columns, _ = blocks.shape
    length = columns // _SLICES
    everyone = np.arange(lanes)
    fixed = turn == 0 and part < 2
    addresses = _addresses(blocks.shape, turn=turn, part=part, passes=passes) if fixed else None
    for index in range(2 if (turn, part) == (0, 0) else 0, length):
        column = part * length + index
        before = blocks[:, column - 1]
        words = addresses[:, index] if addresses is not None else before[:, 0]
        lane = (
            everyone if (turn, part) == (0, 0) else ((words >> np.uint64(32)) % np.uint64(lanes)).astype(int)
        )
        done = part * length if turn == 0 else columns - length
        size = np.where(lane == everyone, done + index - 1, done - (1 if index == 0 else 0)).astype(np.uint64)
        x = ((words & _LOW) * (words & _LOW)) >> np.uint64(32)
        back = size - np.uint64(1) - ((size * x) >> np.uint64(32))
        start = 0 if turn == 0 else (part + 1) * length % columns
        made = _compress(before, blocks[lane, (start + back.astype(int)) % columns])
        blocks[:, column] = made if turn == 0 else made ^ blocks[:, column]


def _addresses(shape: tuple[int, ...], *, turn: int, part: int, passes: int) -> Words:
    """The data-independent addresses of one slice, for all lanes."""
    lanes, columns, _ = shape
    length = columns // _SLICES
    block = np.zeros((lanes, 128), dtype=np.uint64)
    block[:, 0], block[:, 1], block[:, 2] = turn, np.arange(lanes), part
    block[:, 3], block[:, 4], block[:, 5] = lanes * columns, passes, 2
    nothing = np.zeros_like(block)
    made = []
    for counter in range(1, -(-length // 128) + 1):
        block[:, 6] = counter
        made.append(_compress(nothing, _compress(nothing, block)))
    return np.concatenate(made, axis=1)


def _compress(x: Words, y: Words) -> Words:
    start = x ^ y
    rows = _permute(start.reshape(-1, 8, 4, 4))
    # A column is eight pairs of words, one pair from each row.
    pairs = rows.reshape(-1, 8, 8, 2).swapaxes(1, 2).reshape(-1, 8, 4, 4)
    columns = _permute(pairs).reshape(-1, 8, 8, 2).swapaxes(1, 2)
    made: Words = start ^ columns.reshape(-1, 128)
    return made


def _permute(v: Words) -> Words:
    a, b, c, d = _mix(*(v[..., row, :] for row in range(4)))
    b, c, d = (np.roll(word, -shift, axis=-1) for shift, word in enumerate((b, c, d), 1))
    a, b, c, d = _mix(a, b, c, d)
    b, c, d = (np.roll(word, shift, axis=-1) for shift, word in enumerate((b, c, d), 1))
    return np.stack((a, b, c, d), axis=-2)


def _mix(a: Words, b: Words, c: Words, d: Words) -> Iterator[Words]:
    for first, second in ((32, 24), (16, 63)):
        a = a + b + ((a & _LOW) * (b & _LOW) << np.uint64(1))
        d = _rotate(d ^ a, first)
        c = c + d + ((c & _LOW) * (d & _LOW) << np.uint64(1))
        b = _rotate(b ^ c, second)
    return iter((a, b, c, d))


def _rotate(word: Words, by: int) -> Words:
    return (word >> np.uint64(by)) | (word << np.uint64(64 - by))


def _long_hash(text: bytes, length: int) -> bytes:
    text = _le32(length) + text
    if length <= 64:
        return hashlib.blake2b(text, digest_size=length).digest()
    made, piece = b"", hashlib.blake2b(text).digest()
    while length - len(made) > 64:
        made += piece[:32]
        left = length - len(made)
        piece = hashlib.blake2b(piece, digest_size=min(64, left)).digest()
    return made + piece


def _le32(number: int) -> bytes:
    return number.to_bytes(4, "little")
