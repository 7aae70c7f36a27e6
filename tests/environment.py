"""Loaded before Django's settings: gives each test process a home of its own, removed at its end."""

import atexit
import faulthandler
import gc
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

# As in manage.py: thousands of tests, fixtures and models make little garbage, and all are looked through.
gc.set_threshold(20_000, 10, 10)

HOME = tempfile.mkdtemp(prefix="lucid-test-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

# What tests write survives kills, not power cuts: in memory a durable write costs them nothing.
MEMORY = "/dev/shm"
if os.path.isdir(MEMORY) and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30:  # noqa: PTH112
    os.environ.setdefault("LUCID_TEST_DATABASES", MEMORY)
DATABASE = tempfile.mkdtemp(prefix="lucid-test-", dir=os.environ.get("LUCID_TEST_DATABASES"))
atexit.register(shutil.rmtree, DATABASE, ignore_errors=True)

os.environ.update(
    LUCID_PROFILE="embedded",
    LUCID_HOME=HOME,
    SECRET_KEY="a key for tests only, long enough to be taken for one 0123456789",
    ENCRYPTION_PASSWORD="correct horse battery staple",
    ENCRYPTION_SALT="a salt that only tests use",
    LUCID_LEDGER_ORIGIN="test.invalid/lucid-sessions",
    LUCID_TEST_DATABASE=f"{DATABASE}/test.sqlite3",
    LUCID_STORAGE_MIN_FREE_GIB="0",
    LOG_LEVEL="WARNING",
    AWS_ACCESS_KEY_ID="for-tests",
    AWS_SECRET_ACCESS_KEY="any secret will do for tests",
    AWS_EC2_METADATA_DISABLED="true",
)


FAILED = pytest.StashKey[bool]()
# Before pytest puts its own in its place.
STDERR = os.dup(2)
# Seconds beyond a test's timeout.
OVERTIME = 120
# Where they are to lie, for the workers of a run, too.
OURS = "LUCID_TEST_DIRECTORIES"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """The directories of this run's tests lie there and go with it; `--basetemp=...` keeps them."""
    memory = os.environ.get("LUCID_TEST_DATABASES")
    if config.option.basetemp is None and memory is not None:
        config.option.basetemp = os.environ[OURS] = tempfile.mkdtemp(prefix="pytest-", dir=memory)
        atexit.register(shutil.rmtree, os.environ[OURS], ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test that its timeout could not end, since it waits for a child of its own, ends with its process."""
    bound = item.get_closest_marker("timeout")
    timeout = bound.args[0] if bound else item.config.getoption("timeout")
    faulthandler.dump_traceback_later(timeout + OVERTIME, exit=True, file=STDERR)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test that passed has written there is removed: it would lie in memory until the run's end."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    if report.when == "teardown" and not item.stash[FAILED] and "tmp_path" in item.funcargs:
        _empty(item.funcargs["tmp_path"])
    return report


def _empty(directory: Path) -> None:
    """Nothing is left in it. It stays: processes remember by their paths what they have opened."""
    if not str(directory).startswith(os.environ.get(OURS, "\0")):
        return  # `--basetemp` keeps them
    if str(directory) in Path("/proc/self/mountinfo").read_text():
        return  # something is mounted there still, perhaps the machine's own files
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
