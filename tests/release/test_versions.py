"""Every place that names the version has to name the one that is released."""

from pathlib import Path

import pytest

from release.versions import (
    CHANGELOG,
    CLIENT,
    KUSTOMIZATIONS,
    PYPROJECT,
    TYPESCRIPT,
    UPGRADING,
    problems,
)

ROOT = Path(__file__).parents[2]


def test_this_repository_names_one_version_in_all_places_unless_it_is_between_releases() -> None:
    found = problems(ROOT)
    assert not found or "is no release" in found[0]


def test_a_repository_whose_places_agree_has_no_problem(root: Path) -> None:
    assert problems(root) == []


@pytest.mark.parametrize("place", [CLIENT, TYPESCRIPT, *KUSTOMIZATIONS])
def test_another_version_is_a_problem_that_names_its_place(root: Path, place: str) -> None:
    text = (root / place).read_text().replace("0.1.0", "0.0.9")
    (root / place).write_text(text)
    (problem,) = problems(root)
    assert problem.startswith(place)
    assert "version 0.0.9, but pyproject.toml has 0.1.0; set it to 0.1.0" in problem


def test_a_development_version_is_no_release(root: Path) -> None:
    (root / PYPROJECT).write_text('[project]\nversion = "0.2.0.dev0"\n')
    assert problems(root) == [
        "pyproject.toml: version 0.2.0.dev0 is no release; set it to a version such as 0.1.0"
    ]


@pytest.mark.parametrize(
    "heading",
    ["## Unreleased", "## 0.1.0", "## 0.1.0 - 2026-13-01", "## 0.1.0 - 20261129", "### Added", ""],
)
def test_the_newest_chapter_of_the_changelog_needs_the_version_and_a_date(
    root: Path, heading: str
) -> None:
    (root / CHANGELOG).write_text(f"# Changelog\n\n{heading}\n\n- Something.\n")
    (problem,) = problems(root)
    assert problem.startswith("CHANGELOG.md: ")
    assert "it must be '## 0.1.0 - YYYY-MM-DD'" in problem


def test_entries_above_the_newest_chapter_are_not_released_by_accident(root: Path) -> None:
    text = (root / CHANGELOG).read_text().replace("## 0.1.0", "## Unreleased\n\n- New.\n\n## 0.1.0")
    (root / CHANGELOG).write_text(text)
    assert len(problems(root)) == 1


def test_notes_on_upgrading_to_another_version_are_not_enough(root: Path) -> None:
    (root / UPGRADING).write_text("# Upgrading\n\n## To 0.1.01\n")
    (problem,) = problems(root)
    assert problem.startswith("docs/upgrading.md: no chapter '## To 0.1.0'")
