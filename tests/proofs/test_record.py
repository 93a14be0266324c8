"""A proof writes its figures, and its exit code says whether they hold."""

import json
import math
from pathlib import Path

import pytest

from proofs import __main__ as program
from proofs.record import Figure, save_proof


def test_a_figure_holds_within_its_bar_and_misses_it_beyond() -> None:
    assert Figure("p99", "ms", 20, at_most=20).holds
    assert not Figure("p99", "ms", 20.1, at_most=20).holds
    assert Figure("stored", "events", 100, at_least=100).holds
    assert not Figure("stored", "events", 99, at_least=100).holds
    assert Figure("packages", "packages", 45).holds


def test_a_record_names_its_command_and_leaves_out_what_a_figure_has_not(tmp_path: Path) -> None:
    path = tmp_path / "proofs" / "soak.json"
    figures = [Figure("errors", "requests", 0)]
    holds = save_proof(path, ["soak", "--minutes", "30"], "0abc", figures)

    record = json.loads(path.read_text())
    assert holds
    assert record["command"] == "python -m proofs soak --minutes 30"
    assert record["figures"] == [{"name": "errors", "unit": "requests", "value": 0}]
    assert record["commit"] == "0abc"
    assert {"date", "hardware"} < set(record)


def test_a_record_rounds_to_four_decimals_but_no_small_value_to_nothing() -> None:
    assert Figure("ratio", "times", 1.23456).as_json()["value"] == 1.2346
    small = Figure("difference", "", 1.94e-6, at_most=1e-5).as_json()
    assert (small["value"], small["at_most"]) == (1.9e-6, 1e-5)


def test_what_was_never_measured_misses_its_target_and_is_null_in_the_record() -> None:
    never = Figure("p99", "ms", math.inf, at_most=20)
    assert not never.holds
    record = json.dumps(never.as_json(), allow_nan=False)
    assert json.loads(record) == {"name": "p99", "unit": "ms", "value": None, "at_most": 20}


def test_a_record_rounds_negative_values_as_positive_ones() -> None:
    assert Figure("loss", "times", -1.23456).as_json()["value"] == -1.2346
    assert Figure("loss", "times", -1.94e-6).as_json()["value"] == -1.9e-6


def test_a_proof_gets_its_options_and_a_missed_bar_is_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prove(*, python: str = "python3", base_python: tuple[str, ...] = ()) -> list[Figure]:
        return [Figure(python, "packages", len(base_python), at_most=1)]

    monkeypatch.setattr("proofs.wheel.prove", prove)
    assert program.main(["wheel", "--python", "python9"], tmp_path) == 0
    assert json.loads((tmp_path / "wheel.json").read_text())["figures"][0]["name"] == "python9"
    two = ["--base-python", "a", "--base-python", "b"]
    assert program.main(["wheel", *two], tmp_path) == 1


def test_a_proof_that_there_is_not_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["nothing"]) == 2
    names = program.proof_names()
    assert {"chaos", "wheel"} <= set(names)
    assert f"no proof 'nothing': choose one of {', '.join(names)}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["chaos", "--fault", "rain"],
        ["embeddings", "--encoders", "rain"],
        ["imports", "--models", "rain"],
        ["kills", "--stages", "rain"],
        ["loop", "--store", "rain"],
        ["overload", "--kind", "rain"],
    ],
    ids=lambda words: words[0],
)
def test_a_proof_of_an_unknown_name_measures_nothing_and_leaves_the_record(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(words, tmp_path) == 2
    assert "'rain': choose from " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_proof_without_figures_is_no_proof_and_leaves_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def prove() -> list[Figure]:
        return []

    monkeypatch.setattr("proofs.wheel.prove", prove)
    assert program.main(["wheel"], tmp_path) == 2
    assert "nothing to measure" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
