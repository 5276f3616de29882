"""What Kustomize renders, as tests ask for it."""

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.documents import ROOT, Document, buildable, render
from tests.parts import lacking

FOLDERS = buildable()
OVERLAYS = [folder for folder in FOLDERS if folder.parent.name == "overlays"]
WITH_DAPR = [folder for folder in FOLDERS if folder.name != "standalone"]
WITH_KAFKA = [folder for folder in WITH_DAPR if folder.name != "external-kafka"]

every_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
every_overlay = pytest.mark.parametrize("folder", OVERLAYS, ids=lambda folder: folder.name)
with_dapr = pytest.mark.parametrize("folder", WITH_DAPR, ids=lambda folder: folder.name)
with_kafka = pytest.mark.parametrize("folder", WITH_KAFKA, ids=lambda folder: folder.name)


def need_kubectl() -> None:
    """Skips the test where kubectl is missing, but not in CI."""
    if shutil.which("kubectl") is None:
        lacking("kubectl is not installed: nothing renders the overlays")


@cache
def objects(folder: Path) -> list[Document]:
    """Returns what the folder renders."""
    need_kubectl()
    return list(yaml.safe_load_all(render(folder)))


def of(folder: Path, kind: str, group: str = "") -> dict[str, Document]:
    return {
        each["metadata"]["name"]: each
        for each in objects(folder)
        if each["kind"] == kind and each["apiVersion"].startswith(group)
    }


def components(folder: Path) -> dict[str, Document]:
    return of(folder, "Component", "dapr.io/")


def metadata(component: Document) -> dict[str, Any]:
    return {item["name"]: item.get("value") for item in component["spec"]["metadata"]}


def pod(workload: Document) -> Document:
    template: Document = workload["spec"]["template"]
    return template


def app_container(workload: Document) -> Document:
    (container,) = pod(workload)["spec"]["containers"]
    assert container["name"] == "app"
    return dict(container)


def workloads(folder: Path) -> Iterator[Document]:
    yield from of(folder, "Deployment").values()
    yield from of(folder, "Job").values()


def values(node: object, key: str) -> Iterator[Any]:
    """Yields what stands under a key, at any depth."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from values(value, key)


def external(folder: Path) -> dict[tuple[str, str], set[str]]:
    paths = [path for path in (ROOT / "external.txt", folder / "external.txt") if path.exists()]
    lines = [line for path in paths for line in path.read_text().splitlines()]
    named = [line.split() for line in lines if line and not line.startswith("#")]
    return {tuple(name.split("/")): set(keys) for name, *keys in named}  # type: ignore[misc]
