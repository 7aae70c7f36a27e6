"""A piece of memory that the X server draws into and we read: MIT-SHM, through the C library."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from recorder.screen import Picture

_IPC_PRIVATE, _IPC_RMID, _CREATE_FOR_OWNER = 0, 0, 0o1600
_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmget.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_int]
_libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
_libc.shmat.restype = ctypes.c_void_p
_libc.shmdt.argtypes = [ctypes.c_void_p]
_libc.shmctl.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p]


class SharedImage:
    """Room for one picture of 4 bytes a pixel. Call `forget_name` once the server has attached it."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        length = width * height * 4
        self.name = _libc.shmget(_IPC_PRIVATE, length, _CREATE_FOR_OWNER)
        if self.name < 0:
            raise _error("shmget")
        address = _libc.shmat(self.name, None, 0)
        if address in (None, ctypes.c_void_p(-1).value):
            self.forget_name()
            raise _error("shmat")
        self._address = address
        memory = (ctypes.c_uint8 * length).from_address(address)
        self.pixels: Picture = np.ctypeslib.as_array(memory).reshape(height, width, 4)

    def forget_name(self) -> None:
        """From now on the memory goes away with its last user, however that one ends."""
        _libc.shmctl(self.name, _IPC_RMID, None)

    def release(self) -> None:
        """Give the memory back; `pixels` must not be used any more."""
        _libc.shmdt(self._address)


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
