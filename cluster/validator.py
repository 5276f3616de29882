"""Schemas and cross references of what Kustomize renders, by a validator that lies beside us.

It carries the custom resource definitions of Dapr and Strimzi, which are not ours to keep; where it
is absent, `tests/contract/test_manifests.py` stands alone.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import yaml

from cluster.cache import cached, once
from cluster.documents import ROOT, Document, buildable, render

# What Dapr reads from the metadata of any pub/sub component, beside the component's own: the
# validator knows the latter only.
OF_EVERY_PUBSUB = frozenset(
    {"allowedTopics", "protectedTopics", "publishingScopes", "subscriptionScopes"}
)


def validate(validator: Path) -> int:
    """Checks every overlay and combination, and tells what is wrong; returns the exit code."""
    requirements = validator / "requirements.txt"
    environment = cached("validator", [requirements])

    def make(folder: Path) -> None:
        venv.create(folder, with_pip=True, symlinks=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", "-r", str(requirements)], check=True)

    once(environment, make)
    python = str(environment / "bin" / "python")
    codes = [_check(folder, [python, str(validator / "validate.py")]) for folder in buildable()]
    return max(codes)


def _check(folder: Path, command: list[str]) -> int:
    documents = [_without_scopes(each) for each in yaml.safe_load_all(render(folder))]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as external:
        for path in (ROOT / "external.txt", folder / "external.txt"):
            if path.exists():
                external.write(path.read_text())
        external.flush()
        done = subprocess.run(
            [*command, "--external", external.name, "-"],
            input=yaml.safe_dump_all(documents),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    sys.stdout.write(f"{folder.relative_to(ROOT)}: {done.stdout}")
    return done.returncode


def _without_scopes(document: Document) -> Document:
    if document.get("spec", {}).get("type", "").startswith("pubsub."):
        spec = document["spec"]
        spec["metadata"] = [
            each for each in spec["metadata"] if each["name"] not in OF_EVERY_PUBSUB
        ]
    return document
