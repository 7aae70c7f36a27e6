"""Copies to each service's own volume the public description and the one private key that it needs.

    share_keys.py ALL_KEYS SHARES        as the one-shot service `keys-share` calls it

Runs to the same end any number of times: run it again after `keys recover`, then restart the services.
A key that is listed for nobody (the offline recovery key among them) is copied to nobody.
"""

import os
import sys
from pathlib import Path

PUBLIC = "repository.json"
SHARES = {
    "session-api": (PUBLIC, "slots/*.lsk", "private/creator.key"),
    "pipeline-manager": (PUBLIC, "private/log.key"),
    "session-recorder": (PUBLIC, "private/recorder.key"),
    "chunk-processor": (PUBLIC, "private/writer.key"),
    "session-storage": (PUBLIC, "private/webhook.key"),
}
# Where the volume of sealed session keys is mounted: a read-only volume cannot grow a mount point.
WITH_SESSION_KEYS = ("session-api", "session-storage")


def share(all_keys: Path, *, to: Path) -> None:
    """Every service's share under `to/<service>`, complete or an error that names what is missing."""
    for service, patterns in SHARES.items():
        for pattern in patterns:
            found = sorted(all_keys.glob(pattern))
            if not found:
                raise FileNotFoundError(
                    f"{all_keys / pattern} is not there: run `manage.py keys init` first."
                )
            for source in found:
                copy(source, to=to / service / source.relative_to(all_keys))
        if service in WITH_SESSION_KEYS:
            (to / service / "sessions").mkdir(exist_ok=True)


def copy(source: Path, *, to: Path) -> None:
    """The file is there too, whole and durably, for its owner's eyes."""
    to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = to.with_name(to.name + ".new")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "wb") as file:
        file.write(source.read_bytes())
        file.flush()
        os.fsync(file.fileno())
    half.replace(to)


if __name__ == "__main__":
    try:
        share(Path(sys.argv[1]), to=Path(sys.argv[2]))
    except (IndexError, OSError) as error:
        sys.exit(f"share_keys: {error}")
