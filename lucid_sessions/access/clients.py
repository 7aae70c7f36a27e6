"""Where a request comes from, believing only what our own proxies say."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from django.conf import settings
from django.http import HttpRequest


def address_of(request: HttpRequest) -> str:
    """The client's address; empty when there is none (a Unix socket, a test).

    Each proxy appends whom it heard from, so the list is read from its end, as long as the speaker is one
    of LUCID_TRUSTED_PROXIES: what stands before that was sent by the client and may be made up.
    """
    speaker = _plain(request.META.get("REMOTE_ADDR", ""))
    heard = [_plain(one) for one in request.headers.get("X-Forwarded-For", "").split(",")]
    known: Any = settings
    trusted = _networks(tuple(known.LUCID_TRUSTED_PROXIES))
    while heard and heard[-1] and _is_in(speaker, trusted):
        speaker = heard.pop()
    return speaker


def network_of(address: str) -> str:
    """What one stranger may have all of: an IPv4 address, or of IPv6 the 64 bits that networks are given."""
    known = ip_address(address) if address else None
    return str(ip_network((known, 64), strict=False)) if isinstance(known, IPv6Address) else address


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    """The address as it is always written; of IPv4 also where a socket of both kinds says ::ffff:10.0.0.1."""
    try:
        known = ip_address(text.strip())
    except ValueError:
        return ""
    return str((isinstance(known, IPv6Address) and known.ipv4_mapped) or known)


@lru_cache(maxsize=8)
def _networks(texts: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(ip_network(one, strict=False) for one in texts)


def _is_in(address: str, networks: tuple[Any, ...]) -> bool:
    return bool(address) and any(ip_address(address) in network for network in networks)
