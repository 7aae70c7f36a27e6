"""Network addresses that look like others than they are."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

Address = IPv4Address | IPv6Address
# Clouds answer questions about the machine itself, credentials included, at addresses that look ordinary.
METADATA = tuple(
    ip_network(one)
    for one in (
        *("169.254.0.0/16", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"),
        "fd00:ec2::/32",
    )
)
TRANSLATED = ip_network("64:ff9b::/96")  # RFC 6052


def as_it_is(address: Address) -> Address:
    """The IPv4 address that one written as an IPv6 one leads to (mapped, 6to4, Teredo, NAT64); else it."""
    if not isinstance(address, IPv6Address):
        return address
    hidden = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
    if hidden is None and address in TRANSLATED:
        hidden = IPv4Address(int(address) & 0xFFFFFFFF)
    return hidden or address


def is_of_a_cloud(address: Address) -> bool:
    """Whether a cloud tells a machine's own secrets there."""
    return any(address in network for network in METADATA)
