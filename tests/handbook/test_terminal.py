"""Drawings of a terminal."""

import re
import sys
from pathlib import Path

import pytest

from handbook.terminal import COLUMNS, MAX_LINES, drawn, main, text_of

ROOT = Path(__file__).parents[2]


def test_a_drawing_shows_the_command_and_what_it_printed(tmp_path: Path) -> None:
    path = tmp_path / "drawing.svg"
    code = main([str(path), "--", sys.executable, "-c", "print('one', 6 * 7)"])
    svg = path.read_text(encoding="utf-8")
    assert code == 0
    assert "one&#160;42" in svg
    assert Path(sys.executable).name in svg


def test_a_command_that_fails_leaves_no_drawing(tmp_path: Path) -> None:
    path = tmp_path / "drawing.svg"
    assert main([str(path), "--", sys.executable, "-c", "raise SystemExit(3)"]) == 3
    assert not path.exists()


@pytest.mark.parametrize("words", [[], ["drawing.svg"], ["drawing.svg", "ls"], ["--", "ls"]])
def test_a_program_without_a_file_or_a_command_is_told_what_it_lacks(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert "FILE -- COMMAND" in capsys.readouterr().err


def test_a_drawing_loads_nothing() -> None:
    svg = drawn("demo", "text").replace("http://www.w3.org/2000/svg", "")
    assert "url(http" not in svg
    assert "@font-face" not in svg


def test_a_long_output_is_cut_at_its_beginning() -> None:
    svg = drawn("demo", "\n".join(f"line-{number}." for number in range(MAX_LINES + 5)))
    assert "line-4." not in svg
    assert "line-5." in svg
    assert f"line-{MAX_LINES + 4}." in svg


def test_a_line_that_is_too_long_is_wrapped() -> None:
    assert "x" * (COLUMNS + 1) not in drawn("demo", "x" * (COLUMNS + 1))


def test_the_text_of_a_drawing_is_what_was_printed() -> None:
    assert text_of(drawn("demo", "a  b\n<c>")).splitlines()[-2:] == ["a  b", "<c>"]


def test_readme_shows_what_the_demo_printed_when_it_was_drawn() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```text\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    assert block
    printed = text_of((ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")).splitlines()
    shown = [line for line in block[1].splitlines() if line and not line.startswith("serving on")]
    assert len(shown) > 8
    for line in shown:
        words = re.split(r"\s{2,}", line.strip())
        assert any(all(word in each for word in words) for each in printed), line
