"""Who may import whom: the contracts of pyproject.toml, and that they would notice."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("carillon", "schema", "resolvers", "domain", "workers", "infra")
# Instants come from the injected clock, or nothing is testable.
CLOCKS = {"now", "utcnow", "today"}


def modules(root: Path, *packages: str) -> Iterator[tuple[Path, ast.Module]]:
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            yield path.relative_to(root), ast.parse(path.read_text())


def test_the_import_contracts_hold(pytestconfig: pytest.Config) -> None:
    # A process of its own: the linter disables every logger there is, the other tests' included.
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run(
        [linter], cwd=pytestconfig.rootpath, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stdout + run.stderr


def test_the_domain_imports_the_standard_library_only(pytestconfig: pytest.Config) -> None:
    allowed = sys.stdlib_module_names | {"domain"}
    for path, tree in modules(pytestconfig.rootpath, "domain"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found = {alias.name.partition(".")[0] for alias in node.names}
                assert found <= allowed, path
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                assert node.module.partition(".")[0] in allowed, path


def test_only_services_and_ports_of_the_domain_wait(pytestconfig: pytest.Config) -> None:
    for path, tree in modules(pytestconfig.rootpath, "domain"):
        if path.parts[1] == "services":
            continue
        waits = [node for node in ast.walk(tree) if isinstance(node, ast.Await)]
        assert waits == [], path


def test_only_the_clock_reads_the_time_of_day(pytestconfig: pytest.Config) -> None:
    for path, tree in modules(pytestconfig.rootpath, *PACKAGES):
        if path == Path("infra/clock.py"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in CLOCKS:
                assert not (isinstance(node.value, ast.Name) and node.value.id == "datetime"), path


def test_package_files_hold_a_docstring_and_nothing_else(pytestconfig: pytest.Config) -> None:
    for path, tree in modules(pytestconfig.rootpath, *PACKAGES):
        if path.name == "__init__.py":
            assert ast.get_docstring(tree), path
            assert len(tree.body) == 1, path
