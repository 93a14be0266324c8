"""Draws the Mermaid diagrams of the documents as SVG, which the site shows without a script.

The drawings are stored, so that only who changes a diagram needs Node.js and the npm package
`beautiful-mermaid`. Their colours are those of the page, light or dark.

python -m handbook.site.diagrams
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DRAWINGS = ROOT / "docs" / "diagrams"
PACKAGE = "beautiful-mermaid@1.1.3"

_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FONT_OF_A_HOST = re.compile(r"^ *@import url\(.*\);\n", re.MULTILINE)
_PROGRAM = """\
import { readFileSync } from 'node:fs';
import { renderMermaidSVG } from 'beautiful-mermaid';
const colors = { bg: 'var(--md-default-bg-color)', fg: 'var(--md-default-fg-color)' };
const diagrams = JSON.parse(readFileSync(0, 'utf8'));
const draw = (text) => renderMermaidSVG(text, { ...colors, transparent: true });
console.log(JSON.stringify(diagrams.map(draw)));
"""


class MissingDrawingError(Exception):
    """A diagram has no stored drawing."""

    def __init__(self, diagram: str) -> None:
        super().__init__(f"no drawing of {diagram.splitlines()[:2]}: run `make diagrams`")


def diagrams(text: str) -> Iterator[str]:
    """Yields the source of each diagram of a document."""
    yield from _DIAGRAM.findall(text)


def drawing(diagram: str) -> Path:
    """Returns the path of a diagram's drawing, which its source decides."""
    return DRAWINGS / f"{hashlib.sha256(diagram.encode()).hexdigest()[:12]}.svg"


def with_drawings(text: str) -> str:
    """Returns a document with its diagrams replaced by their drawings.

    Raises:
        MissingDrawingError: a diagram has none.
    """

    def drawn(match: re.Match[str]) -> str:
        path = drawing(match[1])
        if not path.exists():
            raise MissingDrawingError(match[1])
        return f'<div class="diagram">\n{path.read_text(encoding="utf-8")}</div>'

    return _DIAGRAM.sub(drawn, text)


def documents() -> list[Path]:
    """Returns the paths of all documents that may have diagrams."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def main() -> int:
    """Draws the diagrams of all documents, and removes drawings without one; returns 0."""
    texts = (path.read_text(encoding="utf-8") for path in documents())
    sources = [each for text in texts for each in diagrams(text)]
    DRAWINGS.mkdir(exist_ok=True)
    for path in DRAWINGS.glob("*.svg"):
        path.unlink()
    for source, svg in zip(sources, _draw(sources), strict=True):
        drawing(source).write_text(_plain(svg), encoding="utf-8")
        sys.stdout.write(f"written: {drawing(source)}\n")
    return 0


def _draw(sources: list[str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        install = ["npm", "install", "--silent", "--no-save", "--prefix", folder, PACKAGE]
        subprocess.run(install, check=True, stdout=sys.stderr)
        program = Path(folder) / "draw.mjs"
        program.write_text(_PROGRAM, encoding="utf-8")
        done = subprocess.run(
            ["node", program], input=json.dumps(sources), capture_output=True, text=True, check=True
        )
    drawn: list[str] = json.loads(done.stdout)
    return drawn


def _plain(svg: str) -> str:
    """Returns a drawing that loads nothing, and whose style sheet holds for diagrams only."""
    svg = _FONT_OF_A_HOST.sub("", svg).replace("'Inter', ", "")
    svg = re.sub(r"^  (text|svg) \{", r"  .diagram \1 {", svg, flags=re.MULTILINE)
    return re.sub(r"\n\s*\n", "\n", svg).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
