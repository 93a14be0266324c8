"""No figure with an interval in the documents differs from what was measured."""

import io
import re
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from handbook.figures import Claim, Measured, claims, is_measured, measured_figures

ROOT = Path(__file__).parents[2]
README, FINDINGS = "README.md", "docs/findings.md"
DOCUMENTS = (README, FINDINGS, "docs/method.md", "docs/performance.md")
MOVIELENS, GAMES, PAPER = "movielens", "amazon-games", "amazon-games-paper"
NEXT, ORIGINAL = "amazon-games-next", "amazon-games-original"
PAPER_ORIGINAL = "amazon-games-paper-original"
FORMER = "movielens-pre-norm"

REPORTS = {
    (README, "Distilled recommender"): {MOVIELENS},
    (README, "Is it worth it?"): {MOVIELENS, PAPER_ORIGINAL, ORIGINAL},
    (FINDINGS, "For your decision"): {MOVIELENS, GAMES, NEXT, ORIGINAL, PAPER_ORIGINAL},
    (FINDINGS, "The method beside the paper's claim"): {MOVIELENS, FORMER, GAMES, ORIGINAL},
    (FINDINGS, "MovieLens"): {MOVIELENS, FORMER},
    (FINDINGS, "With former blocks"): {FORMER},
    (FINDINGS, "The paper's Amazon video games"): {PAPER},
    (FINDINGS, "The paper's targets, refitted"): {PAPER, PAPER_ORIGINAL},
    (FINDINGS, "amazon-games"): {GAMES},
    (FINDINGS, "Refitted, by the rules of today"): {NEXT},
    (FINDINGS, "With the blocks of SASRec's authors"): {NEXT, ORIGINAL},
    (FINDINGS, "A fusion teacher, not shown to help"): {ORIGINAL},
    (FINDINGS, "Its cold items"): {GAMES},
}
"""The reports whose figures a section states."""

STATED_IN_REVERSE = {
    "0.0050 [0.0034, 0.0065]",
    "0.0101 [0.0077, 0.0125]",
    "0.0103 [0.0048, 0.0158]",
}
"""Differences of which the report has the other order: a student less its teacher, for example."""


def claim(text: str) -> Claim:
    (found,) = claims(text)
    return found


@pytest.fixture(scope="module")
def figures() -> list[Measured]:
    return measured_figures(ROOT / "docs" / "results")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_figures_with_intervals_are_those_of_the_reports(
    name: str, figures: list[Measured]
) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / name).read_text("utf-8"), flags=re.M | re.DOTALL)
    _, *parts = re.split(r"^#+ (.*)$", text, flags=re.MULTILINE)
    for heading, part in zip(parts[::2], parts[1::2], strict=True):
        reports = REPORTS.get((name, heading), set())
        of_section = [each for each in figures if each.report in reports]
        found = [as_reported(each) for each in claims(part) if not each.names_a_commit]
        wrong = [each for each in found if not is_measured(each, of_section)]
        assert [(each.text, each.sentence) for each in wrong] == [], heading


def as_reported(claim: Claim) -> Claim:
    """Returns a claim with the direction in which its report has the difference."""
    reverse = claim.text in STATED_IN_REVERSE
    return replace(claim, direction=-claim.direction) if reverse else claim


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_figure_of_a_commit_is_that_of_the_reports_of_that_commit(
    name: str, tmp_path: Path
) -> None:
    found = [each for each in claims((ROOT / name).read_text("utf-8")) if each.names_a_commit]
    for each in found:
        assert each.commit is not None
        extract_reports(each.commit, tmp_path / each.commit)
        assert is_measured(each, measured_figures(tmp_path / each.commit)), each.text


def extract_reports(commit: str, folder: Path) -> None:
    """Extracts the reports of a commit; skips the test in a clone that lacks its history."""
    reports = ("archive", "--format=tar", f"{commit}:docs/results", ":(glob)*.md")
    finished = subprocess.run(["git", "-C", str(ROOT), *reports], capture_output=True, check=False)
    if finished.returncode:
        pytest.skip(f"commit {commit} is not in the history of this clone")
    with tarfile.open(fileobj=io.BytesIO(finished.stdout)) as reports_of_commit:
        reports_of_commit.extractall(folder, filter="data")


def test_readme_and_findings_state_many_figures() -> None:
    counts = [len(list(claims((ROOT / name).read_text("utf-8")))) for name in DOCUMENTS[:2]]
    assert counts[0] >= 15
    assert counts[1] >= 80


def test_a_claim_is_measured_if_all_its_numbers_round_to_a_figure() -> None:
    figures = [Measured(0.06247, 0.0530, 0.07402, is_relative=False)]
    assert is_measured(claim("0.0625 [0.0530, 0.0740]"), figures)
    assert is_measured(claim("0.06 [0.05, 0.07]"), figures)
    assert not is_measured(claim("0.0626 [0.0530, 0.0740]"), figures)
    assert not is_measured(claim("0.0625 [0.0530, 0.0741]"), figures)


def test_a_difference_may_be_stated_with_the_other_sign() -> None:
    figures = [Measured(-0.0154, -0.0194, -0.0112, is_relative=False)]
    assert is_measured(claim("it is 0.0154 [0.0112, 0.0194] below"), figures)
    assert not is_measured(claim("it is 0.0154 [0.0194, 0.0112] below"), figures)


def test_the_word_after_a_difference_tells_its_sign() -> None:
    figures = [Measured(0.0154, 0.0112, 0.0194, is_relative=False)]
    assert is_measured(claim("it is 0.0154 [0.0112, 0.0194] of NDCG@20 above"), figures)
    assert not is_measured(claim("it is 0.0154 [0.0112, 0.0194] of NDCG@20 below"), figures)
    assert not is_measured(claim("it is 0.0154 [0.0112, 0.0194] fewer"), figures)
    assert is_measured(claim("it is 0.0154 [0.0112, 0.0194], below"), figures)


def test_per_cent_are_compared_with_per_cent() -> None:
    figures = [Measured(16.3, 8.6, 25.1, is_relative=True)]
    assert is_measured(claim("16 % [9 %, 25\n  %] more"), figures)
    assert not is_measured(claim("16 [9, 25]"), figures)


def test_a_figure_of_a_report_that_is_gone_names_its_commit() -> None:
    sentence = "Shuffled it had 0.1 [0.0, 0.2] (three seeds; 4811e9c). Then more."
    assert claim(sentence).names_a_commit
    assert not claim("It had 0.1 [0.0, 0.2]. Later 4811e9c came.").names_a_commit
