"""The generated pages of the documentation say what the code says."""

import re
from pathlib import Path

import pytest

from handbook.pages import DOCS, PAGES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_a_page_of_the_reference_is_what_the_code_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PAGES[path](), "run `make reference`"


def test_every_page_of_the_reference_is_generated_or_documents_the_client() -> None:
    written = {path for path in DOCS.glob("reference/*.md") if not path.name.startswith("python-")}
    assert written <= PAGES.keys()


def test_every_environment_variable_that_the_code_reads_is_in_the_reference() -> None:
    reading = re.compile(r"""(?:environ\.get\(|environ\[|env_var=)["']([A-Z_]+)["']""")
    packages = ("service", "training", "export", "distilled_recommender")
    modules = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    read = {name for path in modules for name in reading.findall(path.read_text("utf-8"))}
    assert len(read) > 4
    pages = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    assert {name for name in read if not re.search(rf"\b{name}\b", pages)} == set()
