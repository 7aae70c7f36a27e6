"""What a disk may hold after a power cut, worked out from the system calls that a process really made.

A file's bytes are safe once it was synced; a name, or its absence, once its directory was. Whatever was not
synced may be lost, or half of it kept, or names may be ahead of the bytes that they stand for.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

CALLS = "openat,write,pwrite64,fsync,fdatasync,rename,link,linkat,unlink,mkdir,ftruncate,close"
ACKNOWLEDGED = "acknowledged"
_LINE = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)(?:<(.*?)>)?")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_OWNER = re.compile(r"^\d+<((?:\\x[0-9a-f]{2})*)>")


@dataclass(frozen=True)
class Call:
    """One successful system call: its name, the paths it names, the bytes it wrote."""

    name: str
    paths: tuple[str, ...]
    content: bytes = b""
    creates: bool = False
    size: int = 0


@dataclass(frozen=True)
class Crash:
    """One disk after a cut: files and their bytes; what had been acknowledged by then."""

    files: dict[str, bytes]
    directories: frozenset[str]
    acknowledged: tuple[str, ...]
    after: str


def calls_of(log: Path) -> Iterator[Call]:
    """The calls that a `strace -f -y -xx -s LARGE` log tells of."""
    for line in log.read_text().splitlines():
        match = _LINE.match(line)
        if not match or match[3].startswith("-"):
            continue
        name, arguments, result, opened = match.groups()
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(arguments)]
        owner = _OWNER.match(arguments)
        on = _path(owner[1]) if owner else ""
        if name in ("write", "pwrite64"):
            yield Call("write", (on,), texts[0][: int(result)])
        elif name in ("fsync", "fdatasync"):
            yield Call("fsync", (on,))
        elif name == "ftruncate":
            yield Call(name, (on,), size=int(arguments.rsplit(", ", 1)[1]))
        elif name == "openat" and opened is not None:
            yield Call(name, (_path(opened),), creates="O_CREAT" in arguments, size="O_TRUNC" in arguments)
        elif name in ("rename", "link", "linkat", "unlink", "mkdir"):
            yield Call(name.removesuffix("at"), tuple(text.decode() for text in texts))


def _path(text: str) -> str:
    return bytes.fromhex(text.replace("\\x", "")).decode()


@dataclass
class Disk:
    """The state of everything below `root`, live and durable."""

    root: str
    names: dict[str, int] = field(default_factory=dict)
    safe_names: dict[str, int] = field(default_factory=dict)
    content: dict[int, bytearray] = field(default_factory=dict)
    safe_content: dict[int, bytes] = field(default_factory=dict)
    directories: set[int] = field(default_factory=set)
    acknowledged: list[str] = field(default_factory=list)
    _next: int = 0

    def load(self) -> None:
        """What is there now is safe."""
        for path in sorted(Path(self.root).rglob("*")):
            number = self._new(str(path))
            if path.is_dir():
                self.directories.add(number)
            else:
                self.content[number] = bytearray(path.read_bytes())
                self.safe_content[number] = bytes(self.content[number])
        self.safe_names = dict(self.names)

    def _new(self, path: str) -> int:
        self._next += 1
        self.names[path] = self._next
        return self._next

    def apply(self, call: Call) -> bool:
        """True when the call changed something here."""
        if call.name == "write" and call.paths[0].endswith(f"/{ACKNOWLEDGED}"):
            self.acknowledged += call.content.decode().split()
            return True
        if not all(path.startswith(self.root + "/") or path == self.root for path in call.paths):
            return False
        return bool(getattr(self, f"_{call.name}")(call))

    def _openat(self, call: Call) -> bool:
        path = call.paths[0]
        if path not in self.names and call.creates:
            self.content[self._new(path)] = bytearray()
            return True
        if call.size and path in self.names:
            self.content[self.names[path]].clear()
        return bool(call.size)

    def _write(self, call: Call) -> bool:
        # Every writer here appends: none seeks.
        self.content[self.names[call.paths[0]]] += call.content
        return True

    def _ftruncate(self, call: Call) -> bool:
        del self.content[self.names[call.paths[0]]][call.size :]
        return True

    def _fsync(self, call: Call) -> bool:
        path = call.paths[0]
        number = self.names.get(path)
        if path == self.root or number in self.directories:
            inside = {p for p in {*self.names, *self.safe_names} if p.rsplit("/", 1)[0] == path}
            for name in inside:
                if name in self.names:
                    self.safe_names[name] = self.names[name]
                else:
                    self.safe_names.pop(name, None)
        elif number is not None:
            self.safe_content[number] = bytes(self.content[number])
        return True

    def _rename(self, call: Call) -> bool:
        self.names[call.paths[1]] = self.names.pop(call.paths[0])
        return True

    def _link(self, call: Call) -> bool:
        self.names[call.paths[1]] = self.names[call.paths[0]]
        return True

    def _unlink(self, call: Call) -> bool:
        return self.names.pop(call.paths[0], None) is not None

    def _mkdir(self, call: Call) -> bool:
        self.directories.add(self._new(call.paths[0]))
        return True

    def crashes(self, rng: Random, *, after: str) -> Iterator[Crash]:
        """Disks that a cut may leave now: strictly what is safe; names ahead; some of each."""
        yield self._crash(self.safe_names, torn=0.0, rng=rng, after=f"{after}, all unsynced lost")
        yield self._crash(self.names, torn=0.0, rng=rng, after=f"{after}, names ahead of bytes")
        mixed = dict(self.safe_names)
        for path in sorted({*self.names, *self.safe_names}):  # a seed replays it
            if rng.random() < 0.5:
                if path in self.names:
                    mixed[path] = self.names[path]
                else:
                    mixed.pop(path, None)
        yield self._crash(mixed, torn=0.5, rng=rng, after=f"{after}, some names, bytes torn")

    def _crash(self, names: dict[str, int], *, torn: float, rng: Random, after: str) -> Crash:
        files, folders = {}, set()
        for path, number in names.items():
            parents = [str(one) for one in Path(path).parents if str(one).startswith(self.root + "/")]
            if any(parent not in names for parent in parents):
                continue
            if number in self.directories:
                folders.add(path)
                continue
            safe, live = self.safe_content.get(number, b""), bytes(self.content[number])
            files[path] = (
                live[: rng.randint(len(safe), len(live))] if torn and live[: len(safe)] == safe else safe
            )
        return Crash(files, frozenset(folders), tuple(self.acknowledged), after)


def restore(crash: Crash, *, root: str, into: Path) -> Path:
    """The crashed disk as a directory that can be opened."""
    for folder in sorted(crash.directories):
        (into / Path(folder).relative_to(root)).mkdir(parents=True, exist_ok=True)
    for name, content in crash.files.items():
        path = into / Path(name).relative_to(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return into
