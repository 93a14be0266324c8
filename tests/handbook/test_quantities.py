"""Each quantity in README, performance, findings and scale is in a record or a declared number."""

import json
import re
from pathlib import Path

import pytest

from handbook.quantities import Quantity, quantities, recorded, sections
from tests.handbook.sources.measured import ROOT, demo_lines
from tests.handbook.sources.quantity_sources import DOCUMENTS, RECORDS, STATED

PLACES = [
    (document, heading, prose)
    for document in DOCUMENTS
    for heading, prose in sections((ROOT / document).read_text(encoding="utf-8")).items()
]


def one(text: str) -> Quantity:
    (found,) = quantities(text)
    return found


@pytest.mark.parametrize(
    ("document", "heading", "prose"), PLACES, ids=[f"{each[0]}: {each[1]}" for each in PLACES]
)
def test_a_quantity_of_a_document_has_a_source(document: str, heading: str, prose: str) -> None:
    records = RECORDS.get((document, heading), ())
    measured = [number for path, name in records for number in recorded(ROOT / path, name)]
    stated = STATED.get((document, heading), {})
    found = list(quantities(prose))
    wrong = [
        each.text
        for each in found
        if not each.is_any_of(
            [(stated[each.text], each.dimension)] if each.text in stated else measured
        )
    ]
    assert wrong == []
    assert stated.keys() - {each.text for each in found} == set()


def test_sources_are_those_of_sections_that_exist() -> None:
    assert (RECORDS.keys() | STATED.keys()) - {each[:2] for each in PLACES} == set()


def test_documents_state_many_quantities() -> None:
    assert sum(len(list(quantities(prose))) for *_, prose in PLACES) >= 100


def test_the_output_of_the_demo_in_the_readme_is_a_part_of_the_recorded_one() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("```text\n")[2].partition("\nserving on")[0]
    recording = "\n".join(demo_lines())
    numbers = re.findall(r"\d[\d,.]*\d", shown)
    assert len(numbers) > 30
    assert [each for each in numbers if each not in recording] == []


def test_code_comments_links_generated_passages_and_claims_are_no_prose() -> None:
    text = (
        "# A\n```sh\n1.5\n```\n`2.5` [3](4.5) <!-- 5.5 -->\n"
        "<!-- t: python -m x -->\n6.5 ms\n<!-- end: t -->\n0.5 [0.4, 0.6]\n## B\n7.5 ms"
    )
    found = {
        heading: [each.text for each in quantities(prose)]
        for heading, prose in sections(text).items()
    }
    assert found == {"": [], "A": [], "B": ["7.5 ms"]}


def test_sections_with_the_same_heading_are_one() -> None:
    assert sections("# A\n1.5\n# B\n2.5\n## A\n3.5")["A"].split() == ["1.5", "3.5"]


def test_a_quantity_has_a_unit_or_decimals_or_thousands() -> None:
    text = "Of 50 items, 1,234 were read in 20 ms by SmolLM2-135M, HR@20 0.05, 7B, 3 s."
    assert [each.text for each in quantities(text)] == ["1,234", "20 ms", "0.05", "3 s"]


def test_numbers_of_a_list_have_the_unit_of_its_last_one() -> None:
    found = [each.text for each in quantities("between 0.7 and 8.2 ms, or 0.1, 0.2 and 3 times")]
    assert found == ["0.7 ms", "8.2 ms", "0.1 times", "0.2 times", "3 times"]


def test_a_quantity_is_a_measured_one_rounded_to_its_digits_in_any_unit() -> None:
    assert one("3.18 ms").is_any_of([(0.0031795, "s")])
    assert not one("3.19 ms").is_any_of([(0.0031795, "s")])
    assert not one("3.18 ms").is_any_of([(0.0031795, "")])
    assert one("45 %").is_any_of([(0.4547, "")])
    assert one("16,000 s").is_any_of([(15_600, "s")])
    assert not one("16,000 s").is_any_of([(15_400, "s")])
    assert not one("100 ms").is_any_of([(0.110, "s")])


def test_a_figure_has_a_value_an_interval_and_a_target_in_base_units(tmp_path: Path) -> None:
    figures = [
        {"name": "a", "unit": "µs CPU", "value": 3.0, "at_most": 9.0, "at_least": None},
        {"name": "b", "unit": "answers/s", "value": 5.0, "low": 4.0, "high": 6.0},
    ]
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"figures": figures}))
    numbers = [[(round(number, 9), of) for number, of in recorded(path, name)] for name in "ab"]
    assert numbers == [[(3e-6, "s"), (9e-6, "s")], [(5, ""), (4, ""), (6, "")]]
    with pytest.raises(ValueError, match="no figure 'c'"):
        list(recorded(path, "c"))
