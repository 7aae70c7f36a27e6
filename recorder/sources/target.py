"""Another machine, by address: `rdp://user@host:3389?fingerprint=..`, `vnc://host:5900`, `rtsp://host/path`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from recorder.errors import BadSource

PORTS = {"rdp": 3389, "vnc": 5900, "rtsp": 554}
KNOWN = {"rdp": {"domain", "fingerprint", "ignore_cert"}, "vnc": set[str](), "rtsp": set[str]()}
EXAMPLES = {
    "rdp": "rdp://user@host:3389?fingerprint=<SHA-256>",
    "vnc": "vnc://host:5900",
    "rtsp": "rtsp://user@host:554/path",
}
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"  # Windows hosts may have the underscore
HOST = re.compile(rf"(?=.{{1,253}}$)(?:{_LABEL}(?:\.{_LABEL})*|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)")
_PATH = re.compile(r"[!-~]{0,1000}")  # what may stand in a request: printable, no space
_NAME = re.compile(r"[^\x00-\x1f\x7f/]{1,256}")


@dataclass(frozen=True)
class Target:
    """Where to connect and as whom. Never the password: addresses are shown, listed and logged.

    `fingerprint` is the server certificate's SHA-256, 64 small hexadecimal digits; without one, authorities
    that this machine trusts must vouch for it, unless `ignore_cert` gives that up. `path` is which of its
    streams a media server is asked for, with its query.
    """

    kind: str
    host: str
    port: int
    username: str = ""
    domain: str = ""
    fingerprint: str = ""
    ignore_cert: bool = False
    path: str = ""

    @property
    def url(self) -> str:
        """The address that `parse` takes."""
        options = {"domain": self.domain, "fingerprint": self.fingerprint}
        options["ignore_cert"] = "1" if self.ignore_cert else ""
        query = urlencode({name: value for name, value in options.items() if value})
        user = f"{quote(self.username, safe='')}@" if self.username else ""
        return f"{self.kind}://{user}{self.place}{self.path}" + (f"?{query}" if query else "")

    @property
    def place(self) -> str:
        """Host and port, as people write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Access:
    """What connecting needs besides an address: the password, and the networks allowed although unusual."""

    secret: str = field(default="", repr=False)
    allowed: tuple[str, ...] = ()


def split(url: str) -> SplitResult:
    """The parts of any source's address; `BadSource`, without user and password, when it cannot be read."""
    try:
        return urlsplit(url)
    except ValueError as error:
        kind, _, rest = url.partition("://")
        shown = f"{kind}://{rest.rpartition('@')[2]}"
        raise BadSource(f"Source {shown!r} is no address: {error}. Write scheme://host:port.") from error


def parse(url: str) -> Target:
    """The target at an address; `BadSource` naming the part that is wrong, never repeating a password."""
    parts = split(url)
    kind = parts.scheme
    if parts.password is not None:
        raise BadSource(
            f"The {kind} address holds a password, which would be shown and logged. "
            "Leave it out: it is asked for."
        )
    options = {} if kind == "rtsp" else _options(parts)
    ignore = options.get("ignore_cert", "")
    if ignore not in ("", "1"):
        raise BadSource(f"{url}: ignore_cert is {ignore!r}. Write ignore_cert=1, or leave it out.")
    target = Target(
        kind=kind,
        host=_host(parts),
        port=_port(parts),
        username=_name(unquote(parts.username or ""), what="user"),
        domain=_name(options.get("domain", ""), what="domain"),
        fingerprint=fingerprint_of(options.get("fingerprint", "")),
        ignore_cert=ignore == "1",
        path=_path(parts) if kind == "rtsp" else "",
    )
    if kind == "rdp" and not target.username:
        raise BadSource(f"{url} names no user. Write {EXAMPLES[kind]}.")
    if target.ignore_cert and target.fingerprint:
        raise BadSource(f"{url} gives a fingerprint and ignores it. Keep one of the two.")
    return target


def check_secret(target: Target, secret: str) -> None:
    """`BadSource` unless the password is one that the target's client takes whole."""
    if target.kind != "rdp":
        return
    if not secret:
        raise BadSource(f"There is no password for {target.username} on {target.place}. Create it anew.")
    if "\n" in secret or "\r" in secret:
        raise BadSource(
            f"The password for {target.username} on {target.place} has a line break: "
            "the RDP client reads one line. Write it without, or give the account another."
        )


def fingerprint_of(text: str) -> str:
    """A certificate's SHA-256 as 64 small hexadecimal digits; empty stays empty. `BadSource` otherwise."""
    plain = text.lower().removeprefix("sha256:").replace(":", "").strip()
    if plain and not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise BadSource(
            f"Fingerprint {text!r} is no SHA-256: write its 64 hexadecimal digits, colons or not."
        )
    return plain


def _options(parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = set(options) - KNOWN[parts.scheme]
    if unknown or parts.path.strip("/") or parts.fragment:
        what = f"the unknown option {min(unknown)!r}" if unknown else "more than a host and a port"
        raise BadSource(f"The {parts.scheme} address has {what}. Write {EXAMPLES[parts.scheme]}.")
    return options


def _path(parts: SplitResult) -> str:
    """The path and query of a media server's stream, as they are sent to it."""
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if parts.fragment or not _PATH.fullmatch(path):
        raise BadSource(f"The path of {parts.scheme}://{parts.hostname} is none that can be asked for.")
    return path


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").removesuffix(".")  # that of the root, which no certificate names
    if not HOST.fullmatch(host):
        why = f": {host!r} is no host's name" if host else ""
        raise BadSource(f"The {parts.scheme} address names no host{why}. Write {EXAMPLES[parts.scheme]}.")
    return host


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError:
        port = 0
    port = PORTS[parts.scheme] if port is None else port
    if not port:
        raise BadSource(f"The port of {parts.scheme}://{parts.hostname} is no number from 1 to 65535.")
    return port


def _name(text: str, *, what: str) -> str:
    if text and (not _NAME.fullmatch(text) or text.startswith(("-", "+"))):
        raise BadSource(f"The {what} name {text!r} has characters that no {what} name has.")
    return text
