"""YAML documents of Kubernetes and Dapr, as they are read and rendered."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import yaml

ROOT = Path(__file__).parents[1] / "kustomize"
Document: TypeAlias = dict[str, Any]


def read(path: Path) -> list[Document]:
    """Returns the documents of a file."""
    return list(yaml.safe_load_all(path.read_text()))


def dapr_objects() -> Iterator[Document]:
    """Yields what daprd reads, from the only copy: the component that the cluster's overlays use.

    As written there. `tests/contract/test_manifests.py` holds that the overlay `local` renders
    the same, so that nobody needs kubectl to run daprd.
    """
    component = ROOT / "components" / "dapr"
    (kustomization,) = read(component / "kustomization.yaml")
    for name in kustomization["resources"]:
        for document in read(component / name):
            if document["apiVersion"].startswith("dapr.io/"):
                yield document


def render(folder: Path) -> str:
    """Returns what `kubectl apply --kustomize` would send.

    Raises:
        subprocess.CalledProcessError: it does not build; `stderr` says why.
    """
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True
    )
    return done.stdout


def buildable() -> list[Path]:
    """Returns the folders that have to build: overlays, and combinations of components."""
    return sorted([*ROOT.glob("overlays/*"), *ROOT.glob("tests/*")])
