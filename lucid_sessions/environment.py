"""How settings are read from the environment, and the two that all others depend on."""

from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

ROOT = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()


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
