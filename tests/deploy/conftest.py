"""The services of a deployment, started once for all tests that look at them."""

import contextlib
import json
from collections.abc import Iterator

import pytest

from tests.deploy import stores
from tests.deploy.stack import Standing


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """The five services, running and ready."""
    home = tmp_path_factory.mktemp("stack")
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
        made.prepare()
        with made.running():
            yield made


@pytest.fixture(scope="session")
def recorded(standing: Standing) -> dict[str, object]:
    """A short recording that went through them, as `record --wait` tells it."""
    words = ("record", "synthetic://320x240", "--duration", "2", "--wait", "--json")
    return dict(json.loads(standing.manage(*words, service="session-api")))
