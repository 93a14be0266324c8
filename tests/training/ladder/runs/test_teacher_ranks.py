"""A report is made again of what is kept, by whoever has the data."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.training.ladder.conftest import climb, knowledge_of_titles, records, rewrite
from training.distillation.trainer import Trainer
from training.knowledge import DESCRIPTION_NAME
from training.ladder.plan import teachers
from training.ladder.runs.teacher_ranks import NOT_ASKED

NARROW = ("--students", "caser", "--seeds", "0", "--rows", "CE", "DLLM2Rec")


def test_of_a_ladder_climbed_in_parts_all_that_is_kept_is_reported_without_training(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert climb(config, "--students", "sasrec", "--rows", "CE") == 0
    assert climb(config, "--students", "caser", "--rows", "CE", "DLLM2Rec", "--seeds", "0") == 0
    monkeypatch.delattr(Trainer, "train")

    assert climb(config, "--kept") == 0

    keys = ("student", "row", "seeds")
    lines = [tuple(map(line.__getitem__, keys)) for line in records(config) if line["student"]]
    assert list(dict.fromkeys(lines)) == [
        ("SASRec", "CE", "2"),
        ("Caser", "CE", "1"),
        ("Caser", "DLLM2Rec", "1"),
    ]


def test_rows_that_were_named_and_have_no_run_are_told(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    climb(config, "--students", "caser", "--seeds", "0", "--rows", "CE")
    capsys.readouterr()

    climb(config, *NARROW, "--kept")

    told = capsys.readouterr().out
    assert "without Caser DLLM2Rec, retrieval teacher: no run of it is kept" in told
    assert "without Caser CE" not in told


def test_rows_without_a_common_seed_are_reported_and_not_compared(config: Path) -> None:
    """Each row has one trial, so that nothing has to be chosen."""
    for row, seed in (("BCE", "0"), ("CE", "0"), ("DLLM2Rec", "1")):
        climb(config, "--students", "caser", "--rows", row, "--seeds", seed)

    assert climb(config, "--kept", "--students", "caser") == 0

    assert {"BCE", "CE", "DLLM2Rec"} <= {line["row"] for line in records(config)}
    report = (config.parent / "results" / "chain.md").read_text()
    assert "| CE over BCE |" in report
    assert "DLLM2Rec over CE |" not in report


def test_a_report_is_made_again_where_no_knowledge_is_left(config: Path) -> None:
    knowledge_of_titles(config, settings={"kind": "titles"})
    climb(config, *NARROW)
    made = [records(config), report(config)]
    for kind in ("knowledge", "knowledge-titles"):
        shutil.rmtree(config.parent / "work" / "chain" / kind)

    assert climb(config, *NARROW, "--kept") == 0

    assert [records(config), report(config)] == made
    assert {line["teacher"] for line in records(config)} == {"", "retrieval", "titles"}


def report(config: Path) -> list[str]:
    """All but what is told of its making."""
    lines = (config.parent / "results" / "chain.md").read_text().splitlines()
    return [line for line in lines if not line.startswith("- command")]


def test_what_is_kept_of_a_teacher_gives_way_to_no_other_answers_unasked(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    climb(config, *NARROW)
    forget_the_answers(config.parent / "work" / "chain" / "knowledge")

    assert climb(config, *NARROW) == 2

    told = capsys.readouterr().err
    kept = Path(next(word for word in told.split() if ".npz:" in word).rstrip(":"))
    assert "a retrieval teacher that answered otherwise" in told
    assert climb(config, *NARROW, "--kept") == 0
    assert figure(config, "teacher retrieval") == "1.000000"
    kept.unlink()
    assert climb(config, *NARROW) == 0
    assert figure(config, "teacher retrieval") == "0.000000"


def forget_the_answers(knowledge: Path) -> None:
    """Of the test: the ranking of each example becomes one of padding alone."""
    answers, description = knowledge / "answers-test.npz", knowledge / DESCRIPTION_NAME
    told = json.loads(description.read_text())
    arrays = dict(np.load(answers))
    rewrite(answers, told, arrays | {"rankings": np.zeros_like(arrays["rankings"])})
    description.write_text(json.dumps(told))


def figure(config: Path, row: str) -> str:
    wanted = {"row": row, "split": "test", "targets": "all", "metric": "HR@20"}
    return next(line["mean"] for line in records(config) if wanted.items() <= line.items())


def test_answers_that_were_kept_are_not_measured_again(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    climb(config, *NARROW)
    made = records(config)
    monkeypatch.delattr(teachers, "evaluate")

    assert climb(config, *NARROW) == 0

    assert records(config) == made


def test_what_is_kept_of_a_teacher_of_other_settings_is_not_taken_for_its(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    climb(config, *NARROW)
    shutil.rmtree(config.parent / "work" / "chain" / "knowledge")
    with config.open("a") as file:
        file.write("[teacher]\nmax_titles = 70\n")

    assert climb(config, *NARROW, "--kept") == 2

    assert "knowledge.json: missing" in capsys.readouterr().err


def test_a_teacher_that_was_asked_of_a_part_comes_back_with_that_part(config: Path) -> None:
    knowledge_of_titles(config, settings={"kind": "titles"}, num_held_out=2)
    climb(config, *NARROW)
    runs = config.parent / "results" / "runs" / "chain"
    kept = [dict(np.load(path)) for path in runs.iterdir()]
    asked = [(each["test-0"] != NOT_ASKED).sum() for each in kept if "test-0" in each]
    made = records(config)

    climb(config, *NARROW, "--kept")

    assert min(asked) == 2 < max(asked)
    assert records(config) == made


def test_a_damaged_file_of_a_teacher_is_named(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    climb(config, *NARROW)
    runs = config.parent / "results" / "runs" / "chain"
    [kept] = [path for path in runs.iterdir() if "test-0" in np.load(path)]
    kept.write_bytes(kept.read_bytes()[:100])

    assert climb(config, *NARROW, "--kept") == 2

    assert f"{kept.name}: not a whole run of 'chain'" in capsys.readouterr().err
