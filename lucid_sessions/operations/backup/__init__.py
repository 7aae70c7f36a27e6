"""Backup and disaster recovery: what is kept outside the installation, and the way back from it.

    shelf      a directory of backups: whose, which snapshots, who writes now
    making     one snapshot: metadata, ledger, blobs, keys; start reading here
    restoring  the way back, into nothing or over damage
    recovery   rows from ledger and blobs, where the database is older or gone

docs/backup.md is the operator's page.
"""
