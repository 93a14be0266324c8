"""Runs the commands of README, the REST guide and the client, with another address only."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.live.conftest import Serve

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def url(serve: "Serve", films_bundle: Path) -> Iterator[str]:
    with serve(films_bundle) as url:
        yield url


@pytest.fixture(scope="module")
def answers(url: str) -> list[Any]:
    """The answers to the commands of docs/rest.md, in order; None for an empty answer."""
    block = code_block(ROOT / "docs" / "rest.md", "sh")
    lines = [line for line in block.splitlines() if not line.startswith("#")]
    assert all(line.startswith("curl ") for line in lines)
    outputs = [run_line(line.replace("localhost:8000", url)) for line in lines]
    return [json.loads(output) if output else None for output in outputs]


def code_block(path: Path, language: str, after: str = "") -> str:
    text = path.read_text().partition(after)[2] if after else path.read_text()
    match = re.search(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert match, f"no block of {language} in {path}"
    return match[1]


def run_line(line: str) -> str:
    command = ["bash", "-c", line.replace("curl ", "curl --silent --show-error --noproxy '*' ", 1)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def item_ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def test_six_lines_show_the_api(answers: list[Any]) -> None:
    assert len(answers) == 6


def test_a_history_is_answered_with_items_that_it_does_not_contain(answers: list[Any]) -> None:
    assert (answers[0]["source"], answers[0]["unknown_items"]) == ("student", 0)
    assert len(set(item_ids(answers[0])) - {"1", "1196", "2571"}) == 5


def test_filtered_answers_have_k_items_each_with_its_reasons(
    answers: list[Any], films_bundle: Path
) -> None:
    lines = (films_bundle / "items.jsonl").read_text().splitlines()
    genres = {(item := json.loads(line))["item_id"]: item["attributes"]["genres"] for line in lines}
    assert len(answers[1]["items"]) == 5
    for item in answers[1]["items"]:
        assert item["item_id"] != "3114"
        assert "Animation" in genres[item["item_id"]]
        assert {reason["item_id"] for reason in item["reasons"]} <= {"1", "1196"}


def test_an_event_is_stored_and_answered(answers: list[Any]) -> None:
    assert answers[2]["stored"]
    assert len(answers[2]["items"]) == 5
    assert answers[3]["history"] == ["260"]


def test_items_are_found_by_title(answers: list[Any]) -> None:
    titles = [item["title"] for item in answers[4]["items"]]
    assert len(titles) == 3
    assert all("Star Wars" in title for title in titles)


def test_the_session_is_deleted_at_the_end(answers: list[Any], url: str) -> None:
    assert answers[5] is None
    assert json.loads(run_line(f"curl {url}/v1/sessions/ada"))["status"] == 404


def test_the_example_of_the_client_runs(url: str) -> None:
    folder = ROOT / "clients" / "python"
    code = code_block(folder / "README.md", "python").replace("http://127.0.0.1:8000", url)
    path = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    program = [sys.executable, "-W", "error", "-c", path + code]
    printed = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    assert len(printed.splitlines()) == 5


def test_the_answer_in_the_readme_has_the_shape_of_a_real_one(url: str) -> None:
    readme = ROOT / "README.md"
    command = code_block(readme, "sh", after="Ask it what comes after")
    shown = json.loads(code_block(readme, "json"))
    answer = json.loads(run_line(command.replace("localhost:8000", url)))
    assert answer.keys() == shown.keys()
    assert [each.keys() for each in answer["items"]] == [each.keys() for each in shown["items"]]
    assert answer["source"] == shown["source"]
