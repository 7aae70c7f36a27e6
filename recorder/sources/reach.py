"""Which machines a recorder may connect to: none that only this machine, or its cloud, should reach."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from recorder.errors import BadSource, SourceAway
from recorder.sources.target import Target

Address = IPv4Address | IPv6Address
# Clouds answer questions about the machine itself, credentials included, at addresses that look ordinary.
METADATA = tuple(
    ip_network(one)
    for one in (
        *("169.254.0.0/16", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"),
        "fd00:ec2::/32",
    )
)


@dataclass(frozen=True)
class Endpoint:
    """The one address that a target's name was resolved to; every connection of a take goes there."""

    address: str
    port: int

    def connect(self, seconds: float) -> socket.socket:
        """A connection to it; `OSError` when there is none in time."""
        return socket.create_connection((self.address, self.port), timeout=seconds)

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def resolve(target: Target, *, allowed: Sequence[str]) -> Endpoint:
    """The target's address, looked up once. `BadSource` if any address of the name is out of bounds."""
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SourceAway(
            f"The name {target.host} has no address ({error.strerror}). Check the name."
        ) from error
    addresses = [str(one[4][0]) for one in found]
    for address in addresses:
        why = _forbidden(address, allowed=allowed)
        if why:
            raise BadSource(
                f"{target.host} is {address}, {why}: recorders do not connect there. "
                "Name another host, or allow that network in LUCID_TARGET_ALLOW."
            )
    return Endpoint(addresses[0], target.port)


def _forbidden(text: str, *, allowed: Sequence[str]) -> str | None:
    """Why an address is out of bounds; None when it is not."""
    address = _plain(ip_address(text.partition("%")[0]))
    if any(address in ip_network(one) for one in allowed):
        return None
    for is_so, why in (
        (any(address in network for network in METADATA), "where clouds keep a machine's own secrets"),
        (address.is_loopback, "this machine itself"),
        (address.is_link_local, "a link-local address"),
        (address.is_multicast, "a multicast address"),
        (address.is_unspecified, "no address of a machine"),
        (address.is_reserved or text == "255.255.255.255", "a reserved address"),
    ):
        if is_so:
            return why
    return None


def _plain(address: Address) -> Address:
    """An IPv4 address that is written as an IPv6 one is judged as what it is."""
    if isinstance(address, IPv6Address):
        hidden = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if hidden is None and address in ip_network("64:ff9b::/96"):
            hidden = IPv4Address(int(address) & 0xFFFFFFFF)
        return hidden or address
    return address
