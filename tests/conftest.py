"""What many tests stand on: a world of their own (spool, blobs, ledger, keys) on real files."""

import shutil
import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from lucid_sessions import archive
from lucid_sessions.blobs import FileBlobs, Where, create_store
from lucid_sessions.recordings import hints, keyring
from lucid_sessions.recordings import installation as outside
from lucid_sessions.recordings.installation import Installation
from lucid_sessions.recordings.webhooks import deliveries
from tests import servers
from tests.archive.parts import CHEAP
from tests.buckets import address_of, new_bucket
from tests.programs import refuse_skips, without_libraries
from tests.waiting import PATIENCE

# A password's real hash takes half a second, in every test that makes somebody.
django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Each client of a test would look through all files of the console and the admin: found when asked for.
django_settings.WHITENOISE_AUTOREFRESH = True

MARKS = {
    "sqlite_only(why)": "the test is about SQLite",
    "mongodb_only(why)": "the test is about MongoDB: tests/mongodb runs it there",
}


def pytest_configure(config: pytest.Config) -> None:
    for name, meaning in MARKS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    without_libraries(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """A test's database is there until the thread has ended that sends what it made."""
    try:
        yield
    finally:
        for thread in threading.enumerate():
            if thread.name == deliveries.THREAD:
                thread.join(PATIENCE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skips(report)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is about the other database is left out rather than skipped; the rest is dealt out by file."""
    other = "sqlite_only" if django_settings.MONGO else "mongodb_only"
    foreign = [item for item in items if item.get_closest_marker(other)]
    config.hook.pytest_deselected(items=foreign)
    mine = [item for item in items if not item.get_closest_marker(other)]
    items[:] = sorted(mine, key=lambda item: item.get_closest_marker("xdist_group") is None)
    _keep_files_together(items)


def _keep_files_together(items: list[pytest.Item]) -> None:
    """A file's tests run in one process, so that what they share is made once."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(item.config.rootpath).as_posix()))


@pytest.fixture(scope="session")
def keys_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete keyring; making one costs a key derivation, so each test gets a copy."""
    root = tmp_path_factory.mktemp("keys") / "keys"
    with pytest.MonkeyPatch.context() as patched:
        # It opens in a tenth of the time, here and in each process; users' cost is tested with the slots.
        patched.setattr(archive, "make_slot", partial(archive.make_slot, cost=CHEAP))
        keyring.create(
            root,
            origin=django_settings.LUCID_LEDGER_ORIGIN,
            password=django_settings.ENCRYPTION_PASSWORD,
            salt=django_settings.ENCRYPTION_SALT,
        )
    return root


@pytest.fixture
def world(tmp_path: Path, keys_root: Path, settings: pytest.FixtureRequest) -> Iterator[Installation]:
    """An installation of this test's own, which the settings describe."""
    shutil.copytree(keys_root, tmp_path / "keys")
    settings.SESSION_STORAGE_PATH = tmp_path / "spool"
    settings.CHUNK_STORAGE_PATH = tmp_path / "blobs"
    settings.LUCID_LEDGER_PATH = tmp_path / "ledger"
    settings.LUCID_KEYS_PATH = tmp_path / "keys"
    outside.installation.cache_clear()
    FileBlobs.create(tmp_path / "blobs")
    before = hints.publisher()
    hints.register(None)
    yield outside.installation()
    hints.register(before)
    outside.installation.cache_clear()


@pytest.fixture(scope="session")
def s3_service() -> Iterator[str]:
    """The address of a real S3 service, one a test process."""
    with servers.s3_server() as url:
        yield url


@pytest.fixture
def bucket(s3_service: str) -> Where:
    """A new bucket of this test's own."""
    return new_bucket(s3_service)


@pytest.fixture
def s3_world(world: Installation, bucket: Where, settings: pytest.FixtureRequest) -> Iterator[Installation]:
    """The world with its blobs in a bucket, which the settings describe."""
    shutil.rmtree(world.blobs_root)
    settings.STORAGE_URL = address_of(bucket)
    outside.installation.cache_clear()
    there = outside.installation()
    create_store(settings.STORAGE_URL, there.credentials)
    yield there
    outside.installation.cache_clear()


@pytest.fixture
def without_password(world: Installation, settings: pytest.FixtureRequest) -> Iterator[Installation]:
    """The world of a worker, to which nobody gave ENCRYPTION_PASSWORD."""
    settings.ENCRYPTION_PASSWORD = settings.ENCRYPTION_SALT = ""
    outside.identity.cache_clear()
    yield replace(world)
    outside.identity.cache_clear()
