"""What is installed: our names are ours, the locks say everything, and say it for every machine."""

import re
import tomllib
from importlib.metadata import packages_distributions
from typing import Any

import pytest

PACKAGES = ("carillon", "schema", "resolvers", "domain", "workers", "infra")
# What the project is built on; each is named by pyproject.toml from the start.
STACK = {
    "strawberry-graphql",
    "starlette",
    "uvicorn",
    "sqlalchemy",
    "asyncpg",
    "aiokafka",
    "croniter",
    "dapr",
    "opentelemetry-sdk",
    "pytest-asyncio",
}
LOCKS = ("requirements.txt", "requirements-dev.txt")


@pytest.fixture(scope="session")
def project(pytestconfig: pytest.Config) -> dict[str, Any]:
    return tomllib.loads((pytestconfig.rootpath / "pyproject.toml").read_text())


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=~ ]", requirement, maxsplit=1)[0] for requirement in requirements}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_carries_a_package_of_ours(package: str) -> None:
    assert set(packages_distributions().get(package, ())) <= {"carillon"}


def test_the_project_names_its_stack(project: dict[str, Any]) -> None:
    named = names(project["project"]["dependencies"]) | names(project["dependency-groups"]["dev"])

    assert named >= STACK


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_and_hashes_everything_and_names_no_place(
    lock: str, pytestconfig: pytest.Config
) -> None:
    entries = (pytestconfig.rootpath / lock).read_text().replace("\\\n", " ").splitlines()

    assert entries
    for entry in entries:
        assert re.match(r"^[a-z0-9._-]+(\[[a-z,-]+\])?==[^ ;]+( ;.*?)? +--hash=sha256:", entry), (
            entry
        )
        assert "://" not in entry
        assert "@" not in entry


def test_the_locks_agree(pytestconfig: pytest.Config) -> None:
    def pins(lock: str) -> dict[str, str]:
        text = (pytestconfig.rootpath / lock).read_text()
        return dict(re.findall(r"^([a-z0-9._-]+)(?:\[.*\])?==([^ ;]+)", text, re.MULTILINE))

    shipped, developed = pins("requirements.txt"), pins("requirements-dev.txt")

    assert shipped.items() <= developed.items()


def test_the_image_holds_the_packages_of_the_wheel_and_runs_as_nobody_else(
    project: dict[str, Any], pytestconfig: pytest.Config
) -> None:
    dockerfile = (pytestconfig.rootpath / "Dockerfile").read_text()
    ignored = (pytestconfig.rootpath / ".dockerignore").read_text().splitlines()
    wheel = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])

    copied = set(re.findall(r"^COPY (\w+) \1$", dockerfile, re.MULTILINE))

    assert copied == wheel == set(PACKAGES)
    assert {f"!{package}" for package in wheel} <= set(ignored)
    # The user of kustomize/components/hardening.
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE) == ["10001:10001"]
