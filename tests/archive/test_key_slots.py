import struct
import threading

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from lucid_sessions.archive import Identity, SlotCost, WrongPassword, make_slot, open_slot
from lucid_sessions.errors import Refused, Tampered
from tests.archive.parts import CHEAP, REPOSITORY, is_tampered
from tests.waiting import PATIENCE

PASSWORD, SALT = b"correct horse", b"the installation's own salt"


def made(**change: object) -> tuple[Identity, bytes]:
    identity = Identity.generate()
    options = {"password": PASSWORD, "salt": SALT, "repository": REPOSITORY, "cost": CHEAP} | change
    return identity, make_slot(identity, **options)


def opened(slot: bytes, **change: object) -> Identity:
    return open_slot(slot, **({"password": PASSWORD, "salt": SALT, "repository": REPOSITORY} | change))


def test_a_slot_gives_back_the_repository_key() -> None:
    identity, slot = made()
    assert len(slot) == 120
    assert opened(slot).private_bytes == identity.private_bytes


def test_the_default_cost_is_256_mib_three_passes_four_lanes() -> None:
    assert SlotCost() == SlotCost(memory_kib=256 * 1024, passes=3, lanes=4)
    _, slot = made()
    assert struct.unpack(">III", slot[8:20]) == (64 * 1024, 1, 4)


def test_slots_can_be_opened_by_several_threads_at_once() -> None:
    identity, slot = made()
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(opened(slot).private_bytes), daemon=True)
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == [identity.private_bytes] * len(threads)


def test_an_empty_installation_salt_is_none_at_all() -> None:
    identity, slot = made(salt=b"")
    assert opened(slot, salt=b"").recipient == identity.recipient


def test_a_changed_password_needs_a_new_slot_and_nothing_else() -> None:
    identity, first = made()
    second = make_slot(identity, password=b"new", salt=SALT, repository=REPOSITORY, cost=CHEAP)
    assert opened(second, password=b"new").recipient == opened(first).recipient


@pytest.mark.parametrize("wrong", [{"password": b"wrong"}, {"salt": b"wrong"}, {"password": b""}], ids=str)
def test_a_wrong_password_or_salt_says_so(wrong: dict[str, bytes]) -> None:
    _, slot = made()
    with pytest.raises(WrongPassword, match="ENCRYPTION_PASSWORD"):
        opened(slot, **wrong)


def test_another_repositorys_slot_is_caught_before_the_password_is_tried() -> None:
    _, slot = made()
    with pytest.raises(Tampered, match="another repository"):
        opened(slot, repository=bytes(16))


def test_every_bit_of_the_fixed_fields_and_costs_counts() -> None:
    """All 160 bits before the repository; those that ask for much more memory or time are left out."""
    _, slot = made()
    flips = [bit for bit in range(160) if not _is_costly(_flipped(slot, bit))]
    assert len(flips) > 140
    assert [bit for bit in flips if not is_tampered(lambda b=bit: opened(_flipped(slot, b)))] == []


def test_every_byte_of_the_sealed_key_and_every_other_before_it_counts() -> None:
    """One bit of each: every try costs an Argon2id."""
    _, slot = made()
    flips = [at * 8 + at % 8 for at in (*range(20, 72, 2), *range(72, 120))]
    assert [bit for bit in flips if not is_tampered(lambda b=bit: opened(_flipped(slot, b)))] == []


def test_every_other_length_is_caught() -> None:
    _, slot = made()
    assert all(is_tampered(lambda n=length: opened(slot[:n])) for length in range(120))
    assert is_tampered(lambda: opened(slot + b"\0"))


@pytest.mark.parametrize(
    "cost",
    [
        (65535, 1, 1),
        (1048577, 1, 1),
        (0xFFFFFFFF, 1, 1),
        (65536, 0, 1),
        (65536, 17, 1),
        (65536, 1, 0),
        (65536, 1, 17),
    ],
    ids=str,
)
def test_a_cost_out_of_bounds_is_refused_in_a_call_and_caught_in_a_slot(cost: tuple[int, int, int]) -> None:
    with pytest.raises(Refused, match="out of bounds"):
        made(cost=SlotCost(*cost))
    _, slot = made()
    with pytest.raises(Tampered, match="out of bounds"):
        opened(slot[:8] + struct.pack(">III", *cost) + slot[20:])


def test_an_empty_password_protects_nothing_and_is_refused() -> None:
    with pytest.raises(Refused, match="ENCRYPTION_PASSWORD"):
        made(password=b"")


def test_a_slot_that_names_another_key_is_caught() -> None:
    """Made by someone who knows the password: the key id is under the seal, and still compared."""
    identity, slot = made()
    head = slot[:52] + bytes(8) + slot[60:72]
    costs = {"iterations": 1, "lanes": 4, "memory_cost": 64 << 10}
    stretch = Argon2id(salt=slot[36:52], length=32, **costs, ad=b"lucid/1 slot" + REPOSITORY, secret=SALT)
    forged = head + AESGCM(stretch.derive(PASSWORD)).encrypt(slot[60:72], identity.private_bytes, head)
    with pytest.raises(Tampered, match="another key"):
        opened(forged)


def _flipped(slot: bytes, bit: int) -> bytes:
    changed = bytearray(slot)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _is_costly(slot: bytes) -> bool:
    memory, passes, _ = struct.unpack(">III", slot[8:20])
    return 100 << 10 < memory <= 1 << 20 or 5 <= passes <= 16
