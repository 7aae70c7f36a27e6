"""What the settings module needs to run on MongoDB. Imports neither Django nor a driver."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

VARIABLE = "MONGODB_URL"
DEFAULT_NAME = "lucid_sessions"
EXAMPLE = "mongodb://user:password@host:27017/lucid_sessions?replicaSet=rs0"

AUTO_FIELD = "django_mongodb_backend.fields.ObjectIdAutoField"
ROUTERS = ["django_mongodb_backend.routers.MongoRouter"]

# The stock configurations insist on integer keys, which MongoDB does not have.
ADMIN_CONFIG = "lucid_sessions.mongodb.apps.AdminConfig"
AUTH_CONFIG = "lucid_sessions.mongodb.apps.AuthConfig"
CONTENT_TYPES_CONFIG = "lucid_sessions.mongodb.apps.ContentTypesConfig"
CONTRIB_APPS = [ADMIN_CONFIG, AUTH_CONFIG, CONTENT_TYPES_CONFIG]

MIGRATION_MODULES = {
    "admin": "lucid_sessions.mongodb.migrations.admin",
    "auth": "lucid_sessions.mongodb.migrations.auth",
    "contenttypes": "lucid_sessions.mongodb.migrations.contenttypes",
}

# An acknowledged write has to outlive the machine that acknowledged it: no URL may weaken these.
DURABILITY: dict[str, Any] = {
    "w": "majority",
    "journal": True,
    "readConcernLevel": "majority",
    "readPreference": "primary",
    "retryWrites": True,
    "tz_aware": False,
}
# The URL may say otherwise.
DEFAULTS: dict[str, Any] = {
    "serverSelectionTimeoutMS": 5000,
    "connectTimeoutMS": 5000,
    # Without one a write waits for ever for a majority that is not there.
    "wTimeoutMS": 20000,
    "maxPoolSize": 20,
    "appName": "lucid-sessions",
}

_FORBIDDEN_IN_NAMES = set('/\\. "$*<>:|?\0')
_LONGEST_NAME = 63


def database(url: str) -> dict[str, Any]:
    """The DATABASES entry for a MongoDB URL; ValueError naming the variable and the fix when it is malformed.

    The database's name is the URL's path (lucid_sessions without one). Options in the URL count, except
    those of DURABILITY. The message never repeats the URL, which may hold a password.
    """
    parts = _split(url)
    if parts.scheme not in {"mongodb", "mongodb+srv"}:
        raise _malformed("it must begin with mongodb:// or mongodb+srv://")
    _check_servers(parts.netloc)
    given = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    defaults = {key: value for key, value in DEFAULTS.items() if key.lower() not in given}
    return {
        "ENGINE": "lucid_sessions.mongodb",
        "HOST": url,
        "NAME": _database_name(parts.path),
        "OPTIONS": {**defaults, **DURABILITY},
    }


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        # Python's own message may repeat the user name and password.
        raise _malformed("it is not a URL") from None


def _check_servers(netloc: str) -> None:
    credentials, _, servers = netloc.rpartition("@")
    if "@" in credentials:
        raise _malformed('"@" in the user name or password must be written %40')
    for server in servers.split(","):
        # An IPv6 address is written [::1]:27017.
        host, colon, port = server.rpartition(":") if not server.endswith("]") else (server, "", "")
        if not (host if colon else server):
            raise _malformed("it names no server")
        if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise _malformed(
                "a port must be a number from 1 to 65535 (and special characters in a password %-escaped)"
            )


def _database_name(path: str) -> str:
    name = unquote(path.removeprefix("/")) or DEFAULT_NAME
    if _FORBIDDEN_IN_NAMES & set(name) or len(name.encode()) > _LONGEST_NAME:
        raise _malformed(
            "the database's name (after the last /) must be at most 63 bytes, without / \\ . \" $ * or spaces"
        )
    return name


def _malformed(reason: str) -> ValueError:
    return ValueError(f"{VARIABLE} is malformed: {reason}. Example: {EXAMPLE}")
