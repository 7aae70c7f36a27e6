"""What every blob store promises, and the two that stand before one another while blobs move."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import BinaryIO, Protocol, TypeVar

from lucid_sessions.durable import Bytes
from lucid_sessions.errors import Tampered

Answer = TypeVar("Answer")


class Blobs(Protocol):
    """Encrypted bytes, each named by the SHA-256 of all of them.

    Errors: Missing (Retryable) when the store itself is not there, Retryable when it fails, Tampered when a
    blob that was asked for is gone or is not what its name says.
    """

    @property
    def place(self) -> str:
        """Where it is, for people."""

    def present(self) -> bool:
        """True if the store is there."""

    def put(self, data: Bytes, *, name: str) -> None:
        """The blob is stored durably and was verified. Again with the same bytes: nothing changes."""

    def replace(self, data: Bytes, *, name: str) -> None:
        """The same, whatever lies there: it goes when this is in its place, so there is never nothing."""

    def get(self, name: str) -> bytes:
        """The stored bytes, unverified."""

    def start(self, name: str, length: int) -> bytes:
        """The first so many bytes of it."""

    def open(self, name: str) -> BinaryIO:
        """The stored bytes as a file to read, unverified."""

    def size(self, name: str) -> int:
        """The length of the stored blob in bytes."""

    def check(self, name: str) -> int:
        """Its length in bytes, its bytes having the hash that is its name; Tampered otherwise."""

    def written_at(self, name: str) -> float:
        """When it was stored, in seconds since 1970."""

    def exists(self, name: str) -> bool:
        """True if the store holds a blob of that name."""

    def delete(self, name: str) -> None:
        """The blob is gone for good; one that was not there is gone already."""

    def names(self, *, after: str = "") -> Iterator[str]:
        """Every blob's name behind `after`, in order."""

    def sizes(self, *, after: str = "") -> Iterator[tuple[str, int]]:
        """The same, each with its length in bytes."""

    def free_bytes(self) -> int | None:
        """How much may still be written; None where nobody can say."""

    def free_inodes(self) -> int | None:
        """How many files may still be made; None where there is no such limit."""

    def put_aside(self, data: Bytes, *, name: str) -> None:
        """Evidence is kept, where nobody takes it for a blob."""

    def lock(self, name: str) -> None:
        """The store itself refuses to delete the blob, where it can do that."""

    def unlock(self, name: str) -> None:
        """The blob can be deleted again."""

    def sweep(self, *, older_than_seconds: float) -> int:
        """How many unfinished writes of dead writers were removed."""


@dataclass(frozen=True)
class Layered:
    """One store in front, which takes all new blobs, and others that still hold some.

    A read asks one after the other, and then once more: while a blob moves it is in both, and then in the
    one that was asked already. A deletion is one everywhere.
    """

    layers: tuple[Blobs, ...]

    @property
    def front(self) -> Blobs:
        """Where new blobs go."""
        return self.layers[0]

    @property
    def place(self) -> str:
        """Where they are, for people."""
        return ", then ".join(layer.place for layer in self.layers)

    def present(self) -> bool:
        """True if all of them are there."""
        return all(layer.present() for layer in self.layers)

    def put(self, data: Bytes, *, name: str) -> None:
        """The blob is stored in front."""
        self.front.put(data, name=name)

    def replace(self, data: Bytes, *, name: str) -> None:
        """The blob is stored in front, whatever lies there."""
        self.front.replace(data, name=name)

    def get(self, name: str) -> bytes:
        """The stored bytes, from the first that has them."""
        return self._first(lambda layer: layer.get(name))

    def start(self, name: str, length: int) -> bytes:
        """The first so many bytes of it."""
        return self._first(lambda layer: layer.start(name, length))

    def open(self, name: str) -> BinaryIO:
        """The stored bytes as a file to read, unverified."""
        return self._first(lambda layer: layer.open(name))

    def size(self, name: str) -> int:
        """The length of the stored blob in bytes."""
        return self._first(lambda layer: layer.size(name))

    def check(self, name: str) -> int:
        """Its length in bytes, in the first store that has it right."""
        return self._first(lambda layer: layer.check(name))

    def written_at(self, name: str) -> float:
        """When it was stored there, in seconds since 1970."""
        return self._first(lambda layer: layer.written_at(name))

    def exists(self, name: str) -> bool:
        """True if any of them holds a blob of that name."""
        return any(layer.exists(name) for layer in (*self.layers, *self.layers[:-1]))

    def delete(self, name: str) -> None:
        """The blob is gone from all of them."""
        for layer in self.layers:
            layer.delete(name)

    def names(self, *, after: str = "") -> Iterator[str]:
        """Every blob's name behind `after`, in order, once."""
        every = heapq.merge(*(layer.names(after=after) for layer in self.layers))
        return (name for name, _ in groupby(every))

    def sizes(self, *, after: str = "") -> Iterator[tuple[str, int]]:
        """The same, each with its length in bytes."""
        every = heapq.merge(*(layer.sizes(after=after) for layer in self.layers))
        return (next(same) for _, same in groupby(every, key=lambda one: one[0]))

    def free_bytes(self) -> int | None:
        """How much the front may still take."""
        return self.front.free_bytes()

    def free_inodes(self) -> int | None:
        """How many files the front may still take."""
        return self.front.free_inodes()

    def put_aside(self, data: Bytes, *, name: str) -> None:
        """Evidence is kept in front."""
        self.front.put_aside(data, name=name)

    def lock(self, name: str) -> None:
        """Whoever has the blob refuses to delete it."""
        for layer in self._holders(name):
            layer.lock(name)

    def unlock(self, name: str) -> None:
        """The blob can be deleted again, wherever it is."""
        for layer in self._holders(name):
            layer.unlock(name)

    def sweep(self, *, older_than_seconds: float) -> int:
        """How many unfinished writes were removed from all of them."""
        return sum(layer.sweep(older_than_seconds=older_than_seconds) for layer in self.layers)

    def _holders(self, name: str) -> list[Blobs]:
        return [layer for layer in self.layers if layer.exists(name)]

    def _first(self, ask: Callable[[Blobs], Answer]) -> Answer:
        for layer in (*self.layers, *self.layers[:-1]):
            try:
                return ask(layer)
            except Tampered:
                continue  # not here; a wrong blob is never told by these calls
        return ask(self.layers[-1])
