"""The documentation speaks of files that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|sql|md|graphql))`", text)
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)

    missing = [name for name in named if not (ROOT / name).exists()]
    missing += [link for link in linked if not (page.parent / link).exists()]

    assert missing == []


def test_a_mutation_and_its_live_event_are_followed_through_eight_files() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()

    steps = re.findall(r"^\d\. `([^`]+)`", text, re.MULTILINE)

    assert len(steps) == 8
    assert all((ROOT / step).is_file() for step in steps)
