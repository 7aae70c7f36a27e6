"""Who vouches for the log's checkpoints, by the settings."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from lucid_sessions.archive import parse_witness_key
from lucid_sessions.errors import Refused
from lucid_sessions.ledger import Account, Authority, Chain, Node, Party, Witness


def authorities() -> list[Party]:
    """All of them. Refused: the settings of one cannot be meant, or are not complete."""
    found = [one for read in KINDS for one in read()]
    names = [one.name for one in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Refused(f"{', '.join(twice)}: two who vouch for the log have this name. Rename one.")
    return found


def time_stampers() -> list[Party]:
    """The time-stamp authorities of LUCID_TIMESTAMP_URLS."""
    urls: dict[str, str] = settings.LUCID_TIMESTAMP_URLS
    if not urls:
        return []
    roots = _roots()
    _check_names(urls, setting="LUCID_TIMESTAMP_URLS")
    return [Authority(name, url, roots, every=_often()) for name, url in urls.items()]


def witnesses() -> list[Party]:
    """The witnesses of LUCID_WITNESS_URLS."""
    urls: dict[str, str] = settings.LUCID_WITNESS_URLS
    keys: dict[str, str] = settings.LUCID_WITNESS_KEYS
    _check_names(urls, setting="LUCID_WITNESS_URLS")
    for name in urls:
        if name not in keys:
            raise Refused(f"LUCID_WITNESS_KEYS has no key of {name}: add its verifier key, {name}=key.")
        parse_witness_key(keys[name])
    return [Witness(name, url, keys[name], every=_often()) for name, url in urls.items()]


def chains() -> list[Party]:
    """The chain of LUCID_EVM_URL; it only verifies where its account's key is not."""
    if not settings.LUCID_EVM_URL:
        return []
    account = Account.from_text(settings.LUCID_EVM_KEY) if settings.LUCID_EVM_KEY else None
    senders = {_address(one) for one in settings.LUCID_EVM_ACCOUNTS}
    if account is not None:
        senders.add(account.address)
    if not senders:
        raise Refused("LUCID_EVM_URL is set: set LUCID_EVM_KEY, or to verify only, LUCID_EVM_ACCOUNTS.")
    if settings.LUCID_EVM_CONFIRMATIONS < 1:
        raise Refused("LUCID_EVM_CONFIRMATIONS must be at least 1.")
    chain = Chain(
        Node(settings.LUCID_EVM_URL, settings.LUCID_EVM_CHAIN_ID),
        account,
        frozenset(senders),
        confirmations=settings.LUCID_EVM_CONFIRMATIONS,
        most_gwei=settings.LUCID_EVM_MAX_GWEI,
        every=timedelta(hours=settings.LUCID_EVM_HOURS),
    )
    return [chain]


# Each stands for itself: settings of one that cannot be meant do not silence the others.
KINDS: tuple[Callable[[], list[Party]], ...] = (time_stampers, witnesses, chains)


def _often() -> timedelta:
    return timedelta(hours=settings.LUCID_TIMESTAMP_HOURS)


def _check_names(urls: dict[str, str], *, setting: str) -> None:
    for name in urls:
        if not name.replace("-", "").isalnum():
            raise Refused(f"{setting} names {name!r}: use letters, digits and hyphens, name=url.")


def _address(text: str) -> str:
    address = text.strip().lower()
    try:
        if len(bytes.fromhex(address.removeprefix("0x"))) == 20 and address.startswith("0x"):
            return address
    except ValueError:
        pass
    raise Refused(f"LUCID_EVM_ACCOUNTS names {text!r}: an account is 0x and 40 digits.")


def _roots() -> bytes:
    path: str = settings.LUCID_TIMESTAMP_ROOTS
    if path.startswith("-----BEGIN"):
        return path.encode()
    if not path:
        raise Refused(
            "LUCID_TIMESTAMP_URLS is set: name the authorities' certificates, LUCID_TIMESTAMP_ROOTS."
        )
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Refused(f"LUCID_TIMESTAMP_ROOTS, {path}, cannot be read: {error.strerror}.") from error
