"""One POST to somebody else's address, bounded in time and bytes, to the public network only.

The name is looked up once, every address that it has must be allowed, and the connection goes to the one that
was checked: so a name that answers differently the second time leads nowhere else. Nothing is followed, no
proxy is asked, and of the answer only its status counts.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from lucid_sessions.errors import Refused
from lucid_sessions.patience import Patience
from recorder.addresses import Address, as_it_is, is_of_a_cloud

CONNECT_SECONDS = 5.0
# From the look-up to the last byte: what drips an answer byte by byte is cut off then.
WHOLE_SECONDS = 15.0
WATCHED_EVERY = 0.1
READ_BYTES = 4096
LONGEST_URL = 500


class NotDelivered(Exception):
    """There was no answer: why, in words for the delivery log."""


@dataclass(frozen=True)
class Target:
    """An endpoint's address, taken apart."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.scheme == "https" else 80)
        return host if usual else f"{host}:{self.port}"


@dataclass(frozen=True)
class Answer:
    """What came back: its status, how long it took, and when the receiver wants the next (0: not said)."""

    status: int
    milliseconds: int
    retry_after: int = 0


def parse(url: str, *, allowed: Sequence[str]) -> Target:
    """The address taken apart; Refused with the reason when nothing may be sent there."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Refused(f"url: {error}.") from error
    if len(url) > LONGEST_URL or not url.isascii() or any(c.isspace() or ord(c) < 33 for c in url):
        raise Refused(f"url: at most {LONGEST_URL} printable ASCII characters, none of them a space.")
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise Refused("url: https://HOST[:PORT]/PATH is needed.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise Refused("url: without user name, password or fragment. The signature says who sends.")
    target = Target(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or (443 if parts.scheme == "https" else 80),
        path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
    )
    if (address := _written_out(target.host)) is not None:
        require_allowed(address, allowed=allowed, plain=target.scheme == "http")
    if target.scheme == "http" and not allowed:
        raise Refused("url: https is needed; plain http only goes to networks of LUCID_WEBHOOK_ALLOW.")
    return target


def _written_out(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None  # a name


def require_allowed(address: Address, *, allowed: Sequence[str], plain: bool) -> None:
    """Refused when nothing may be sent to this address."""
    seen = as_it_is(address)
    if any(seen in ip_network(one) for one in allowed):
        return
    if plain:
        raise Refused(f"url: plain http to {address}: only networks of LUCID_WEBHOOK_ALLOW may have that.")
    if not _is_public(seen):
        raise Refused(
            f"url: {address} is not an address of the public network: nothing is sent there. "
            "Allow its network in LUCID_WEBHOOK_ALLOW, if it is yours."
        )


def _is_public(address: Address) -> bool:
    # Python calls global what is reserved, too: among it are addresses that a network translates by itself.
    if not address.is_global or address.is_reserved or address.is_multicast:
        return False
    is_local = isinstance(address, IPv6Address) and address.is_site_local
    return not is_local and not is_of_a_cloud(address)


def post(
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    allowed: Sequence[str],
    within: float = WHOLE_SECONDS,
) -> Answer:
    """What the endpoint answered. NotDelivered when it did not, Refused when it may not be asked."""
    began = time.monotonic()
    target = parse(url, allowed=allowed)
    connection, over = _Pinned(target, Patience(within)), threading.Event()
    threading.Thread(target=_watch, args=(connection, over), daemon=True).start()
    try:
        connection.address = _looked_up(target, allowed=allowed)
        connection.putrequest("POST", target.path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": target.authority, "Content-Length": str(len(body)), **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        response.read(READ_BYTES)
        # An answer that was cut off may look like a short one that is whole.
        connection.require_whole()
    except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
        why = f"no answer within {within:g} s" if connection.is_cut else _in_words(error)
        raise NotDelivered(why) from error
    finally:
        over.set()
        connection.close()
    took = int((time.monotonic() - began) * 1000)
    return Answer(response.status, took, _seconds(response.getheader("Retry-After")))


def _watch(connection: "_Pinned", over: threading.Event) -> None:
    """Cut the connection off when its time is over, unless it is over before."""
    while not over.wait(WATCHED_EVERY):
        if connection.patience.is_over():
            connection.cut()
            return


def _looked_up(target: Target, *, allowed: Sequence[str]) -> str:
    """The one address that is connected to; Refused when any that the name has is out of bounds."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotDelivered(f"the name {target.host} has no address") from error
    texts = [str(one[4][0]) for one in found]
    for text in texts:
        address = ip_address(text.partition("%")[0])
        require_allowed(address, allowed=allowed, plain=target.scheme == "http")
    return texts[0]


class _Pinned(http.client.HTTPConnection):
    """A connection to the address that was checked; the certificate is that of the name.

    Its reads have no limit of their own: whoever began it cuts it off.
    """

    def __init__(self, target: Target, patience: Patience) -> None:
        super().__init__(target.host, target.port)
        self.patience, self.address = patience, ""
        self.is_cut = False
        self._target = target
        self._line: Any = None

    def connect(self) -> None:
        """Connect, and with https prove who is there."""
        self.require_whole()
        seconds = min(CONNECT_SECONDS, max(self.patience.left, WATCHED_EVERY))
        line: Any = socket.create_connection((self.address, self._target.port), seconds)
        secure = self._target.scheme == "https"
        if secure:
            line = ssl.create_default_context().wrap_socket(
                line, server_hostname=self._target.host, do_handshake_on_connect=False
            )
        line.settimeout(None)
        self.sock = self._line = line
        # Until now there was nothing that could be cut off.
        self.require_whole()
        if secure:
            line.do_handshake()

    def require_whole(self) -> None:
        """TimeoutError when it was cut off: what was read ends there, or nothing may be read any more."""
        if self.is_cut:
            raise TimeoutError

    def cut(self) -> None:
        """Whatever waits for this connection waits no longer."""
        self.is_cut = True
        with suppress(OSError, AttributeError):
            self._line.shutdown(socket.SHUT_RDWR)


def _in_words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return f"not reached: {error.strerror}"
    return f"no answer: {type(error).__name__}"


def _seconds(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 7 else 0
