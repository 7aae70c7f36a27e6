"""Which machines a recorder may connect to: none that only this machine, or its cloud, should reach."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from recorder.addresses import as_it_is, is_of_a_cloud
from recorder.errors import BadSource, SourceAway
from recorder.sources.target import Target


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
            named = target.host if target.host == address else f"{target.host} is {address}"
            raise BadSource(
                f"{named}, {why}: recorders do not connect there. "
                "Name another host, or allow that network in LUCID_TARGET_ALLOW."
            )
    return Endpoint(addresses[0], target.port)


def _forbidden(text: str, *, allowed: Sequence[str]) -> str | None:
    """Why an address is out of bounds; None when it is not."""
    address = as_it_is(ip_address(text.partition("%")[0]))
    if any(address in ip_network(one) for one in allowed):
        return None
    for is_so, why in (
        (is_of_a_cloud(address), "where clouds keep a machine's own secrets"),
        (address.is_loopback, "this machine itself"),
        (address.is_link_local, "a link-local address"),
        (address.is_multicast, "a multicast address"),
        (address.is_unspecified, "no address of a machine"),
        (address.is_reserved or text == "255.255.255.255", "a reserved address"),
    ):
        if is_so:
            return why
    return None
