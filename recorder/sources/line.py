"""Where a client program is connected to: a server may send it on to another, and it follows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from recorder.addresses import Address, as_it_is
from recorder.errors import BadSource
from recorder.sources.reach import Endpoint

Peer = tuple[Address, int]
_WORD = 8  # hexadecimal digits of 32 bits, which the kernel writes in the machine's own order


class Line:
    """The one TCP connection that a program with this process number may have."""

    def __init__(self, pid: int, endpoint: Endpoint, *, place: str) -> None:
        self._process, self._place = Path(f"/proc/{pid}"), place
        self._wanted = as_it_is(ip_address(endpoint.address.partition("%")[0])), endpoint.port
        self._known: tuple[Path, int] | None = None  # the connection's descriptor, and its inode

    def check(self) -> None:
        """`BadSource` when the program is, or is being, connected elsewhere. Cheap while nothing changes."""
        with suppress(OSError):  # the program is gone
            if self._known is None or _inode(self._known[0]) != self._known[1]:
                self._known = None
                self._look()

    def _look(self) -> None:
        peers = dict(self._peers())
        for descriptor in (self._process / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed while we look
                inode = _inode(descriptor)
                if inode not in peers:
                    continue
                if peers[inode] != self._wanted:
                    address, port = peers[inode]
                    raise BadSource(
                        f"{self._place} sends its clients on to another server ({address}, port {port}). "
                        "Nothing of that one is recorded: name it, if it is meant."
                    )
                self._known = descriptor, inode

    def _peers(self) -> Iterator[tuple[int, Peer]]:
        """All connections of its network, by inode."""
        for table in ("tcp", "tcp6"):
            for line in (self._process / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                address, _, port = fields[2].partition(":")
                yield int(fields[9]), (_address(address), int(port, 16))


def _inode(descriptor: Path) -> int:
    return descriptor.stat().st_ino


def _address(text: str) -> Address:
    words = (text[place : place + _WORD] for place in range(0, len(text), _WORD))
    return as_it_is(ip_address(b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)))
