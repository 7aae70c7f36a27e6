"""Webhooks go to the public network only, to the address that was checked, to whoever proves it."""

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from lucid_sessions.errors import Refused
from lucid_sessions.recordings.webhooks import sending

from .receiver import Receiver, receiving

HEADERS = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "https://127.9.9.9:8443/x",
        "https://0.0.0.0/",
        "https://10.1.2.3/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.100.100.200/",
        "https://168.63.129.16/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[::1]/",
        "https://[::]/",
        "https://[fe80::1]/",
        "https://[fc00::1]/",
        "https://[fd00:ec2::254]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[64:ff9b:1::a9fe:a9fe]/",
        "https://[64:ff9b:1:a9fe:a9:fe00::]/",
        "https://[::7f00:1]/",
        "https://[::ffff:0:a00:1]/",
        "https://[fec0::1]/",
        "http://example.com/",
        "ftp://example.com/",
        "https://user@example.com/",
        "https://user:word@example.com/",
        "https://example.com/#part",
        "https:///path",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com/a b",
        "https://example.com/\r\nX-Header: 1",
        "https://" + "x" * 600,
        "example.com",
        "",
    ],
)
def test_where_nothing_may_be_sent_no_endpoint_is_made(url: str) -> None:
    with pytest.raises(Refused, match="url"):
        sending.parse(url, allowed=[])


@pytest.mark.parametrize(
    "url", ["https://hooks.example.com/a?b=c", "https://8.8.8.8:8443/", "https://[2606:4700::1111]/x"]
)
def test_the_public_network_is_open(url: str) -> None:
    assert sending.parse(url, allowed=[]).scheme == "https"


def test_a_network_that_translates_is_open_to_what_it_leads_to_unless_only_its_owner_knows() -> None:
    public = ipaddress.ip_address("64:ff9b::808:808")
    sending.require_allowed(public, allowed=[], plain=False)
    # Where in such an address the other one stands is for its network to say (RFC 8215, RFC 6052).
    local = ipaddress.ip_address("64:ff9b:1::808:808")
    with pytest.raises(Refused):
        sending.require_allowed(local, allowed=[], plain=False)
    sending.require_allowed(local, allowed=["64:ff9b:1::/48"], plain=False)


def test_what_is_allowed_is_open_and_nothing_beside_it() -> None:
    allowed = ["10.1.0.0/16"]
    assert sending.parse("http://10.1.2.3:8080/x", allowed=allowed).authority == "10.1.2.3:8080"
    for url in ("https://10.2.0.1/", "http://8.8.8.8/", "https://169.254.169.254/"):
        with pytest.raises(Refused):
            sending.parse(url, allowed=allowed)


def test_a_list_that_cannot_be_read_opens_nothing() -> None:
    with pytest.raises(ValueError, match="host bits set"):
        sending.parse("https://169.254.169.254/x", allowed=["10.0.0.1/8"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def test_a_name_that_leads_inside_is_not_asked(receiver: Receiver) -> None:
    with pytest.raises(Refused, match=r"localhost|127\.0\.0\.1|::1"):
        sending.post(f"https://localhost:{receiver.port}/", b"{}", headers=HEADERS, allowed=["10.0.0.0/8"])
    assert receiver.requests == []


@settings(deadline=None)
@given(text=st.text(max_size=60) | st.text(max_size=40).map("https://{}/".format))
def test_no_text_finds_a_defect(text: str) -> None:
    try:
        target = sending.parse(text, allowed=[])
    except Refused:
        return
    assert target.scheme == "https"
    assert target.authority.isascii()


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: Any) -> Iterator[Receiver]:
    """A receiver with a certificate for the name `hooks.test`, which this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "certificate.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with receiving(context) as found:
        yield found


def test_the_certificate_is_that_of_the_name_though_the_address_is_the_one_that_was_checked(
    certified: Receiver,
) -> None:
    allowed = ["127.0.0.0/8", "::1/128"]
    named = f"https://localhost:{certified.port}/hooks"
    assert sending.post(named, b"{}", headers=HEADERS, allowed=allowed).status == 204
    assert certified.requests[0][1]["host"] == f"localhost:{certified.port}"
    with pytest.raises(sending.NotDelivered, match="certificate is not accepted"):
        sending.post(certified.url, b"{}", headers=HEADERS, allowed=allowed)
    assert len(certified.requests) == 1


def test_nobody_there_is_said_in_words() -> None:
    with pytest.raises(sending.NotDelivered, match="not reached"):
        sending.post("http://127.0.0.1:9/", b"{}", headers=HEADERS, allowed=["127.0.0.0/8"])
    with pytest.raises(sending.NotDelivered, match="no address"):
        sending.post("https://nowhere.invalid/", b"{}", headers=HEADERS, allowed=[])


def test_every_form_of_an_inner_address_is_seen_through() -> None:
    inner = ipaddress.ip_address("10.0.0.1")
    hidden = ("::ffff:10.0.0.1", "2002:a00:1::", "64:ff9b::a00:1", "10.0.0.1")
    for text in hidden:
        with pytest.raises(Refused):
            sending.require_allowed(ipaddress.ip_address(text), allowed=[], plain=False)
        sending.require_allowed(ipaddress.ip_address(text), allowed=[f"{inner}/32"], plain=True)
