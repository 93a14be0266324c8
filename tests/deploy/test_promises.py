"""SECURITY.md and docs/reliability.md name tests, proofs and commands that exist."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from handbook.pages import PAGES
from service.admission.admission import _SHARE_UNDER_STRAIN
from service.api.scopes import SCOPES
from service.processes.server import _ACCEPTS_PER_TURN
from service.settings import Settings
from tests.service.access.test_matrix import COLUMNS

LIGHT_REQUESTS = Settings.model_fields["light_requests"].default
ROOT = Path(__file__).parents[2]
DOCUMENTS = ("SECURITY.md", "docs/reliability.md")
NOTHING = "\N{EN DASH}"
PLACES = r"(?:tests|proofs|export|service|training|docker|docs|deploy|locks|distilled_recommender)/"


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rows(name: str) -> list[list[str]]:
    """Returns the cells of each row of the document's tables, without their heads."""
    lines = [line for line in text(name).splitlines() if line.startswith("|")]
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    heads = {index for index, cells in enumerate(split) if set("".join(cells)) <= set("-")}
    return [cells for index, cells in enumerate(split) if not {index, index + 1} & heads]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_a_promise_names_exists(name: str) -> None:
    paths = set(re.findall(rf"`({PLACES}[\w./-]+)`", text(name)))
    assert len(paths) >= 10
    assert {path for path in paths if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_that_a_promise_names_exists(name: str) -> None:
    proofs = set(re.findall(r"`python -m proofs (\w+)", text(name)))
    targets = set(re.findall(r"`make ([\w-]+)`", text(name)))
    assert {each for each in proofs if find_spec(f"proofs.{each}") is None} == set()
    assert targets <= set(re.findall(r"^([a-z-]+(?: [a-z-]+)*):", text("Makefile"), re.M))


def test_every_promise_has_a_figure_a_test_and_says_what_is_not_promised() -> None:
    promises = rows("docs/reliability.md")
    assert len(promises) > 20
    for cells in promises:
        room, promise, figure, test, _ = cells
        assert room, cells
        assert promise, cells
        assert figure, cells
        assert re.search(r"`(tests/|proofs/|python -m proofs|make )", test), cells


@pytest.mark.parametrize(
    ("pattern", "number"),
    [
        (r"\| (\d+) routes . \d+ kinds", len(SCOPES)),
        (r"\| \d+ routes . (\d+) kinds", len(COLUMNS) + 1),  # and a service without keys
        (r"\| all (\d+) routes, refusals", len(SCOPES)),
        (r"\| (\d+) pages \|", len(PAGES)),
        (r"\| (\d+) in each turn of the event loop \|", _ACCEPTS_PER_TURN),
        (r"\| \d+; while they are refused (\d+),", LIGHT_REQUESTS // _SHARE_UNDER_STRAIN),
    ],
)
def test_a_number_of_the_code_that_a_promise_states_is_that_of_today(
    pattern: str, number: int
) -> None:
    assert re.findall(pattern, text("docs/reliability.md")) == [str(number)]


def test_the_promises_are_sorted_by_room() -> None:
    rooms = [room for room, *_ in rows("docs/reliability.md")]
    assert rooms == sorted(rooms)


def test_every_threat_has_what_stops_it_and_a_test_or_says_that_nothing_does() -> None:
    threats = rows("SECURITY.md")
    assert len(threats) > 10
    for _, can, stopped, tested in threats:
        assert can, stopped
        names_a_test = tested == "the same" or re.search(r"`(tests|proofs)/", tested)
        assert names_a_test or (tested == NOTHING and stopped.startswith("nothing")), can
