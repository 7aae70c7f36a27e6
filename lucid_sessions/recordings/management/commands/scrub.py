"""manage.py scrub: verify every stored blob now, without any key. Beat does so all the time."""

from typing import Any

from lucid_sessions.recordings import scrub
from lucid_sessions.recordings.installation import installation
from lucid_sessions.recordings.management.command import CHECK_FAILED, DONE
from lucid_sessions.recordings.management.command import Command as Base


class Command(Base):
    help = "Verify every stored blob against its row and its writer's signature. Exit 1 when one is bad."
    examples = ("",)

    def run(self, _options: dict[str, Any]) -> int:
        tally = scrub.Tally()
        world = installation()
        for tally in scrub.run(world, replicas=scrub.replicas(world)):
            if self.stderr.isatty():
                self.stderr.write(f"\r{tally.chunks} blobs, {tally.size / 1024**2:.0f} MiB", ending="")
        lines = [f"{tally.chunks} blobs verified ({tally.size / 1024**2:.1f} MiB), {len(tally.bad)} bad."]
        lines += [f"  {problem}" for problem in tally.bad]
        lines += [f"  repaired: {blob}" for blob in tally.repaired]
        self.tell(
            "\n".join(lines), chunks=tally.chunks, bytes=tally.size, bad=tally.bad, repaired=tally.repaired
        )
        return CHECK_FAILED if tally.bad else DONE
