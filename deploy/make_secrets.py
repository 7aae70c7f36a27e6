#!/usr/bin/env python3
"""Makes every secret that docker-compose.yml names, as files; those that exist are kept.

    python3 deploy/make_secrets.py [--into deploy/secrets] [--host sessions.your.domain]

Python's standard library and `openssl` (for the first certificate) are all it needs. The directory is
mode 0700, so that nobody on this host gets in; the files are 0444, since Compose mounts them as they
are and each container reads them as a user of its own.
"""

import argparse
import base64
import hashlib
import secrets
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
RANDOM = (
    "mongo_root_password",
    "mongo_app_password",
    "redis_broker_password",
    "redis_cache_password",
    "secret_key",
    "jwt_secret_key",
    "worker_secret_key",
    "encryption_password",
    "encryption_salt",
    "grafana_admin_password",
)
BLANK = ("s3_access_key_id", "s3_secret_access_key")
MONGODB_OPTIONS = "authSource={database}&replicaSet=rs0&w=majority&journal=true&readConcernLevel=majority"


def make(into: Path, *, host: str, database: str) -> list[str]:
    """The names of the secrets made just now; the directory then holds all of them."""
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    into.chmod(0o700)
    made = [name for name in RANDOM if _keep(into / name, text=secrets.token_hex(32))]
    made += [
        name for name, text in _derived(into, database=database).items() if _keep(into / name, text=text)
    ]
    # Yours to fill in where blobs or backups lie in a bucket. A space, since Swarm takes no empty secret.
    made += [name for name in BLANK if _keep(into / name, text=" ")]
    if not (into / "tls_key").exists():
        _self_signed(into, host=host)
        made += ["tls_certificate", "tls_key"]
    return made


def _derived(into: Path, *, database: str) -> dict[str, str]:
    known = {name: (into / name).read_text(encoding="ascii") for name in RANDOM}
    options = MONGODB_OPTIONS.format(database=database)
    broker, cache = known["redis_broker_password"], known["redis_cache_password"]
    return {
        # Not a secret's text but 756 random bytes in base 64, as mongod wants it.
        "mongodb_keyfile": base64.b64encode(secrets.token_bytes(756)).decode(),
        "mongodb_url": f"mongodb://lucid:{known['mongo_app_password']}@mongodb:27017/{database}?{options}",
        "redis_url": f"redis://celery:{broker}@redis-broker:6379/0",
        "cache_url": f"redis://cache:{cache}@redis-cache:6379/0",
        "redis_broker_acl": _acl("broker", password=broker),
        "redis_cache_acl": _acl("cache", password=cache),
    }


def _acl(name: str, *, password: str) -> str:
    template = (HERE / "redis" / f"{name}.acl").read_text(encoding="ascii")
    return template.format(password_sha256=hashlib.sha256(password.encode()).hexdigest())


def _keep(path: Path, *, text: str) -> bool:
    if path.exists():
        return False
    # No newline at the end: what reads a secret from a file takes every byte of it.
    half = path.with_name(path.name + ".new")
    half.write_text(text, encoding="ascii")
    half.chmod(0o444)
    half.replace(path)
    return True


def _self_signed(into: Path, *, host: str) -> None:
    key, certificate = into / "tls_key", into / "tls_certificate"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host},DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(
        ["openssl", "req", "-x509", "-days", "397", *curve, *names, *files], check=True, capture_output=True
    )
    key.chmod(0o444)
    certificate.chmod(0o444)


def main() -> int:
    """0 when every secret is there; the made ones are named, never shown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--into", type=Path, default=HERE / "secrets")
    parser.add_argument("--host", default="localhost", help="the name on the first, self-signed certificate")
    parser.add_argument("--database", default="lucid_sessions")
    wanted = parser.parse_args()
    try:
        made = make(wanted.into, host=wanted.host, database=wanted.database)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"make_secrets: {error}", file=sys.stderr)
        return 1
    print(f"{wanted.into}: made {', '.join(made)}" if made else f"{wanted.into}: all there, nothing made")
    return 0


if __name__ == "__main__":
    sys.exit(main())
