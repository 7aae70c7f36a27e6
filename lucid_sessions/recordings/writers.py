"""Whose signatures count: the writers that the ledger names, and until when."""

import json

from lucid_sessions import archive

from .installation import Installation
from .models import LedgerRecord


def trusted_writers(world: Installation) -> archive.Writers:
    """Key id to public key of every writer: the installation's own, and those that the ledger has added."""
    known = {
        bytes.fromhex(one["key_id"]): bytes.fromhex(one["public"]) for one in world.keys.public["writers"]
    }
    for entry in LedgerRecord.objects.filter(kind="writer-added").values_list("entry", flat=True):
        public = bytes.fromhex(json.loads(entry)["public"])
        known[archive.key_id(public)] = public
    return known
