"""Drawings of a terminal."""

import sys
from pathlib import Path

from handbook.terminal import COLUMNS, MAX_LINES, drawn, main


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
