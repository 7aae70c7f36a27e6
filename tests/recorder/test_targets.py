"""Which machines a recorder connects to, as whom, and whose certificate it accepts."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from recorder.errors import BadSource, SourceAway
from recorder.settings import Settings
from recorder.sources import check_source, open_source
from recorder.sources.certificate import check_certificate
from recorder.sources.rdp import evidence_of
from recorder.sources.rdp_client import Client
from recorder.sources.reach import Endpoint, resolve
from recorder.sources.target import Access, Target, fingerprint_of, parse
from tests.programs import needed

DIGITS = "ab" * 32


def test_a_password_that_was_kept_with_a_line_break_is_not_sent_in_part() -> None:
    access = Access("first\nsecond", ("127.0.0.0/8",))
    with pytest.raises(BadSource, match="has a line break") as refusal:
        open_source("rdp://operator@127.0.0.1:1", Settings(), access=access)
    assert "first" not in str(refusal.value)


def test_an_address_says_everything_but_the_password() -> None:
    target = parse(
        f"rdp://DOMAIN%5Coperator@[2001:db8::7]:3390?domain=corp&fingerprint=SHA256:{DIGITS.upper()}"
    )
    assert target == Target("rdp", "2001:db8::7", 3390, "DOMAIN\\operator", "corp", DIGITS)
    assert parse(target.url) == target
    assert parse("vnc://desk") == Target("vnc", "desk", 5900)


@pytest.mark.parametrize(
    "url",
    [
        "rdp://operator:hunter2@host",
        "rdp://operator@",
        "rdp://@host",
        "rdp://operator@ho st",
        "rdp://operator@-oProxyCommand",
        "rdp://operator@host:0",
        "rdp://operator@host:99999",
        "rdp://operator@host/path",
        "rdp://operator@host?gateway=other",
        "rdp://%2Fcert:ignore@host",
        "rdp://operator%0Abob@host",
        "rdp://operator@host?domain=-x",
        "rdp://operator@host?ignore_cert=true",
        f"rdp://operator@host?ignore_cert=1&fingerprint={DIGITS}",
        "vnc://host?fingerprint=" + DIGITS,
        "rdp://operator:hunter2@[::1",
        "rdp://operator@[::1",
        "rdp://operator@a..b",
        "rdp://operator@.",
        "rdp://operator@" + "a" * 64,
        "rdp://operator@" + "a." * 127 + "a",
    ],
)
def test_an_address_that_could_mean_something_else_is_refused(url: str) -> None:
    with pytest.raises(BadSource) as refused:
        parse(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["desk_7", "_desk-7_", "desk.example.org.", "a" * 63, "7", "10.0.0.5."])
def test_a_name_of_a_host_may_have_an_underscore_and_a_final_dot(name: str) -> None:
    target = parse(f"RDP://operator@{name}:3390")
    assert (target.kind, target.host, target.port) == ("rdp", name.removesuffix("."), 3390)


def test_a_fingerprint_is_read_as_tools_print_it() -> None:
    assert fingerprint_of(":".join(["AB"] * 32)) == fingerprint_of(f"sha256:{DIGITS}") == DIGITS
    with pytest.raises(BadSource, match="64 hexadecimal digits"):
        fingerprint_of("ab:cd")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.8.8.8", "localhost", "::1", "0.0.0.0", "::", "169.254.1.1", "169.254.169.254",  # noqa: S104
        "fe80::1", "224.0.0.1", "ff02::1", "255.255.255.255", "100.100.100.200", "fd00:ec2::254",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::",
        "64:ff9b:1::a9fe:a9fe", "::7f00:1", "2001::80ff:fffe", "2001::5601:5601", "168.63.129.16",
    ],
)  # fmt: skip
def test_what_only_this_machine_should_reach_is_out_of_bounds(host: str) -> None:
    with pytest.raises(BadSource, match="LUCID_TARGET_ALLOW"):
        resolve(Target("vnc", host, 5900), allowed=())


@pytest.mark.parametrize("host", ["192.0.2.7", "10.0.0.5", "2001:db8::7"])
def test_other_machines_are_within_bounds(host: str) -> None:
    assert resolve(Target("vnc", host, 5900), allowed=()) == Endpoint(host, 5900)


def test_an_allowed_network_is_within_bounds_and_only_that() -> None:
    assert resolve(Target("vnc", "127.0.0.1", 5900), allowed=["127.0.0.0/8"]).address == "127.0.0.1"
    with pytest.raises(BadSource):
        resolve(Target("vnc", "169.254.169.254", 80), allowed=["127.0.0.0/8"])


def test_a_name_without_an_address_is_away_for_now() -> None:
    with pytest.raises(SourceAway, match="has no address"):
        resolve(Target("vnc", "no-such-host.invalid", 5900), allowed=())


@pytest.mark.parametrize("url", ["rdp://operator@127.0.0.1:{}", "vnc://127.0.0.1:{}"])
def test_a_host_where_nobody_listens_is_named(url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = url.format(taken.getsockname()[1])
        for attempt in (check_source, lambda url, access: open_source(url, Settings(), access=access)):
            with pytest.raises(SourceAway, match=r"127\.0\.0\.1:\d+ .*Check host, port and network"):
                attempt(url, access=Access("x", ("127.0.0.0/8",)))


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes.fromhex("030000130ed000001234000300080002000000")],
)
def test_a_server_that_does_not_protect_the_password_is_refused(answer: bytes) -> None:
    with serving(lambda connection: connection.sendall(answer)) as port, pytest.raises(BadSource):
        check_certificate(parse("rdp://operator@127.0.0.1"), Endpoint("127.0.0.1", port))


def test_a_certificate_passes_by_its_fingerprint_or_an_authority_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    with tls_server(tmp_path) as port:
        place = Endpoint("127.0.0.1", port)
        with pytest.raises(BadSource, match=r"No authority.*No password was sent.*SHA-256 ([0-9a-f]{64})"):
            check_certificate(parse("rdp://operator@localhost"), place)
        with pytest.raises(BadSource, match=r"another certificate than was pinned.*No password was sent"):
            check_certificate(parse(f"rdp://operator@localhost?fingerprint={DIGITS}"), place)
        unchecked = check_certificate(parse("rdp://operator@localhost?ignore_cert=1"), place)
        assert unchecked.checked == "not checked"
        pinned = check_certificate(parse(f"rdp://operator@localhost?fingerprint={unchecked.pretty}"), place)
        assert (pinned.sha256, pinned.checked) == (unchecked.sha256, "fingerprint")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert check_certificate(parse("rdp://operator@localhost"), place).checked == "authority"
        with pytest.raises(BadSource, match="No authority"):
            check_certificate(parse("rdp://operator@otherhost"), place)
        assert evidence_of(place, unchecked)["certificate_checked"] == "not checked"


@pytest.mark.parametrize(("version", "word"), [(2, "-sec-rdp"), (3, "/sec:rdp:off")])
def test_nothing_secret_is_in_the_clients_arguments(version: Any, word: str, tmp_path: Path) -> None:
    make_certificate(tmp_path)
    target = parse("rdp://operator@localhost?ignore_cert=1&domain=corp")
    with tls_server(tmp_path) as port:
        place = Endpoint("127.0.0.1", port)
        seen = check_certificate(target, place)
        argv = Client("xfreerdp", version).argv(target, place, certificate=seen, size=(800, 600))
    assert f"/cert:fingerprint:sha256:{seen.pretty.lower()}" in argv
    assert {"/from-stdin:force", "/u:operator", "/d:corp", word} <= set(argv)
    assert not [one for one in argv if one.startswith(("/p", "/cert:ignore"))]


def make_certificate(folder: Path) -> Path:
    make = [
        needed("openssl"),
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    make += [
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        str(folder / "key"),
        "-out",
        str(folder / "cert"),
    ]
    subprocess.run(make, check=True, capture_output=True)
    return folder / "cert"


@contextmanager
def tls_server(folder: Path) -> Iterator[int]:
    """Speaks as much RDP as comes before TLS, then TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")

    def agree(connection: socket.socket) -> None:
        connection.sendall(bytes.fromhex("030000130ed000001234000200080001000000"))
        context.wrap_socket(connection, server_side=True).recv(1)

    with serving(agree) as port:
        yield port


@contextmanager
def serving(answer: object, *, speaks_first: bool = False) -> Iterator[int]:
    """A server that reads a first packet and answers it, or speaks first."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        _ = speaks_first or connection.recv(64)
                        answer(connection)  # type: ignore[operator]
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
