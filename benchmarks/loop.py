"""The bar for large chunks: the chain's primitives in a plain loop, with no engine around them.

    python -m benchmarks.loop DIGESTS TARGET FILE...    prints the seconds that it took, start-up excluded

Per file: read, SHA-256 of the content (which the archive seals with it; not if DIGESTS is 1), three samples
through zstd, AES-256-GCM, SHA-256 for the name, write, fsync, rename, fsync of the directory. No row, no
probe, no signature, no reading back.
"""

import hashlib
import os
import sys
import time
from pathlib import Path

import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SAMPLE = 64 * 1024


def store_all(sources: list[Path], *, target: Path, digests: int) -> float:
    """Seconds for all of `sources`, durably in `target`; 2 `digests` are the chain's, 1 names the result."""
    shrink, sealed = zstandard.ZstdCompressor(level=1), bytearray()
    began = time.perf_counter()
    for source in sources:
        content = source.read_bytes()
        if digests > 1:
            hashlib.sha256(content).digest()
        if _pays(content, shrink):
            content = shrink.compress(content)
        if len(sealed) != len(content) + 16:
            sealed = bytearray(len(content) + 16)
        AESGCM(os.urandom(32)).encrypt_into(bytes(12), content, None, sealed)
        _write_durably(target / hashlib.sha256(sealed).hexdigest(), sealed)
    return time.perf_counter() - began


def _pays(content: bytes, shrink: zstandard.ZstdCompressor) -> bool:
    starts = (0, (len(content) - SAMPLE) // 2, len(content) - SAMPLE)
    samples = [content[max(0, start) : max(0, start) + SAMPLE] for start in starts]
    return sum(len(shrink.compress(one)) for one in samples) < 0.95 * sum(map(len, samples))


def _write_durably(path: Path, content: bytearray) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb", buffering=0) as file:
        file.write(content)
        os.fsync(file.fileno())
    temporary.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


if __name__ == "__main__":
    files = [Path(name) for name in sys.argv[3:]]
    print(store_all(files, target=Path(sys.argv[2]), digests=int(sys.argv[1])))
