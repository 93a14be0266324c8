"""A report is made again from stored ranks, on a machine without the teachers' knowledge."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.training.ladder.conftest import (
    NARROW,
    knowledge_of_titles,
    records,
    rewrite,
    run_ladder,
)
from tests.training.ladder.stored_arrays import stored_arrays
from training.distillation.trainer import Trainer
from training.knowledge import DESCRIPTION_NAME
from training.ladder.runs import measure_references
from training.ladder.runs.teacher_ranks import NOT_ASKED


def test_all_stored_runs_of_a_ladder_made_in_parts_are_reported_without_training(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_ladder(config, "--students", "sasrec", "--rows", "CE") == 0
    assert (
        run_ladder(config, "--students", "caser", "--rows", "CE", "DLLM2Rec", "--seeds", "0") == 0
    )
    monkeypatch.delattr(Trainer, "train")

    assert run_ladder(config, "--kept") == 0

    keys = ("student", "row", "seeds")
    lines = [tuple(map(line.__getitem__, keys)) for line in records(config) if line["student"]]
    assert list(dict.fromkeys(lines)) == [
        ("SASRec", "CE", "2"),
        ("Caser", "CE", "1"),
        ("Caser", "DLLM2Rec", "1"),
    ]


def test_a_named_row_without_a_stored_run_is_named_in_a_message(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_ladder(config, "--students", "caser", "--seeds", "0", "--rows", "CE")
    capsys.readouterr()

    run_ladder(config, *NARROW, "--kept")

    output = capsys.readouterr().out
    assert "left out: Caser DLLM2Rec, retrieval teacher, which has no stored run" in output
    assert "without Caser CE" not in output


def test_rows_without_a_common_seed_are_reported_and_not_compared(config: Path) -> None:
    """Each row has one trial, so that nothing has to be chosen."""
    for row, seed in (("BCE", "0"), ("CE", "0"), ("DLLM2Rec", "1")):
        run_ladder(config, "--students", "caser", "--rows", row, "--seeds", seed)

    assert run_ladder(config, "--kept", "--students", "caser") == 0

    assert {"BCE", "CE", "DLLM2Rec"} <= {line["row"] for line in records(config)}
    report = (config.parent / "results" / "chain.md").read_text()
    assert "| CE over BCE |" in report
    assert "DLLM2Rec over CE |" not in report


def test_a_report_is_made_again_without_any_knowledge(config: Path) -> None:
    knowledge_of_titles(config, settings={"kind": "titles"})
    run_ladder(config, *NARROW)
    made = [records(config), report(config)]
    for kind in ("knowledge", "knowledge-titles"):
        shutil.rmtree(config.parent / "work" / "chain" / kind)

    assert run_ladder(config, *NARROW, "--kept") == 0

    assert [records(config), report(config)] == made
    assert {line["teacher"] for line in records(config)} == {"", "retrieval", "titles"}


def report(config: Path) -> list[str]:
    """The lines of the report, without its command."""
    lines = (config.parent / "results" / "chain.md").read_text().splitlines()
    return [line for line in lines if not line.startswith("- command")]


def test_stored_ranks_of_a_teacher_are_not_replaced_by_other_answers_until_their_file_is_removed(
    reported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forget_the_answers(reported.parent / "work" / "chain" / "knowledge")

    assert run_ladder(reported, *NARROW) == 2

    output = capsys.readouterr().err
    stored = Path(next(word for word in output.split() if ".npz:" in word).rstrip(":"))
    assert "a retrieval teacher with other answers" in output
    assert run_ladder(reported, *NARROW, "--kept") == 0
    assert figure(reported, "teacher retrieval") == 1
    stored.unlink()
    assert run_ladder(reported, *NARROW) == 0
    assert figure(reported, "teacher retrieval") == 0


def test_runs_of_a_teacher_that_was_made_again_on_another_machine_are_not_trained_again(
    reported: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = records(reported)
    round_otherwise(reported.parent / "work" / "chain" / "knowledge")
    monkeypatch.delattr(Trainer, "train")
    capsys.readouterr()

    assert run_ladder(reported, *NARROW) == 0

    assert "0.00% of its held-out ranks differ from the stored ones" in capsys.readouterr().out
    assert records(reported) == made


def round_otherwise(knowledge: Path) -> None:
    """Changes the last digit of each embedding."""
    embeddings, path = knowledge / "item_embeddings.npz", knowledge / DESCRIPTION_NAME
    description = json.loads(path.read_text())
    arrays = stored_arrays(embeddings)
    others = np.nextafter(arrays["item_embeddings"], np.float16(0))
    rewrite(embeddings, description, {"item_embeddings": others})
    path.write_text(json.dumps(description))


def forget_the_answers(knowledge: Path) -> None:
    """Replaces the teacher's ranking of each test example by padding."""
    answers, path = knowledge / "answers-test.npz", knowledge / DESCRIPTION_NAME
    description = json.loads(path.read_text())
    arrays = stored_arrays(answers)
    rewrite(answers, description, arrays | {"rankings": np.zeros_like(arrays["rankings"])})
    path.write_text(json.dumps(description))


def figure(config: Path, row: str) -> float:
    expected = {"row": row, "split": "test", "targets": "all", "metric": "HR@20"}
    means = (line["mean"] for line in records(config) if expected.items() <= line.items())
    return float(next(means))


def test_stored_answers_are_not_measured_again(
    reported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = records(reported)
    monkeypatch.delattr(measure_references, "evaluate")

    assert run_ladder(reported, *NARROW) == 0

    assert records(reported) == made


def test_stored_ranks_of_a_teacher_with_other_settings_are_not_used(
    reported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(reported.parent / "work" / "chain" / "knowledge")
    reported.write_text(reported.read_text().replace("[teacher]", "[teacher]\nmax_titles = 70"))

    assert run_ladder(reported, *NARROW, "--kept") == 2

    assert "knowledge.json: missing" in capsys.readouterr().err


def test_a_teacher_that_answered_a_part_of_the_examples_is_loaded_with_that_part(
    config: Path,
) -> None:
    knowledge_of_titles(config, settings={"kind": "titles"}, num_held_out=2)
    run_ladder(config, *NARROW)
    runs = config.parent / "results" / "runs" / "chain"
    stored = [stored_arrays(path) for path in runs.iterdir()]
    answered = [(each["test-0"] != NOT_ASKED).sum() for each in stored if "test-0" in each]
    made = records(config)

    run_ladder(config, *NARROW, "--kept")

    assert min(answered) == 2 < max(answered)
    assert records(config) == made


def test_a_damaged_file_of_a_teacher_is_named(
    reported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = reported.parent / "results" / "runs" / "chain"
    [stored] = [path for path in runs.iterdir() if "test-0" in stored_arrays(path)]
    stored.write_bytes(stored.read_bytes()[:100])

    assert run_ladder(reported, *NARROW, "--kept") == 2

    assert f"{stored.name}: damaged, or not made for dataset 'chain'" in capsys.readouterr().err
