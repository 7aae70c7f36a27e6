"""Settings of storage: where recordings wait, where blobs, log and backups are, how full they may be."""

from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from lucid_sessions.blobs import is_bucket, open_store
from lucid_sessions.environment import EMBEDDED, LUCID_HOME, choice, env, number, path, whole
from lucid_sessions.errors import Refused

SESSION_STORAGE_PATH = path("SESSION_STORAGE_PATH", LUCID_HOME / "spool")
CHUNK_STORAGE_PATH = path("CHUNK_STORAGE_PATH", LUCID_HOME / "blobs")
# Where blobs are: s3://bucket/prefix?endpoint=…&region=…&lock=on; empty: the directory CHUNK_STORAGE_PATH.
STORAGE_URL = env.str("STORAGE_URL", "")
if STORAGE_URL.startswith(("/", "file:")):
    CHUNK_STORAGE_PATH, STORAGE_URL = Path(urlsplit(STORAGE_URL).path), ""
# Stores that still hold blobs, or did not get theirs yet: reads fall through to them, deletions reach them.
LUCID_STORAGE_ALSO = tuple(env.list("LUCID_STORAGE_ALSO", default=[]))
# Blobs that were stored so many days ago move there.
LUCID_STORAGE_TIER_URL = env.str("LUCID_STORAGE_TIER_URL", "")
# A local copy of all but the blobs of backups in buckets: as large as one dump of the database.
LUCID_BACKUP_WORK = path("LUCID_BACKUP_WORK", LUCID_HOME / "backup-work")
LUCID_STORAGE_TIER_DAYS = whole("LUCID_STORAGE_TIER_DAYS", 30)
for _address in filter(None, (STORAGE_URL, *LUCID_STORAGE_ALSO, LUCID_STORAGE_TIER_URL)):
    try:
        open_store(_address)
    except Refused as error:
        raise ImproperlyConfigured(
            f"STORAGE_URL, LUCID_STORAGE_ALSO, LUCID_STORAGE_TIER_URL: {error}."
        ) from None
# `s3`: a segment is acknowledged only when a second copy of it is at LUCID_SPOOL_URL (else: at STORAGE_URL).
LUCID_SPOOL = choice("LUCID_SPOOL", "local", "local", "s3")
LUCID_SPOOL_URL = env.str("LUCID_SPOOL_URL", "") or STORAGE_URL
# How long a segment may last while nothing happens on the desktop and nobody watches; 0: no longer than any
# other, which is the default where a segment counts only once it is copied.
LUCID_QUIET_SEGMENT_SECONDS = number("LUCID_QUIET_SEGMENT_SECONDS", 0.0 if LUCID_SPOOL == "s3" else 300.0)
if LUCID_SPOOL == "s3" and not is_bucket(LUCID_SPOOL_URL):
    raise ImproperlyConfigured(
        "LUCID_SPOOL=s3 needs LUCID_SPOOL_URL (or STORAGE_URL) to name a bucket: s3://…"
    )
# For all buckets; empty: boto3's own search (environment, files, the machine's role).
AWS_ACCESS_KEY_ID = env.str("AWS_ACCESS_KEY_ID", "").strip()
AWS_SECRET_ACCESS_KEY = env.str("AWS_SECRET_ACCESS_KEY", "").strip()
LUCID_LEDGER_PATH = path("LUCID_LEDGER_PATH", LUCID_HOME / "ledger")
# Below this much room no recording begins (specification: 10 GiB).
LUCID_STORAGE_MIN_FREE_GIB = number("LUCID_STORAGE_MIN_FREE_GIB", 1.0 if EMBEDDED else 10.0)
# At 100 % of a limit: `refuse` new recordings, or `evict` what is overdue and then the oldest of what is at
# least so many days old.
LUCID_WHEN_FULL = choice("LUCID_WHEN_FULL", "refuse", "refuse", "evict")
LUCID_EVICT_MIN_DAYS = whole("LUCID_EVICT_MIN_DAYS", 7)
# Regular backups: where to (a directory or s3://…), how often, where the key backup goes, how long both stay.
LUCID_BACKUP_URL = env.str("LUCID_BACKUP_URL", "")
LUCID_BACKUP_HOURS = number("LUCID_BACKUP_HOURS", 24.0)
LUCID_BACKUP_KEYS = env.str("LUCID_BACKUP_KEYS", "")
LUCID_BACKUP_KEEP_DAYS = whole("LUCID_BACKUP_KEEP_DAYS", 7)
# Another store with the same blobs: scrub repairs from it, and from the backups at LUCID_BACKUP_URL.
LUCID_REPLICA_URL = env.str("LUCID_REPLICA_URL", "")
MAX_STORAGE_SIZE_GB = whole("MAX_STORAGE_SIZE_GB", 1000)
