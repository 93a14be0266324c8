"""The documents are short enough to read, and every link in them leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("clients/*/*.md")])
MAX_README_WORDS = 900


def prose(text: str) -> str:
    """Returns a Markdown text without code blocks, tables and comments."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    return re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)


def links(path: Path) -> list[str]:
    """Returns the targets of relative links and pictures in a document."""
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src(?:set)?="([^"]+)"', text)
    return [each for each in targets if not re.match(r"[a-z]+:", each)]


def anchors(path: Path) -> set[str]:
    """Returns the anchors of a document: of headings, as GitHub and the site make them, and own."""
    text = path.read_text("utf-8")
    headings = re.findall(r"^#+ +(.*)$", text, flags=re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", each).lower() for each in headings)
    own = re.findall(r'<a id="([\w-]+)"></a>', text)
    return {*own, *(re.sub(r"[^\w\- ]", "", each).replace(" ", "-") for each in plain)}


def test_the_readme_takes_four_minutes_to_read() -> None:
    assert len(prose((ROOT / "README.md").read_text("utf-8")).split()) <= MAX_README_WORDS


def test_prose_leaves_out_code_tables_and_comments() -> None:
    assert prose("a\n```sh\nb\n```\n| c |\n<!-- d -->\ne").split() == ["a", "e"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(path: Path) -> None:
    for link in links(path):
        name, _, anchor = link.partition("#")
        target = (path.parent / name) if name else path
        assert target.exists(), f"{path.name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{path.name}: {link}"


def examples_from_the_event_log() -> list[str]:
    """Returns the experiments in documents and `configs` that learn from the event log."""
    blocks = [
        block
        for path in DOCUMENTS
        for block in re.findall(r"\[data\]\n.*?```", path.read_text("utf-8"), flags=re.DOTALL)
    ]
    files = [path.read_text("utf-8") for path in sorted((ROOT / "configs").glob("*.toml"))]
    return [each for each in (*blocks, *files) if re.search(r'^source = "events"', each, re.M)]


def test_every_example_that_learns_from_clicks_keeps_rare_items_in_the_catalog() -> None:
    examples = examples_from_the_event_log()

    assert len(examples) >= 3
    for each in examples:
        assert "\nmin_interactions = 1" in each
