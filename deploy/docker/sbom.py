#!/usr/bin/env python3
"""The CycloneDX list of what is in an image's root directory, on standard output.

    deploy/docker/sbom.py ROOT [NAME [VERSION]] > sbom.json

ROOT is what deploy/docker/make-root made, or an image unpacked (`docker export`): Debian's packages as
var/lib/dpkg/status.d or status tells, Python's as their metadata under opt/packages tells. No network, no
packages of others. The same root gives the same list.
"""

import argparse
import email
import email.message
import hashlib
import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

SPECIFICATION = "1.6"


def components(root: Path) -> list[dict[str, Any]]:
    """Every package in the root, Debian's first, each once, in order of its name."""
    found = {one["bom-ref"]: one for one in (*_debian(root), *_python(root))}
    return [found[reference] for reference in sorted(found)]


def _debian(root: Path) -> Iterator[dict[str, Any]]:
    database = root / "var/lib/dpkg"
    notes = sorted((database / "status.d").glob("*")) if (database / "status.d").is_dir() else []
    texts = [path.read_text(encoding="utf-8") for path in notes if path.suffix != ".md5sums"]
    if (database / "status").is_file():
        texts += (database / "status").read_text(encoding="utf-8").split("\n\n")
    for text in texts:
        facts = email.message_from_string(text.strip() + "\n")
        if not facts["Package"] or "not-installed" in (facts["Status"] or ""):
            continue
        where = f"?arch={facts['Architecture']}&distro=debian-13"
        yield _component(facts, kind="deb/debian", name=facts["Package"], where=where)


def _python(root: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((root / "opt/packages").glob("*.dist-info/METADATA")):
        facts = email.message_from_string(path.read_text(encoding="utf-8"))
        made = _component(facts, kind="pypi", name=facts["Name"].lower().replace("_", "-"), where="")
        licence = facts["License-Expression"] or ""
        yield made | ({"licenses": [{"expression": licence}]} if licence else {})


def _component(facts: email.message.Message, *, kind: str, name: str, where: str) -> dict[str, Any]:
    reference = f"pkg:{kind}/{quote(name)}@{quote(facts['Version'], safe='')}{where}"
    return {
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": facts["Version"],
        "purl": reference,
    }


def bill(root: Path, *, name: str, version: str) -> dict[str, Any]:
    """The whole document. Its serial number is that of its content, so nothing in it is by chance."""
    parts = components(root)
    digest = hashlib.sha256(json.dumps([name, version, parts]).encode()).hexdigest()
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": name, "name": name, "version": version}},
        "components": parts,
    }


def main() -> int:
    """0 when the list was written; 2 when there is nothing to list."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("name", nargs="?", default="lucid-sessions")
    parser.add_argument("version", nargs="?", default="0")
    wanted = parser.parse_args()
    made = bill(wanted.root, name=wanted.name, version=wanted.version)
    if not made["components"]:
        print(f"sbom: no package is noted in {wanted.root}", file=sys.stderr)
        return 2
    json.dump(made, sys.stdout, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
