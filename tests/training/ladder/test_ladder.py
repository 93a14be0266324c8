"""The program `training.ladder`, from a dataset and knowledge on disk to a report."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.training.ladder.conftest import knowledge_of_titles, records, run_ladder
from tests.training.ladder.stored_arrays import stored_arrays
from training.evaluation.row_names import COLD_ROW
from training.knowledge import DESCRIPTION_NAME
from training.ladder.plan.rows import ROWS, TITLES_ROW, settings_of
from training.settings.experiment import load_experiment


def measured_of_caser(config: Path, *rows: str) -> set[tuple[str, str]]:
    """Rows and teachers of a ladder of one student with one seed and `rows`."""
    assert run_ladder(config, "--students", "caser", "--seeds", "0", "--rows", *rows) == 0
    return {(line["row"], line["teacher"]) for line in records(config)}


@pytest.mark.slow
def test_a_whole_ladder_has_every_row_of_every_student(config: Path) -> None:
    assert run_ladder(config) == 0

    lines = records(config)
    header = (config.parent / "results" / "chain.csv").read_text().splitlines()[0]
    assert header == (
        "row,student,teacher,loss,split,targets,metric,mean,low,high,seeds,train_seconds,"
        "teacher_tokens,protocol,kind,teacher_free,served"
    )
    assert {line["row"] for line in lines if not line["student"]} == {
        "popularity",
        "last-item",
        "VMIS-kNN",
        "order-aware kNN",
        "order-aware item kNN",
        "teacher retrieval",
        "control title neighbours",
    }
    of_every_teacher = [row for row in ROWS if "distributions" not in row]  # others need a fusion
    for student in ("SASRec", "GRU4Rec", "Caser"):
        rows = [*dict.fromkeys(line["row"] for line in lines if line["student"] == student)]
        assert rows == of_every_teacher
    assert {line["metric"] for line in lines} == {
        f"{name}@{k}" for name in ("HR", "NDCG") for k in (1, 5, 10, 20)
    }
    assert {line["seeds"] for line in lines if line["row"] == "DLLM2Rec"} == {"2"}
    assert {line["loss"] for line in lines if line["row"] == "BCE"} == {"binary"}
    kinds = {(e["row"], e["kind"], e["teacher_free"], e["served"]) for e in lines}
    assert kinds >= {
        ("VMIS-kNN", "ranker", "yes", "no"),
        ("teacher retrieval", "teacher", "no", "no"),
        ("CE", "student", "yes", "yes"),
        ("DLLM2Rec", "student", "no", "yes"),
        ("control shuffled lists", "control", "no", "no"),
    }
    report = (config.parent / "results" / "chain.md").read_text()
    assert "| teacher retrieval | retrieval | 1.0000 | 1.0000 [1.0000, 1.0000] |" in report
    assert (config.parent / "results" / "chain-cost.png").stat().st_size > 1_000
    assert (config.parent / "results" / "chain-parts.png").stat().st_size > 1_000


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_the_control_of_near_titles_is_left_out_if_a_titles_teacher_ranks_by_the_last_title_only(
    config: Path, *, decay: float
) -> None:
    work = config.parent / "work" / "chain"
    (work / "knowledge").rename(work / "knowledge-titles")
    description = work / "knowledge-titles" / DESCRIPTION_NAME
    content = json.loads(description.read_text())
    content["provenance"]["decay"] = decay
    description.write_text(json.dumps(content))
    config.write_text(config.read_text().replace('kind = "retrieval"', 'kind = "titles"'))
    rows = ("CE", "DLLM2Rec", "DLLM2Rec with cold bonus", "control title-neighbour lists")

    assert run_ladder(config, "--students", "caser", "--seeds", "0", "--rows", *rows) == 0

    measured = {(line["row"], line["teacher"]) for line in records(config) if line["student"]}
    assert measured == {
        ("CE", ""),
        ("DLLM2Rec", "titles"),
        ("DLLM2Rec with cold bonus", "titles"),
        *([("control title-neighbour lists", "titles")] if decay else []),
    }


def test_a_teacher_of_other_settings_is_named_and_left_out(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    knowledge_of_titles(config, settings={"kind": "titles", "layers": 6})

    assert run_ladder(config, "--students", "caser", "--seeds", "0", "--rows", "CE") == 0

    assert "left out: the titles teacher: " in capsys.readouterr().out
    assert {"teacher retrieval"} == {
        line["row"] for line in records(config) if line["row"].startswith("teacher ")
    }


def test_a_teacher_whose_other_settings_are_configured_is_reported_beside_the_first(
    config: Path,
) -> None:
    knowledge_of_titles(config, settings={"kind": "titles", "layers": 6}, share=0.25)
    with config.open("a") as file:
        file.write("[other_teachers.titles]\nlayers = 6\n")
    rows = ("CE", "DLLM2Rec", COLD_ROW)

    measured = measured_of_caser(config, *rows)

    assert measured > {(row, kind) for row in rows[1:] for kind in ("retrieval", "titles")}
    assert measured > {(TITLES_ROW, "retrieval"), (TITLES_ROW, "titles")}
    report = (config.parent / "results" / "chain.md").read_text()
    assert "the first 6 layers, 25% of titles alone, " in report
    for kind in ("retrieval", "titles"):
        assert f"| the whole method | DLLM2Rec over CE | {kind} |" in report


def test_a_ladder_of_a_sentence_encoder_has_no_teachers_of_kinds_that_need_an_llm(
    config: Path,
) -> None:
    work = config.parent / "work" / "chain"
    shutil.copytree(work / "knowledge", work / "knowledge-titles")
    encoder = 'kind = "titles"\nmodel = "sentence:m"'
    config.write_text(config.read_text().replace('kind = "retrieval"', encoder))

    measured_of_caser(config, "CE")

    assert {"teacher titles"} == {
        line["row"] for line in records(config) if line["row"].startswith("teacher ")
    }


def test_a_configured_teacher_without_answers_is_named_and_left_out(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with config.open("a") as file:
        file.write("[other_teachers.titles]\nlayers = 6\n")

    assert measured_of_caser(config, "CE") > {("teacher retrieval", "retrieval")}

    assert (
        "left out: the titles teacher, which has no stored ranks and no " in capsys.readouterr().out
    )


def test_a_named_teacher_teaches_where_the_first_ones_knowledge_is_missing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    knowledge_of_titles(config, settings={"kind": "titles"})
    shutil.rmtree(config.parent / "work" / "chain" / "knowledge")
    narrow = ("--students", "caser", "--seeds", "0", "--rows", "DLLM2Rec")

    assert run_ladder(config, *narrow, "--teachers", "titles") == 0
    assert {line["teacher"] for line in records(config) if line["student"]} == {"titles"}

    assert run_ladder(config, *narrow, "--teachers", "generative") == 2
    assert "knowledge-generative" in capsys.readouterr().err
    assert run_ladder(config, *narrow, "--teachers", "generative", "titles") == 2
    shutil.rmtree(config.parent / "work" / "chain" / "knowledge-titles")
    assert run_ladder(config, *narrow, "--teachers", "titles", "--kept") == 0
    assert {line["teacher"] for line in records(config) if line["student"]} == {"titles"}


def test_the_first_of_the_named_teachers_replaces_the_experiments_own(config: Path) -> None:
    knowledge_of_titles(config, settings={"kind": "titles"})
    narrow = ("--students", "caser", "--seeds", "0", "--rows", "CE", "RD")

    assert run_ladder(config, *narrow, "--teachers", "titles", "retrieval", "titles") == 0

    lines = records(config)
    assert {line["teacher"] for line in lines if line["row"] == "RD"} == {"titles"}
    of_one_kind = [line for line in lines if (line["targets"], line["metric"]) == ("all", "HR@1")]
    teachers = [
        line["row"]
        for line in of_one_kind
        if line["row"].startswith("teacher ") and line["split"] == "test"
    ]
    assert teachers == ["teacher titles", "teacher retrieval"]


def test_a_teacher_that_answered_only_held_out_examples_is_compared_and_teaches_no_student(
    config: Path,
) -> None:
    knowledge_of_titles(config, num_lists=0, settings={"kind": "titles"})

    measured = measured_of_caser(config, "CE", "DLLM2Rec")

    assert ("teacher titles", "titles") in measured
    assert ("DLLM2Rec", "retrieval") in measured
    assert ("DLLM2Rec", "titles") not in measured


def test_a_teacher_without_held_out_answers_teaches_and_is_compared_only_by_titles(
    config: Path,
) -> None:
    knowledge_of_titles(config, num_held_out=0, settings={"kind": "titles"})

    measured = measured_of_caser(config, "CE", "DLLM2Rec")

    assert measured >= {("DLLM2Rec", "titles"), (TITLES_ROW, "titles")}
    assert ("teacher titles", "titles") not in measured
    assert "asked 0 of" in (config.parent / "results" / "chain.md").read_text()


def test_a_first_teacher_without_lists_is_refused_before_anything_is_trained(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = config.parent / "work" / "chain"
    knowledge_of_titles(config, num_lists=0, settings={"kind": "titles"})
    shutil.rmtree(work / "knowledge")
    config.write_text(config.read_text().replace('kind = "retrieval"', 'kind = "titles"'))

    assert run_ladder(config, "--students", "caser", "--rows", "CE", "DLLM2Rec") == 2

    assert "has answered no training example" in capsys.readouterr().err
    assert not (work / "ladder").exists()


def test_a_report_of_one_row_has_no_empty_section(config: Path) -> None:
    run_ladder(config, "--students", "caser", "--rows", "CE", "--seeds", "0")

    results = config.parent / "results"
    report = (results / "chain.md").read_text()
    assert [line for line in report.splitlines() if line.startswith("## ")] == [
        "## How well each ranks",
        "## Against teachers and neighbours",
        "## By stratum",
        "## What was chosen",
        "## How it was made",
    ]
    assert not (results / "chain-parts.png").exists()


def test_a_dry_run_prints_the_plan_and_trains_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_ladder(config, "--dry-run", "--students", "sasrec", "--rows", "CE", "DLLM2Rec") == 0

    output = capsys.readouterr().out
    assert "SASRec CE: 1 trials, seeds (0, 1); 2 to train, at most" in output
    assert "SASRec DLLM2Rec, retrieval teacher: 1 trials, seeds (0, 1); 2 to train" in output
    assert not (config.parent / "work" / "chain" / "ladder").exists()


def test_a_dry_run_counts_a_shared_run_once_and_no_measured_run(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = ("--students", "sasrec", "--rows", "CE", "DLLM2Rec", COLD_ROW)
    run_ladder(config, "--students", "sasrec", "--rows", "CE", "--seeds", "0")

    run_ladder(config, "--dry-run", *narrow)

    output = capsys.readouterr().out
    assert "SASRec CE: 1 trials, seeds (0, 1); 1 to train" in output
    assert "SASRec DLLM2Rec, retrieval teacher: 1 trials, seeds (0, 1); 2 to train" in output
    assert f"SASRec {COLD_ROW}, retrieval teacher: 1 trials, seeds (0,); 0 to train" in output


def test_the_trial_that_is_best_on_validation_is_reported(config: Path) -> None:
    rates = '"training.learning_rate" = [1e-9, 2e-2]'
    text = config.read_text().replace('"training.learning_rate" = [1e-2]', rates)
    for name in ("ranking_weight", "offset_dropout"):
        text = text.replace(f'{name}" = [0.3]', f'{name}" = [0.3, 0.4]')
        text = text.replace(f'{name}" = [0.1]', f'{name}" = [0.1, 0.2]')
    config.write_text(text.replace("max_epochs = 1", "max_epochs = 3"))

    assert run_ladder(config, "--students", "sasrec", "--rows", "CE") == 0

    assert "training.learning_rate = 0.02" in (config.parent / "results" / "chain.md").read_text()


def test_requested_seeds_do_not_choose_the_trial(config: Path) -> None:
    """The choice is the same as in the report with all seeds."""
    text = config.read_text().replace("headline_seeds = [0, 1]", "headline_seeds = [0, 1, 2]")
    for old, new in (("[1e-2]", "[1e-9, 2e-2]"), ("[0.3]", "[0.3, 0.4]"), ("[0.1]", "[0.1, 0.2]")):
        text = text.replace(old, new)
    config.write_text(text)

    run_ladder(config, "--students", "caser", "--rows", "CE", "--seeds", "1", "2")

    runs = (config.parent / "results" / "runs" / "chain").glob("*.npz")
    facts = [json.loads(str(stored_arrays(path)["facts"])) for path in runs]
    trained = Counter(each.get("name") for each in facts)
    assert {name: trained[f"caser plain-{name}"] for name in (0, 1, 2)} == {0: 2, 1: 1, 2: 1}
    assert next(line["seeds"] for line in records(config) if line["row"] == "CE") == "2"


def test_a_grid_with_more_trials_than_the_others_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().replace("[1e-2]", "[1e-2, 1e-3]"))

    assert run_ladder(config, "--dry-run") == 2
    assert "every grid must have equally many combinations" in capsys.readouterr().err


def test_a_setting_that_does_not_exist_is_refused_before_any_training(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().replace("training.learning_rate", "training.rate"))

    assert run_ladder(config, "--students", "sasrec") == 2
    assert "training.rate" in capsys.readouterr().err


def test_the_shipped_experiments_have_ladders() -> None:
    configs = sorted((Path(__file__).parents[3] / "configs").glob("*.toml"))
    assert len(configs) >= 3
    for path in configs:
        close = path.stem == "amazon-games-cpu"  # a narrow claim needs more seeds
        assert load_experiment(path).ladder.seeds == tuple(range(7 if close else 3))


def test_a_loss_other_than_that_of_the_rows_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = config.read_text()
    config.write_text(text.replace("[training]", "[training]\nloss = 'binary'"))

    assert run_ladder(config, "--dry-run") == 2
    assert "training.loss = 'binary'" in capsys.readouterr().err


def test_the_row_of_the_whole_method_has_every_part_whatever_the_experiment_switches_off(
    config: Path,
) -> None:
    text = config.read_text()
    config.write_text(text.replace("[distillation]", "[distillation]\noffset = false"))

    row = ROWS["DLLM2Rec"]
    method = settings_of(load_experiment(config), row, "sasrec").distillation
    assert (method.embeddings, method.offset, method.consistency) == (True, True, True)
