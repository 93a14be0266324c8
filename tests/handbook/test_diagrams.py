"""Diagrams of the documents and their drawings."""

import pytest

from handbook.site.diagrams import (
    DRAWINGS,
    MissingDrawingError,
    diagrams,
    documents,
    drawing,
    with_drawings,
)

DIAGRAM = "flowchart LR\n  nobody --> drew --> this\n"


def test_every_diagram_has_a_drawing_and_every_drawing_a_diagram() -> None:
    texts = [path.read_text(encoding="utf-8") for path in documents()]
    needed = {drawing(each) for text in texts for each in diagrams(text)}
    assert len(needed) >= 3
    assert needed == set(DRAWINGS.glob("*.svg")), "run `make diagrams`"


def test_drawings_load_nothing() -> None:
    for path in DRAWINGS.glob("*.svg"):
        svg = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in svg
        assert "@import" not in svg


def test_a_drawing_replaces_its_diagram_and_nothing_else() -> None:
    known = next(each for path in documents() for each in diagrams(path.read_text("utf-8")))
    text = with_drawings(f"before\n\n```mermaid\n{known}```\n\nafter\n")
    assert text.startswith('before\n\n<div class="diagram">\n<svg')
    assert text.endswith("</svg>\n</div>\n\nafter\n")


def test_a_diagram_without_a_drawing_ends_the_build_with_what_to_do() -> None:
    with pytest.raises(MissingDrawingError, match=r"nobody.*run `make diagrams`"):
        with_drawings(f"```mermaid\n{DIAGRAM}```\n")
