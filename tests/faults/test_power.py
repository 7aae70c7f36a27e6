"""Power loss: at every prefix of the writes really made, unsynced bytes and names lost, torn or ahead."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from lucid_sessions.blobs import FileBlobs, blob_name
from lucid_sessions.errors import LucidError
from lucid_sessions.ledger import Log
from recorder.names import ClosedMarker, SegmentName, sequence_of
from recorder.spool import Spool
from tests.faults.crash_states import ACKNOWLEDGED, CALLS, Crash, Disk, calls_of, restore
from tests.faults.forks import run_forked
from tests.faults.ground import Ground, trials

pytestmark = pytest.mark.django_db(transaction=True)

Check = Callable[[Path, Crash], str | None]


def _every_crash(
    ground: Ground, root: Path, act: Callable[[Callable[[str], None]], object], check: Check
) -> None:
    """Do `act` (which acknowledges through the function that it gets) under strace; check every disk."""
    acknowledged = ground.home / ACKNOWLEDGED
    log = ground.home / "calls"

    def child() -> None:
        with acknowledged.open("ab", buffering=0) as out:
            act(lambda word: out.write(f"{word} ".encode()))

    disk = Disk(str(root))
    disk.load()
    traced = ["-y", "-xx", "-s", "10000000", "-e", f"trace={CALLS}", "-o", str(log)]
    assert run_forked(child, straced=traced) == 0
    changes = 0
    for number, call in enumerate(calls_of(log)):
        if not disk.apply(call):
            continue
        changes += 1
        for crash in disk.crashes(ground.rng, after=f"call {number} ({call.name} {call.paths[0][-40:]})"):
            ground.strike()
            into = ground.home / "crashed"
            if problem := check(restore(crash, root=str(root), into=into), crash):
                ground.extra.lost.append(f"{crash.after}: {problem}")
            shutil.rmtree(into, ignore_errors=True)
    assert changes > 5, "strace saw the writes"
    assert disk.acknowledged, "the act came to its end"


@pytest.mark.fault(3, "power cut at every prefix of storing a blob; unsynced lost, torn, or names ahead")
def test_a_stored_blob_survives_and_no_half_blob_is_ever_seen(ground: Ground, strace: str) -> None:
    for _ in range(trials(50, 1)):
        root = ground.home / uuid4().hex
        root.mkdir()
        store = FileBlobs.create(root / "blobs")
        contents = [ground.rng.randbytes(ground.rng.randint(1, 20_000)) for _ in range(3)]

        def act(
            acknowledge: Callable[[str], None],
            store: FileBlobs = store,
            contents: list[bytes] = contents,
        ) -> None:
            for content in contents:
                store.put(content, name=blob_name(content))
                acknowledge(blob_name(content))

        def check(crashed: Path, crash: Crash) -> str | None:
            found = FileBlobs(crashed / "blobs")
            names = set(found.names())
            if missing := set(crash.acknowledged) - names:
                return f"acknowledged blobs are gone: {missing}"
            torn = [name for name in names if blob_name(found.get(name)) != name]
            return f"half a blob is visible: {torn}" if torn else None

        _every_crash(ground, root, act, check)
    ground.finish()


@pytest.mark.fault(3, "power cut at every prefix of committing segments and closing a take")
def test_an_acknowledged_segment_survives_whole(ground: Ground, strace: str) -> None:
    for _ in range(trials(50, 1)):
        root = ground.home / uuid4().hex
        root.mkdir()
        spool = Spool(root / "spool", reserve_bytes=0)
        spool.identity  # noqa: B018 - the spool has its name before anything is recorded
        session = uuid4()
        contents = [ground.rng.randbytes(ground.rng.randint(1, 20_000)) for _ in range(3)]
        names = [SegmentName(session, "screen", sequence_of(1, n), 1, n, n + 1, n) for n in (1, 2, 3)]

        def act(
            acknowledge: Callable[[str], None],
            spool: Spool = spool,
            names: list[SegmentName] = names,
            contents: list[bytes] = contents,
        ) -> None:
            directory = spool.make_take(names[0].session, 1)
            for name, content in zip(names, contents, strict=True):
                part = directory / name.part_filename
                with part.open("wb", buffering=0) as file:
                    file.write(content)
                spool.commit(part, name)
                acknowledge(name.filename)
            marker = ClosedMarker(names[0].session, "screen", 1, 3, 4, "stopped")
            acknowledge(spool.write_closed(marker).name)

        expected = {name.filename: content for name, content in zip(names, contents, strict=True)}

        def check(crashed: Path, crash: Crash, expected: dict[str, bytes] = expected) -> str | None:
            found = {path.name: path for path in (crashed / "spool").rglob("*") if path.is_file()}
            if missing := set(crash.acknowledged) - set(found):
                return f"acknowledged files are gone: {missing}"
            torn = [name for name in expected if name in found and found[name].read_bytes() != expected[name]]
            return f"a segment is torn: {torn}" if torn else None

        _every_crash(ground, root, act, check)
    ground.finish()


@pytest.mark.fault(3, "power cut at every prefix of extending the log and its pin")
def test_a_published_checkpoint_survives_and_the_log_goes_on(ground: Ground, strace: str) -> None:
    keys = ground.world.keys
    for _ in range(trials(20, 1)):
        root = ground.home / uuid4().hex
        root.mkdir()

        def log_in(place: Path) -> Log:
            return Log(place / "ledger", vkey=keys.log_vkey, key=keys.log_key, pin=place / "pin" / "last")

        log_in(root).extend([b"record 0"])
        records = [b"record %d" % n for n in range(1, 5)]

        def act(
            acknowledge: Callable[[str], None], root: Path = root, records: list[bytes] = records
        ) -> None:
            log = log_in(root)
            body = log.write_body(b"leaves" * 99)
            acknowledge(f"body:{body}")
            acknowledge(f"size:{log.extend(records[:2]).size}")
            acknowledge(f"size:{log.extend(records[2:]).size}")

        def check(crashed: Path, crash: Crash, records: list[bytes] = records) -> str | None:
            log = log_in(crashed)
            sizes = [int(word[5:]) for word in crash.acknowledged if word.startswith("size:")]
            try:
                if log.size < max(sizes, default=1):
                    return f"the log has {log.size} records, {sizes} were published"
                for word in crash.acknowledged:
                    if word.startswith("body:"):
                        log.read_body(word[5:])
                log.extend([b"record 0", *records][log.size :])
                log.tree().verify()
            except LucidError as error:
                return str(error)
            return None

        _every_crash(ground, root, act, check)
    ground.finish()


def test_strace_can_be_attached(strace: str) -> None:
    assert sys.platform == "linux"
    assert os.access(strace, os.X_OK)
