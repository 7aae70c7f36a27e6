"""A witness that we did not write cosigns the log as it grows, and nothing that contradicts what it saw."""

import base64
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from lucid_sessions.archive import check_cosignature
from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.ledger import Anchor, Log, Witness
from tests.authority import serving
from tests.ledger.logs import KEY, records, sealer
from tests.outside import Observer, witness


@pytest.fixture(scope="module")
def observer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observer]:
    with witness(tmp_path_factory.mktemp("witness"), origin=KEY.origin, vkey=KEY.vkey) as found:
        yield found


@pytest.fixture(scope="module")
def grown(observer: Observer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Log, list[Anchor]]:
    """A log that was cosigned at 3, 4 and 700 records, so that proofs of all shapes were needed."""
    log, anchors, before = sealer(tmp_path_factory.mktemp("log")), [], 0
    for size in (3, 4, 700):
        log.extend(records(before, size))
        anchors.append(_asked(log, observer))
        before = size
    return log, anchors


def test_each_growth_is_cosigned_with_a_proof_that_it_continues_the_last(
    observer: Observer, grown: tuple[Log, list[Anchor]]
) -> None:
    log, anchors = grown
    assert [one.size for one in log.anchors.all()] == [700, 4, 3]
    for anchor in anchors:
        at = _named(observer).verify(anchor.proof, anchor.note)
        assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)
        assert anchor.checkpoint(KEY.vkey).size == anchor.size
        # The file is a signed note of its own: the log's line, and the witness's below it.
        assert Anchor(anchor.size, "house", anchor.proof, b"").checkpoint(KEY.vkey).size == anchor.size


def test_a_witness_that_saw_more_than_we_remember_says_where_it_stands(
    observer: Observer, grown: tuple[Log, list[Anchor]], tmp_path: Path
) -> None:
    log, _ = grown
    shutil.copytree(log.root, tmp_path / "ledger", ignore=shutil.ignore_patterns("anchors"))
    forgot = Log(tmp_path / "ledger", vkey=KEY.vkey)
    assert _asked(forgot, observer).size == 700


def test_a_past_that_was_written_anew_is_not_cosigned(
    observer: Observer, grown: tuple[Log, list[Anchor]], tmp_path: Path
) -> None:
    for size in (700, 900):
        other = sealer(tmp_path / str(size))
        other.extend(records(0, size, kind="forged"))
        with pytest.raises(Tampered, match=r"witness house .*(another past|another log)"):
            _asked(other, observer)


def test_a_log_that_was_rolled_back_is_not_cosigned(
    observer: Observer, grown: tuple[Log, list[Anchor]], tmp_path: Path
) -> None:
    short = sealer(tmp_path)
    short.extend(records(0, 5))
    with pytest.raises(Tampered, match=r"cosigned 700 records of this log, which has 5"):
        _asked(short, observer)


def test_a_witness_that_does_not_know_the_log_is_told_apart(tmp_path: Path) -> None:
    log = sealer(tmp_path)
    log.extend(records(0, 2))
    with (
        witness(tmp_path / "w", origin="other.example/log", vkey=_vkey("other.example/log")) as stranger,
        pytest.raises(Refused, match="does not know this log: give its operator"),
    ):
        _asked(log, stranger)


def test_a_cosignature_by_another_key_or_of_another_checkpoint_is_refused(
    observer: Observer, grown: tuple[Log, list[Anchor]]
) -> None:
    log, (first, second, _) = grown
    other = Witness("house", observer.url, _vkey("witness.example/w1", kind=4))
    with pytest.raises(Tampered, match=r"house does not hold.*LUCID_WITNESS_KEYS"):
        other.vouch(log, (log.checkpoint_text() or "").encode())
    with pytest.raises(Tampered, match="another checkpoint"):
        _named(observer).verify(first.proof, second.note)
    moved = second.note + first.proof[len(first.note) :]
    with pytest.raises(Tampered, match="does not hold"):
        _named(observer).verify(moved, second.note)


def test_every_changed_byte_of_a_cosignature_is_noticed(
    observer: Observer, grown: tuple[Log, list[Anchor]]
) -> None:
    _, (_, _, anchor) = grown
    for place in range(len(anchor.proof)):
        changed = bytearray(anchor.proof)
        changed[place] ^= 1
        with pytest.raises(Tampered):
            _named(observer).verify(bytes(changed), anchor.note)


def test_the_log_s_own_key_is_no_witness_s(grown: tuple[Log, list[Anchor]]) -> None:
    _, (anchor, *_) = grown
    with pytest.raises(Refused, match="type 4"):
        check_cosignature("", "", KEY.vkey)
    with pytest.raises(Refused, match="not a verifier key"):
        check_cosignature("", "", "nothing")
    assert anchor.file == "house.cosigned"


def test_a_witness_that_is_away_or_talks_nonsense_is_named(tmp_path: Path) -> None:
    log = sealer(tmp_path)
    log.extend(records(0, 2))

    class Answers(BaseHTTPRequestHandler):
        status, body = 200, b""

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(self.status)
            self.end_headers()
            self.wfile.write(self.body)

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    with serving(Answers) as url:
        for status, body, error, why in (
            (200, b"nonsense\n", Tampered, "no cosignature|no signature"),
            (200, "— witness.example/w1 AAAA\n".encode(), Tampered, "no cosignature"),
            (409, b"soon\n", Retryable, "said no size"),
            (409, b"1\n", Tampered, "another log under this log's key"),
            (503, b"busy\n", Retryable, "answered 503 .busy"),
            (302, b"", Retryable, "answered 302"),
        ):
            Answers.status, Answers.body = status, body
            log.anchors.add(Anchor(1, "house", (log.checkpoint_text() or "").encode(), b"", ".cosigned"))
            with pytest.raises(error, match=why):
                _asked(log, Observer(url, _vkey("witness.example/w1", kind=4)))
    with pytest.raises(Retryable, match=r"witness house .* refused"):
        _asked(log, Observer(url, _vkey("witness.example/w1", kind=4)))


def _asked(log: Log, observer: Observer) -> Anchor:
    anchor = _named(observer).vouch(log, (log.checkpoint_text() or "").encode())
    log.anchors.add(anchor)
    return anchor


def _named(observer: Observer) -> Witness:
    return Witness("house", observer.url, observer.vkey)


def _vkey(name: str, *, kind: int = 1) -> str:
    """The verifier key of somebody with that name whose private key nobody needs."""
    import hashlib

    from lucid_sessions.archive import Writer

    content = bytes([kind]) + Writer.from_private(bytes(range(32, 64))).public
    key_hash = hashlib.sha256(name.encode() + b"\n" + content).digest()[:4]
    return f"{name}+{key_hash.hex()}+{base64.b64encode(content).decode()}"
