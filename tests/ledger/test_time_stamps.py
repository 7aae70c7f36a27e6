"""A real authority stamps; nothing but its stamp over exactly these bytes is believed."""

import contextlib
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from lucid_sessions.archive.evidence import README
from lucid_sessions.errors import Refused, Retryable, Tampered
from lucid_sessions.ledger import Authority
from tests.authority import serving, stamping
from tests.waiting import PATIENCE

NOTE = b"example.invalid/log\n7\nhash\n\n-- signature\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with stamping(tmp_path_factory.mktemp("authority") / "own") as found:
        yield Authority("own", found.url, found.roots.read_bytes())


@pytest.fixture(scope="module")
def stamp(authority: Authority) -> bytes:
    return authority.stamp(NOTE)


def test_a_stamp_says_when_the_bytes_existed(authority: Authority, stamp: bytes) -> None:
    at = authority.verify(stamp, NOTE)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)


def test_openssl_alone_believes_the_stamp_and_no_other_bytes(
    authority: Authority, stamp: bytes, tmp_path: Path
) -> None:
    for name, content in (("roots", authority.roots), ("stamp", stamp), ("note", NOTE), ("other", NOTE[1:])):
        (tmp_path / name).write_bytes(content)
    for name, holds in (("note", True), ("other", False)):
        argv = ["openssl", "ts", "-verify", "-in", "stamp", "-data", name, "-CAfile", "roots"]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False)
        assert (done.returncode == 0) is holds, done.stderr


def test_when_its_certificate_has_expired_openssl_believes_a_stamp_as_of_its_own_time(
    authority: Authority, stamp: bytes, tmp_path: Path
) -> None:
    """Otherwise whoever checked old evidence as its README said was told that it failed."""
    for name, content in (("roots", authority.roots), ("stamp", stamp), ("note", NOTE)):
        (tmp_path / name).write_bytes(content)
    own = int(authority.verify(stamp, NOTE).timestamp())
    for at, holds in ((own + 40 * 86400, False), (own, True)):
        argv = ["openssl", "ts", "-verify", "-in", "stamp", "-data", "note", "-CAfile", "roots"]
        argv += ["-attime", str(at)]
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, timeout=PATIENCE, check=False)
        assert (done.returncode == 0) is holds, done.stderr
        assert (b"certificate has expired" in done.stderr) is not holds
    assert "-attime SECONDS" in README


def test_a_stamp_of_other_bytes_is_refused(authority: Authority, stamp: bytes) -> None:
    with pytest.raises(Tampered, match="own does not hold"):
        authority.verify(stamp, NOTE + b"\n")


def test_a_stamp_by_somebody_whom_the_roots_do_not_vouch_for_is_refused(
    authority: Authority, stamp: bytes, tmp_path: Path
) -> None:
    with stamping(tmp_path / "other", name="Another authority") as other:
        with pytest.raises(Tampered):
            Authority("own", authority.url, other.roots.read_bytes()).verify(stamp, NOTE)
        with pytest.raises(Tampered):
            Authority("own", other.url, authority.roots).stamp(NOTE)


def test_changed_stamps_are_refused_but_for_bytes_that_nobody_signs(
    authority: Authority, stamp: bytes
) -> None:
    said, believed = authority.verify(stamp, NOTE), []
    for place in range(len(stamp)):
        changed = bytearray(stamp)
        changed[place] ^= 0x01
        with contextlib.suppress(Tampered):
            assert authority.verify(bytes(changed), NOTE) == said, "a change that counts was believed"
            believed.append(place)
    assert len(believed) <= 16


def test_an_authority_that_is_away_slow_or_talks_nonsense_is_named(authority: Authority) -> None:
    class Nonsense(BaseHTTPRequestHandler):
        body = b"no such thing"

        def do_POST(self) -> None:
            # Else the connection ends with a reset, and the answer may be lost with it.
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.body)

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    class Flood(Nonsense):
        body = b"x" * 1_000_000

    class Broken(Nonsense):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(503)

    with serving(Nonsense) as url, pytest.raises(Tampered, match="clock-house"):
        Authority("clock-house", url, authority.roots).stamp(NOTE)
    for answers, why in ((Flood, "more than"), (Broken, "503")):
        with serving(answers) as url, pytest.raises(Retryable, match=f"clock-house .*{why}"):
            Authority("clock-house", url, authority.roots).stamp(NOTE)
    with pytest.raises(Retryable, match=r"clock-house .* refused"):
        Authority("clock-house", url, authority.roots).stamp(NOTE)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/", "stamp.example", "http://[::1"])
def test_an_address_that_is_none_is_refused(authority: Authority, url: str) -> None:
    with pytest.raises(Refused, match="http or https"):
        Authority("own", url, authority.roots).stamp(NOTE)


@pytest.mark.parametrize("roots", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_certificates_that_are_none_are_refused(authority: Authority, stamp: bytes, roots: bytes) -> None:
    with pytest.raises(Refused, match="LUCID_TIMESTAMP_ROOTS"):
        Authority("own", authority.url, roots).verify(stamp, NOTE)
