"""The services of a deployment beside their own stores, started and ready."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.deploy import stores
from tests.deploy.stack import MEMBERS, Standing


@contextlib.contextmanager
def stood(home: Path, *, code: Path | None = None) -> Iterator[Standing]:
    """The five services, of this checkout or of that in `code`, within the block."""
    secrets = stores.make_secrets(home / "secrets")
    for name in ("mongodb", "broker", "cache"):
        (home / name).mkdir()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(stores.mongodb(home / "mongodb", secrets=secrets))
        urls = {"mongodb_url": store.url}
        for kind, name in stores.URLS.items():
            urls[name] = stack.enter_context(stores.redis_by(kind, secrets=secrets, home=home / kind))
        for name, url in urls.items():
            (secrets / name).unlink()
            (secrets / name).write_text(url)
        made = Standing(home, secrets)
        if code is not None:
            made.code.update(dict.fromkeys((*MEMBERS, "migrate", "keys-init", "keys-share"), code))
        made.prepare()
        with made.running():
            yield made
