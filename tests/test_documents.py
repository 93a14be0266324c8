"""The documents are short enough to read, and every link in them leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("clients/*/*.md")])
MAX_README_WORDS = 900
CELLS_OF_A_KEY = {"operations.md": 1, "metrics.md": 3}
"""Number of first cells that tell the rows of a document's tables apart; 2 by default."""


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


def keys_that_stand_twice(text: str, num_cells: int) -> list[tuple[str, ...]]:
    """Returns the first cells of the rows whose table has an earlier row with the same ones.

    A first cell that is empty means the one above it. Generated tables are left out.
    """
    text = re.sub(r"<!-- (.+?): python.*?<!-- end: \1 -->", "", text, flags=re.DOTALL)
    twice = []
    for table in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE):
        keys: set[tuple[str, ...]] = set()
        first = ""
        for row in table.splitlines():
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
            first = cells[0] or first
            key = (first, *cells[1:num_cells])
            twice += [key] * (key in keys)
            keys.add(key)
    return twice


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


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_row_of_a_table_stands_in_two_versions(path: Path) -> None:
    if "results" not in path.parts:  # a report has rows by student, teacher and metric
        num_cells = CELLS_OF_A_KEY.get(path.name, 2)
        assert keys_that_stand_twice(path.read_text("utf-8"), num_cells) == []


def test_rows_are_the_same_by_their_first_cells_within_a_table() -> None:
    table = "| a | b | c |\n| --- | --- | --- |\n| 1 | 2 | 3 |\n| 1 | 3 | 3 |\n"
    again = "|  | 2 | 4 |\n"
    assert keys_that_stand_twice(f"{table}\n{table}", 2) == []
    assert keys_that_stand_twice(table + again, 2) == [("1", "2")]
    assert keys_that_stand_twice(table, 1) == [("1",)]
    assert keys_that_stand_twice(f"<!-- t: python -m x -->\n{table}{again}<!-- end: t -->", 2) == []


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
