"""A new log that continues one whose end is lost, so that no key ever signs two histories.

The first n records, those that could be saved, stay as they are: same indices, same tree, same root. From
there on a new key signs under a new origin, and its first record, `continues`, names the old origin with the
size and root at which it took over, and the size that was signed before, where that is known.

A plan is written first and every step follows from it, so a crash anywhere is finished by doing it again.
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from lucid_sessions import archive
from lucid_sessions.durable import sync_directory, write_durably
from lucid_sessions.errors import LucidError, Refused
from lucid_sessions.ledger import Log
from lucid_sessions.recordings import failpoints, ledger_rows
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.keyring import Keyring

PLAN = "succession.json"


def pinned_size(ring: Keyring) -> int | None:
    """How many records this installation knows to have been signed; None when the pin is lost."""
    try:
        text = ring.log_pin.read_text(encoding="utf-8")
        return archive.open_checkpoint(text, ring.log_vkey).size
    except (FileNotFoundError, LucidError):
        return None


def succeed(world: Installation, origin: str) -> archive.Checkpoint:
    """The checkpoint at which the log of that origin takes over; the sealer appends `continues` next.

    Refused: the origin is the old one's. Again after a crash: the same.
    """
    path = world.keys_root / "private" / PLAN
    if not path.exists():
        write_durably(path, json.dumps(_plan(world, origin)).encode())
    failpoints.reach("succession.planned")
    plan = json.loads(path.read_bytes())
    key = archive.LogKey.from_private(plan["origin"], bytes.fromhex(plan["private"]))
    ledger_rows.request("continues", key=f"continues:{plan['old']['vkey'][-40:]}", facts=plan["facts"])
    failpoints.reach("succession.requested")
    _change_keys(world.keys_root, plan, key)
    taken = archive.Checkpoint(plan["origin"], plan["facts"]["size"], bytes.fromhex(plan["facts"]["root"]))
    note = archive.sign_checkpoint(taken, key).encode()
    write_durably(world.keys_root / "private" / "log.pin", note)
    failpoints.reach("succession.pinned")
    write_durably(world.ledger_root / "checkpoint", note)
    Log(world.ledger_root, vkey=key.vkey).tree().verify()
    path.unlink()
    sync_directory(path.parent)
    return taken


def require_origin(world: Installation, origin: str, *, vkey: str) -> None:
    """Refused unless a log of that name can continue the one of this key, and the one that is here."""
    if (world.keys_root / "private" / PLAN).exists():
        return  # a run that died had begun: it goes on by its plan
    archive.LogKey.generate(origin)
    here = [world.keys.public["log"]["origin"]] if world.keys.exists else []
    _require_another(origin, [archive.parse_vkey(vkey)[0], *here])


def _require_another(origin: str, known: list[str]) -> None:
    if not origin or origin in known:
        raise Refused(
            f"The new log needs an origin of its own, other than {' or '.join(sorted(set(known)))}: "
            "--origin NAME"
        )


def _plan(world: Installation, origin: str) -> dict[str, Any]:
    old = world.keys.public["log"]
    _require_another(origin, [old["origin"]])
    tree = world.log().tree()
    tree.verify()
    facts = {
        "origin": old["origin"],
        "vkey": old["vkey"],
        "size": tree.size,
        "root": tree.root(tree.size).hex(),
    }
    key = archive.LogKey.generate(origin)
    signed = pinned_size(world.keys)
    return {
        "origin": origin,
        "private": key.private_bytes.hex(),
        "old": old,
        "facts": {**facts, "signed": signed} if signed is not None else facts,
    }


def _change_keys(root: Path, plan: dict[str, Any], key: archive.LogKey) -> None:
    """The old key and pin stay under the old origin's name, to be looked at and never to sign again."""
    mark = plan["old"]["vkey"].split("+")[1]
    private = root / "private"
    public = json.loads((root / "repository.json").read_bytes())
    if public["log"]["vkey"] != key.vkey:
        for name in ("log.pin", "log.key"):
            with suppress(FileNotFoundError):
                (private / name).rename(private / f"{name}.of-{mark}")
        sync_directory(private)
        failpoints.reach("succession.retired")
        write_durably(private / "log.key", key.private_bytes.hex().encode())
        former = [*public.get("former_logs", []), plan["old"]]
        content = {**public, "log": {"origin": key.origin, "vkey": key.vkey}, "former_logs": former}
        write_durably(root / "repository.json", json.dumps(content, indent=2).encode() + b"\n")
    failpoints.reach("succession.keys")
