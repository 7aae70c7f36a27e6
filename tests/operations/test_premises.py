"""One stack a home, one a port, and a home that can be written."""

import os
import socket
from pathlib import Path

import pytest

from lucid_sessions.operations.premises import Occupied, check_port, held
from tests.ports import free_port


def test_a_second_stack_in_the_same_home_is_told_who_has_it(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(Occupied, match=f"process {os.getpid()}.*LUCID_HOME"), held(tmp_path):
        pass


def test_a_home_is_free_again_afterwards(tmp_path: Path) -> None:
    with held(tmp_path):
        pass
    with held(tmp_path):
        pass


def test_a_home_that_cannot_be_written_is_named_with_the_fix(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    home = in_the_way / "home"
    with pytest.raises(Occupied, match=f"LUCID_HOME={home} cannot be written.*set LUCID_HOME"), held(home):
        pass


def test_a_port_in_use_is_named_with_the_fix() -> None:
    port = free_port()
    refused = pytest.raises(Occupied, match=f"Port {port} is in use.*make run PORT=")
    with socket.create_server(("127.0.0.1", port)), refused:
        check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be_is_refused(port: int) -> None:
    with pytest.raises(Occupied, match=f"Port {port} cannot be: a port is a number from 1 to 65535"):
        check_port("127.0.0.1", port)
