"""How settings are read from the environment, and the two that all others depend on."""

import math
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent
Number = TypeVar("Number", int, float)


env = environ.FileAwareEnv()
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
PLACEHOLDERS = ("change", "your-", "your_", "placeholder", "example")


def whole(name: str, default: int) -> int:
    """The whole number in the variable; ImproperlyConfigured when it is none."""
    return _number(name, default, read=int, what="a whole number")


def number(name: str, default: float) -> float:
    """The number in the variable, whole or with a point; ImproperlyConfigured when it is none."""
    return _number(name, default, read=float, what="a number")


def _number(name: str, default: Number, *, read: Callable[[str], Number], what: str) -> Number:
    # Upstream's way leaves letters out (500M was 500), and names no variable where it fails.
    text = env.str(name, "").strip()
    try:
        value = read(text) if text else default
    except ValueError:
        value = None
    if value is None or not math.isfinite(value):
        raise ImproperlyConfigured(f"{name}={text} has to be {what}.")
    return value


def pairs(name: str) -> dict[str, str]:
    """Names and values, `one=first,two=second`; ImproperlyConfigured when they are none."""
    found = [pair.partition("=") for pair in env.str(name, "").split(",") if pair]
    if not all(known and equals for known, equals, _ in found):
        raise ImproperlyConfigured(f"{name} has to be NAME=VALUE, several of them with commas between.")
    return {known: value for known, _, value in found}


def networks(name: str, *, strict: bool = True) -> list[str]:
    """The networks in the variable, several with commas between; ImproperlyConfigured naming what is none.

    Unless it is `strict`, a network may be told by any address in it.
    """
    found = [one.strip() for one in env.str(name, "").split(",") if one.strip()]
    for one in found:
        try:
            ip_network(one, strict=strict)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}: {one} is no network, such as 10.1.0.0/16.") from error
    return found


def address(name: str, default: str, *schemes: str) -> str:
    """The URL in the variable, empty or of one of these schemes."""
    value: str = env.str(name, default)
    if value and urlsplit(value).scheme not in schemes:
        # Not the value: it may hold a password.
        raise ImproperlyConfigured(f"{name} has to begin with {' or '.join(f'{one}://' for one in schemes)}.")
    return value


def choice(name: str, default: str, *known: str) -> str:
    """The value of the variable; ImproperlyConfigured unless it is one of those known."""
    value = env.str(name, default)
    if value not in known:
        raise ImproperlyConfigured(f"{name}={value} is unknown: choose one of {', '.join(known)}.")
    return value


def path(name: str, default: Path) -> Path:
    """The absolute path that the variable names, or the default."""
    return Path(env.str(name, "") or default).absolute()


LUCID_PROFILE = choice("LUCID_PROFILE", "embedded", "embedded", "production")
EMBEDDED = LUCID_PROFILE == "embedded"
LUCID_HOME = path("LUCID_HOME", ROOT / "var")
LUCID_KEYS_PATH = path("LUCID_KEYS_PATH", LUCID_HOME / "keys")


def secret(name: str, *, needed: bool = True) -> str:
    """The secret `name`; in the embedded profile also from its file under the keys directory."""
    value = env.str(name, "").strip()
    own = LUCID_KEYS_PATH / "secrets" / name.lower()
    if not value and EMBEDDED and own.is_file():
        return own.read_text(encoding="ascii").strip()
    if EMBEDDED and not value:
        # Before `keys init` nothing can sign or open anything: every use of the empty value fails.
        return ""
    if needed and (len(value) < 16 or any(word in value.lower() for word in PLACEHOLDERS)):
        raise ImproperlyConfigured(
            f"{name} is missing, shorter than 16 characters or still a placeholder: "
            f"set {name} (or {name}_FILE) to a random value of your own."
        )
    return value
