"""What `kubectl apply -k` would send, read here and, where kubectl is installed, held against its own answer.

Only what our overlays use: resources, components, namespace, images, replicas, JSON patches by kind and name.
"""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.parts import run, said

Resource = dict[str, Any]
CLUSTER_WIDE = ("Namespace",)


def rendered(directory: Path) -> list[Resource]:
    """Every resource of an overlay; AssertionError when kubectl, if it is there, makes others."""
    found = _built(directory)
    kubectl = shutil.which("kubectl")
    if kubectl is not None:
        ended = run(kubectl, "kustomize", directory)
        assert ended.returncode == 0, said(ended)
        theirs = [one for one in yaml.load_all(ended.stdout, Loader=yaml.CSafeLoader) if one]
        assert sorted(map(_text, found)) == sorted(map(_text, theirs))
    return found


def named(resources: Sequence[Resource], kind: str) -> dict[str, Resource]:
    """Those of one kind by their names."""
    return {one["metadata"]["name"]: one for one in resources if one["kind"] == kind}


def _text(resource: Resource) -> str:
    return json.dumps(resource, sort_keys=True)


def _built(directory: Path) -> list[Resource]:
    plan = yaml.load((directory / "kustomization.yaml").read_text(), Loader=yaml.CSafeLoader)
    found: list[Resource] = []
    for name in plan.get("resources", []):
        path = directory / name
        found += _built(path) if path.is_dir() else _documents(path)
    # A component's resources join what is there, and its patches see all of it.
    for name in plan.get("components", []):
        found = _changed(found + _built(directory / name), _plan(directory / name))
    return _changed(found, plan)


def _plan(directory: Path) -> Mapping[str, Any]:
    return dict(yaml.load((directory / "kustomization.yaml").read_text(), Loader=yaml.CSafeLoader))


def _documents(path: Path) -> list[Resource]:
    return [one for one in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if one]


def _changed(resources: list[Resource], plan: Mapping[str, Any]) -> list[Resource]:
    for one in resources:
        if "namespace" in plan and one["kind"] not in CLUSTER_WIDE:
            one["metadata"]["namespace"] = plan["namespace"]
        _set_images(one, plan.get("images", []))
    for wish in plan.get("replicas", []):
        for one in resources:
            if one["metadata"]["name"] == wish["name"] and "replicas" in one.get("spec", {}):
                one["spec"]["replicas"] = wish["count"]
    for patch in plan.get("patches", []):
        for one in resources:
            if _is_meant(one, patch["target"]):
                _apply(one, yaml.load(patch["patch"], Loader=yaml.CSafeLoader))
    return resources


def _set_images(part: object, images: Sequence[Mapping[str, str]]) -> None:
    if isinstance(part, list):
        for one in part:
            _set_images(one, images)
    elif isinstance(part, dict):
        for image in images:
            if str(part.get("image", "")).partition(":")[0] == image["name"]:
                part["image"] = f"{image['newName']}:{image['newTag']}"
                break
        for one in part.values():
            _set_images(one, images)


def _is_meant(resource: Resource, target: Mapping[str, str]) -> bool:
    asked = {"kind": resource["kind"], "name": resource["metadata"]["name"]}
    return all(re.fullmatch(pattern, asked[key]) for key, pattern in target.items())


def _apply(resource: Resource, steps: Sequence[Mapping[str, Any]]) -> None:
    for step in steps:
        *way, last = step["path"].strip("/").split("/")
        place: Any = resource
        for name in way:
            place = place[int(name)] if isinstance(place, list) else place[name]
        assert step["op"] == "add" or last in place, f"{step['path']} is not there to be replaced"
        place[last] = step["value"]
