"""manage.py storage status|create|migrate|tier: where blobs are, and how they move while everything runs."""

from typing import Any

from django.core.management.base import CommandParser

from lucid_sessions.blobs import create_store
from lucid_sessions.errors import LucidError, Refused
from lucid_sessions.recordings import moving, upkeep
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "Show the stores of blobs, make one, or move blobs between them while everything runs."
    examples = ("status", "create /mnt/blobs", "migrate --keep")

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=("status", "create", "migrate", "tier"))
        parser.add_argument("address", nargs="?", default="", help="create: where, s3://… or a directory")
        parser.add_argument("--keep", action="store_true", help="migrate: the old store stays as it is")

    def run(self, options: dict[str, Any]) -> int:
        verbs = {"status": self._status, "create": self._create, "migrate": self._migrate, "tier": self._tier}
        return verbs[options["verb"]](options)

    def _status(self, _options: dict[str, Any]) -> int:
        world, stores, wrong = installation(), [], 0
        roles = ["new blobs", *["older store"] * len(world.also), *(["old blobs"] if world.tier_url else [])]
        for role, store in zip(roles, world.layers, strict=True):
            facts: dict[str, Any] = {"role": role, "place": store.place}
            try:
                if not store.present():
                    raise Refused("no blob store is there")
                facts["blobs"], facts["bytes"] = moving.usage(store)
                facts["free_bytes"] = store.free_bytes()
            except LucidError as error:
                facts["problem"] = str(error)
                wrong += 1
            stores.append(facts)
        self.tell("\n".join(map(_line, stores)), stores=stores, tiers=_tiers())
        return CHECK_FAILED if wrong else DONE

    def _create(self, options: dict[str, Any]) -> int:
        if not options["address"]:
            raise Refused("Say where: `manage.py storage create s3://bucket/prefix?endpoint=…`.")
        store = create_store(options["address"], installation().credentials)
        self.tell(f"There is a blob store at {store.place}.", place=store.place)
        return DONE

    def _migrate(self, options: dict[str, Any]) -> int:
        moved = moving.migrate(installation(), keep=options["keep"], tell=self._show)
        return self._done(moved)

    def _tier(self, _options: dict[str, Any]) -> int:
        world = installation()
        if not world.tier_url:
            raise Refused("No store for old blobs: set LUCID_STORAGE_TIER_URL (and LUCID_STORAGE_TIER_DAYS).")
        moved = moving.tier(world, tell=self._show)
        said = f"{moved.removed} blobs of old sessions moved to {world.layers[-1].place}."
        self.tell(said, moved=moved.removed, problems=moved.problems)
        return self._judged(moved)

    def _show(self, moved: moving.Moved) -> None:
        if self.stderr.isatty():
            self.stderr.write(f"\r{moved.blobs} blobs, {moved.copied_bytes / 1e6:.0f} MB copied", ending="")

    def _done(self, moved: moving.Moved) -> int:
        self.tell(
            f"{moved.blobs} blobs are in {installation().front.place}, verified: {moved.copied} copied now "
            f"({moved.copied_bytes / 1e6:.1f} MB), {moved.removed} removed from where they were.",
            **vars(moved),
        )
        return self._judged(moved)

    def _judged(self, moved: moving.Moved) -> int:
        for problem in moved.problems:
            self.stderr.write(problem)
        return CHECK_FAILED if moved.problems else DONE


def _line(facts: dict[str, Any]) -> str:
    head = f"{facts['role']:12} {facts['place']}: "
    if "problem" in facts:
        return head + facts["problem"]
    free = facts["free_bytes"]
    room = "" if free is None else f", {free / 2**30:.1f} GiB free"
    return head + f"{facts['blobs']} blobs, {facts['bytes'] / 2**30:.3f} GiB{room}"


def _tiers() -> dict[str, Any]:
    return {status: upkeep.recall(f"tier {status}") for status in ("completed", "failed")}
