import json
from pathlib import Path

import numpy as np
import pytest

from training.evaluation.table import ResultRow, as_markdown, as_text, save_results
from training.evaluation.yardstick import Evaluation


def evaluation(*ranks: int) -> Evaluation:
    return Evaluation(rows=np.arange(len(ranks)), ranks=np.array(ranks))


ONE = ResultRow("popularity", (evaluation(1, 0),))
TWO = ResultRow("student", (evaluation(1, 1), evaluation(0, 0)))


def test_a_row_gives_the_mean_and_the_sample_deviation_over_its_runs() -> None:
    assert TWO.mean("HR@1") == 0.5
    assert TWO.spread("HR@1") == pytest.approx(0.5**0.5)


def test_a_single_run_has_no_spread() -> None:
    assert ONE.spread("HR@1") is None


def test_the_text_table_is_aligned() -> None:
    lines = as_text([ONE, TWO]).splitlines()

    assert lines[0].index("HR@1") == lines[1].index("0.5000") == lines[2].index("0.5000 ± 0.7071")


def test_the_markdown_table_has_a_cell_per_heading() -> None:
    heading, rule, *rows = as_markdown([ONE, TWO]).splitlines()

    assert {line.count("|") for line in (heading, rule, *rows)} == {11}
    assert rows[0].startswith("| popularity | 2 | 0.5000 |")


def test_results_are_written_for_programs_and_for_people(tmp_path: Path) -> None:
    save_results([ONE, TWO], {"split": "test"}, tmp_path)

    content = json.loads((tmp_path / "results.json").read_text())
    assert content["split"] == "test"
    assert content["rows"][1]["metrics"]["HR@1"] == {"mean": 0.5, "sd": pytest.approx(0.5**0.5)}
    assert (tmp_path / "results.md").read_text() == as_markdown([ONE, TWO]) + "\n"


def test_the_verdict_stands_below_the_table_and_in_the_record(tmp_path: Path) -> None:
    save_results([ONE], {}, tmp_path, "The student is above popularity.")

    assert json.loads((tmp_path / "results.json").read_text())["verdict"] == (
        "The student is above popularity."
    )
    text = (tmp_path / "results.md").read_text()
    assert text == as_markdown([ONE]) + "\n\nThe student is above popularity.\n"
