"""Loaded before Django's settings: gives each test process a home of its own, removed at its end."""

import atexit
import os
import shutil
import tempfile

HOME = tempfile.mkdtemp(prefix="lucid-test-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

# What tests write survives kills, not power cuts: in memory a durable write costs them nothing.
MEMORY = "/dev/shm"
if os.path.isdir(MEMORY) and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30:  # noqa: PTH112
    os.environ.setdefault("LUCID_TEST_DATABASES", MEMORY)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)  # where pytest makes each test's tmp_path
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
