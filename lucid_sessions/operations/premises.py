"""One installation, one stack: LUCID_HOME is writable and ours alone, and the port is free."""

import contextlib
import errno
import fcntl
import http.client
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from lucid_sessions.errors import LucidError

LOCK = "stack.lock"


class Occupied(LucidError):
    """Another stack, or another program, has what this one needs: a mistake of usage, not a failure."""


@contextlib.contextmanager
def held(home: Path) -> Iterator[None]:
    """While the block runs, this process alone runs a stack in `home`; Occupied when another does."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (home / LOCK).open("a+")
    except OSError as error:
        raise Occupied(
            f"LUCID_HOME={home} cannot be written ({error.strerror}): "
            "give this user permission there, or set LUCID_HOME to another directory."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            raise Occupied(
                f"A stack already runs in LUCID_HOME={home} (process {owner}): "
                "stop it with Ctrl-C, or set LUCID_HOME to another directory."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def check_port(host: str, port: int) -> None:
    """Occupied when nobody can listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OverflowError:
            raise Occupied(f"Port {port} cannot be: a port is a number from 1 to 65535.") from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise Occupied(
                    f"Port {port} cannot be used: {error.strerror}. Choose another: make run PORT=9087."
                ) from error
            raise Occupied(
                f"Port {port} is in use, perhaps by another `make run`: "
                f"stop that, or choose another port: make run PORT={port + 1000}."
            ) from None


def answers(host: str, port: int, path: str) -> bool:
    """True when a web server there says that this path is well."""
    asked = http.client.HTTPConnection(host, port, timeout=2)
    try:
        asked.request("GET", path)
        return asked.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asked.close()


def shown(path: Path) -> str:
    """The path as one would type it here: relative when it lies below the current directory."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
